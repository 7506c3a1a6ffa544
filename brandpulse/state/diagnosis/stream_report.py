"""Problems of the posts of the newest hour, by source, with likely cause and remedy. Pure.

Read by `doctor`, `stats`, the live page, and `ingest file` when it waits until a file is counted.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from brandpulse.state.diagnosis.causes import (
    NO_KEY_CAUSE,
    REPEATED_CAUSE,
    UNREAD_CAUSE,
    Cause,
    clock_cause,
    dead_cause,
    late_cause,
    unmatched_cause,
)
from brandpulse.state.keys import HOUR_MS
from brandpulse.state.outcomes.near_misses import NearMisses
from brandpulse.state.outcomes.post_outcomes import (
    EXTRA_COUNTS,
    LATE,
    NO_KEY,
    NO_SOURCE,
    ON_TIME,
    OTHER_SOURCES,
    PERIOD_MS,
    PERIODS,
    READABLE,
    REPEATED,
    UNKNOWN_AUTHOR,
    UNMATCHED,
    UNREAD,
    Cell,
    PostOutcomes,
    cells_of,
    newest_period,
    shown_source,
)
from brandpulse.state.partition_state import PartitionStatus

Kind = Literal["dead", "late", "silent", "unmatched", "unread", "repeated", "clock", "no_key", "unknown_author"]

FEWEST_POSTS = 20
"""A source with fewer posts is not reported by itself."""
LEAST_SHARE: Mapping[Kind, float] = {
    "dead": 0.2,
    "late": 0.5,
    "silent": 0.0,
    "unmatched": 0.9,
    "unread": 0.2,
    "repeated": 0.5,
    "clock": 0.8,
    "no_key": 0.01,
    "unknown_author": 0.1,
}
"""Smallest share of a source's posts that is reported; for `unknown_author`, of its counted posts."""
SHOWN_ON_PAGE: frozenset[Kind] = frozenset({"dead", "late", "silent", "unmatched", "unread"})
"""As banners; the other kinds are notes."""
ALL_SOURCES = ""
SILENT_PERIODS = 2
"""A source is silent if it sent nothing in so many whole quarters of an hour, and in the current one."""
STEADY_PERIODS = 4
"""A source can be silent only if it sent in so many of the five quarters before these."""
LEAST_MISSED = 12.0
"""Smallest number of posts expected during the silence: by chance none arrives once in 160,000 times (Poisson)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault that many posts of one source share."""

    kind: Kind
    source: str
    """Printable; `ALL_SOURCES` where no single source has enough posts."""
    posts: int
    """With this fault."""
    of: int
    reason: str
    """Of dead posts the most frequent reason; else the kind."""
    cause: str
    remedy: str

    @property
    def share(self) -> float:
        return self.posts / self.of

    def sentence(self, when: str) -> str:
        """One sentence for a person; *when*: `StreamReport.when`."""
        if self.kind == "silent":
            minutes = SILENT_PERIODS * PERIOD_MS // 60_000
            return f"No posts arrived from '{self.source}' for {minutes} minutes: {self.cause}."
        some = "All" if self.share == 1 else f"{min(99, round(100 * self.share))} % of the"
        whose = f" from '{self.source}'" if self.source else ""
        counted = "counted " if self.kind in ("late", "clock", "unknown_author") else ""
        return f"{some} {counted}posts{whose} {when} {_PREDICATES[self.kind]}: {self.cause}."


_PREDICATES: Mapping[Kind, str] = {
    "dead": "are dead letters and are not counted",
    "late": "arrived too late for alerts",
    "silent": "arrived",
    "unmatched": "name no brand and count for none",
    "unread": "are in a language that the model does not support and count for no brand",
    "repeated": "have the id of an earlier post and are not counted again",
    "clock": "have a time far from their record's",
    "no_key": "have no Kafka key",
    "unknown_author": "have no known author",
}


@dataclass(frozen=True, slots=True)
class SourceOutcomes:
    """Outcomes of one source's posts."""

    source: str
    """As sent."""
    post_outcomes: Mapping[str, int]
    """Outcome -> posts; see `brandpulse.state.outcomes.post_outcomes`."""
    extra_counts: Mapping[str, int] = field(default_factory=dict)
    cells: Sequence[Cell] = ()

    @property
    def posts(self) -> int:
        return sum(self.post_outcomes.values())

    @property
    def counted(self) -> int:
        return self.post_outcomes.get(ON_TIME, 0) + self.post_outcomes.get(LATE, 0)

    @property
    def dead(self) -> int:
        return sum(posts for outcome, posts in self.post_outcomes.items() if outcome not in READABLE)


@dataclass(frozen=True, slots=True)
class StreamReport:
    """The newest hour of record time, over all partitions."""

    until_ms: int | None
    """End of the newest quarter of an hour with a record; None before the first plausible record time."""
    sources: Sequence[SourceOutcomes]
    """The largest first."""
    problems: Sequence[Problem]
    """The most severe kinds first, then the most posts."""
    near_misses: NearMisses

    @property
    def posts(self) -> int:
        return sum(source.posts for source in self.sources)

    @property
    def counted(self) -> int:
        return sum(source.counted for source in self.sources)

    def when(self, now_ms: int) -> str:
        """The hour in words."""
        if self.until_ms is None or abs(now_ms - self.until_ms) < 2 * HOUR_MS:
            return "in the last hour"
        return f"in the hour up to {datetime.fromtimestamp(self.until_ms / 1_000, UTC):%Y-%m-%d %H:%M} UTC"

    def banners(self, now_ms: int) -> list[str]:
        """Sentences about severe problems, for the page: a brand without episodes may only lack posts."""
        return [one.sentence(self.when(now_ms)) for one in self._severe]

    def notes(self, now_ms: int) -> list[str]:
        """Sentences about the other problems."""
        severe = self._severe
        return [one.sentence(self.when(now_ms)) for one in self.problems if one not in severe]

    @property
    def is_doubtful(self) -> bool:
        """Whether a severe problem affects a tenth of all posts, so that brands without episodes prove little."""
        return any(10 * one.posts >= self.posts for one in self._severe)

    @property
    def _severe(self) -> list[Problem]:
        # In a broad stream it is normal that few posts name a brand.
        return [one for one in self.problems if one.kind in SHOWN_ON_PAGE - ({"unmatched"} if self.counted else set())]


def stream_report(partitions: Iterable[PartitionStatus], *, since_ms: int | None = None) -> StreamReport:
    """Of the newest hour, or of all retained record time since *since_ms*."""
    statuses = list(partitions)
    post_outcomes = [status.post_outcomes for status in statuses]
    newest = max(map(newest_period, post_outcomes), default=0)
    since = newest - 4 if since_ms is None else since_ms // PERIOD_MS
    near = Counter[str]()
    for status in statuses:
        near.update(dict(status.near_misses))
    near_misses = tuple(sorted(near.items(), key=lambda one: (-one[1], one[0])))
    sources = outcomes_by_source(cells_of(post_outcomes, since=since, until=newest))
    # If nothing is counted, even a few posts are reported.
    fewest = FEWEST_POSTS if any(source.counted for source in sources) else 1
    problems = [problem for source in sources for problem in _problems(source, near_misses, fewest)]
    everything = _all_sources(sources)
    if since_ms is None:
        problems += _silent_sources(post_outcomes, newest)
    found = {problem.kind for problem in problems}
    problems += [problem for problem in _problems(everything, near_misses, fewest) if problem.kind not in found]
    kinds = list(LEAST_SHARE)
    problems.sort(key=lambda one: (kinds.index(one.kind), -one.posts, one.source))
    return StreamReport((newest + 1) * PERIOD_MS if newest else None, sources, problems, near_misses)


def _silent_sources(post_outcomes: Sequence[PostOutcomes], newest: int) -> list[Problem]:
    """Sources that sent steadily and then stopped while others continued."""
    last = newest - SILENT_PERIODS
    heard = {cell.source for cell in cells_of(post_outcomes, since=last, until=newest)}
    before: dict[str, Counter[int]] = {}
    for period in range(newest - PERIODS + 1, last):
        for cell in cells_of(post_outcomes, since=period, until=period):
            if cell.outcome not in EXTRA_COUNTS and cell.source not in (OTHER_SOURCES, NO_SOURCE):
                before.setdefault(cell.source, Counter())[period] += cell.posts
    found = []
    for source, posts in before.items():
        a_period = posts.total() / (PERIODS - SILENT_PERIODS - 1)
        missed = a_period * SILENT_PERIODS
        if source in heard or len(posts) < STEADY_PERIODS or missed < LEAST_MISSED:
            continue
        cause = f"it sent {a_period * HOUR_MS / PERIOD_MS:,.0f} an hour before, and other sources continue"
        remedy = "check the source and its producer; open alerts of brands that only it names stay open without posts"
        found.append(Problem("silent", shown_source(source), 0, round(missed), "silent", cause, remedy))
    return found


def outcomes_by_source(cells: Iterable[Cell]) -> list[SourceOutcomes]:
    """The sources with the most posts first."""
    by_source: dict[str, list[Cell]] = {}
    for cell in cells:
        by_source.setdefault(cell.source, []).append(cell)
    found = []
    for source, own in by_source.items():
        post_outcomes, extra_counts = Counter[str](), Counter[str]()
        for cell in own:
            (extra_counts if cell.outcome in EXTRA_COUNTS else post_outcomes)[cell.outcome] += cell.posts
        found.append(SourceOutcomes(source, post_outcomes, extra_counts, own))
    return sorted(found, key=lambda one: (-one.posts, one.source))


def _all_sources(sources: Sequence[SourceOutcomes]) -> SourceOutcomes:
    post_outcomes, extra_counts = Counter[str](), Counter[str]()
    for source in sources:
        post_outcomes.update(source.post_outcomes)
        extra_counts.update(source.extra_counts)
    return SourceOutcomes(
        ALL_SOURCES, post_outcomes, extra_counts, [cell for source in sources for cell in source.cells]
    )


def _problems(source: SourceOutcomes, near_misses: NearMisses, fewest: int) -> list[Problem]:
    found: list[Problem] = []

    def add(kind: Kind, posts: int, of: int, cause: Cause, reason: str = "") -> None:
        if of >= fewest and posts and posts >= LEAST_SHARE[kind] * of:
            name = ALL_SOURCES if everything else shown_source(source.source)
            found.append(Problem(kind, name, posts, of, reason or kind, cause.reason, cause.remedy))

    post_outcomes, posts = source.post_outcomes, source.posts
    everything = len({cell.source for cell in source.cells}) > 1
    if dead := source.dead:
        reason = max(
            (outcome for outcome in post_outcomes if outcome not in READABLE),
            key=lambda outcome: (post_outcomes[outcome], outcome),
        )
        add("dead", dead, posts, dead_cause(source.cells), reason)
    # Of counted posts: a broad stream in which few posts name a brand may be late as a whole.
    add("late", post_outcomes.get(LATE, 0), source.counted, late_cause(source.cells))
    named = source.counted + post_outcomes.get(UNREAD, 0)
    add("unread", post_outcomes.get(UNREAD, 0), named, UNREAD_CAUSE)
    add("unmatched", post_outcomes.get(UNMATCHED, 0), posts - dead, unmatched_cause(near_misses))
    add("repeated", post_outcomes.get(REPEATED, 0), posts, REPEATED_CAUSE)
    if not found and (cause := clock_cause(source.cells)) is not None:
        add("clock", source.counted, source.counted, cause)
    add("no_key", source.extra_counts.get(NO_KEY, 0), posts, NO_KEY_CAUSE)
    unknown = source.extra_counts.get(UNKNOWN_AUTHOR, 0)
    votes = f"each counts as one person, which is {unknown:,} of {source.counted:,} votes"
    add("unknown_author", unknown, source.counted, Cause(votes, "send the authors' ids if the source has them"))
    return found

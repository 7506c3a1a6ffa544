"""What is wrong with the posts that came lately, by source, with the likely cause and what to do. Pure.

Written for `doctor`, `stats`, the live page, the dead-letter limit and whoever waits for a file to be counted.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from brandpulse.state.keys import HOUR_MS
from brandpulse.state.outcomes.near_misses import NearMisses
from brandpulse.state.outcomes.post_outcomes import (
    BESIDE,
    LATE,
    NO_KEY,
    NO_OFFSET,
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
    Fates,
    cells_of,
    newest_period,
    offset_hours,
    shown_source,
)
from brandpulse.state.partition_state import PartitionStatus

Kind = Literal["dead", "late", "silent", "unmatched", "unread", "repeated", "clock", "no_key", "unknown_author"]

FEWEST_POSTS = 20
"""Of fewer posts of a source no share is reported."""
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
"""From this share of a source's posts on it is reported; `unknown_author` is of the counted posts."""
SHOWN_ON_PAGE: frozenset[Kind] = frozenset({"dead", "late", "silent", "unmatched", "unread"})
"""As banners; the others are notes."""
ALL_SOURCES = ""
SILENT_PERIODS = 2
"""A source is silent when nothing came from it in so many whole quarters of an hour, and in the one that runs."""
STEADY_PERIODS = 4
"""Of the five quarters before these, a source that may be missed sent in so many."""
LEAST_MISSED = 12.0
"""So many posts would have come in the silence: by chance none comes once in 160,000 times (Poisson)."""
_SAME_CLOCK = 0.6
"""So much of the posts within half an hour of one clock offset: the clock is off. Else the posts are just old."""
_FAR_HOURS = 14
_SINCE_1970_HOURS = 16_384 * 24
"""44 years: what lies between 1970 and a present time, at least."""

_LOCAL_TIME_OF = {
    -10: "Honolulu",
    -9: "Anchorage",
    -8: "Los Angeles",
    -7: "Los Angeles in summer, or Denver",
    -6: "Chicago",
    -5: "New York, or Chicago in summer",
    -4: "New York in summer",
    -3: "São Paulo",
    1: "London in summer, or Berlin",
    2: "Berlin in summer",
    3: "Moscow or Istanbul",
    4: "Dubai",
    5: "Karachi",
    5.5: "India",
    7: "Bangkok",
    8: "Singapore or China",
    9: "Tokyo",
    9.5: "Adelaide",
    10: "Sydney",
    11: "Sydney in summer",
    12: "Auckland",
    13: "Auckland in summer",
}

_DEAD_CAUSES: Mapping[str, tuple[str, str]] = {
    "wrong_field": ("a field is missing or wrong", "`brandpulse dlq list` names the field: mend the producer"),
    "not_json": ("the records hold no JSON object", "produce JSON as in schemas/post.v1.schema.json"),
    "not_utf8": ("the records are not in UTF-8", "encode the JSON in UTF-8"),
    "empty": ("the records have no value", "produce the post as the record's value"),
    "too_large": ("the records are larger than 256 KiB", "send posts, not documents"),
    "unmatchable": ("their texts break the matcher", "`brandpulse dlq list` shows them: report the error"),
    "unscorable": ("their texts break the model", "`brandpulse dlq list` shows them: report the error"),
}


@dataclass(frozen=True, slots=True)
class Cause:
    """Why posts are dead or late, and what to do."""

    saw: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What many posts of one source share."""

    kind: Kind
    source: str
    """As it is shown; `ALL_SOURCES` where no source by itself has enough posts."""
    posts: int
    """How many it is true of."""
    of: int
    reason: str
    """Of dead posts the commonest reason; else the kind."""
    cause: str
    remedy: str

    @property
    def share(self) -> float:
        return self.posts / self.of

    def sentence(self, when: str) -> str:
        """For a person; *when*: `StreamReport.when`."""
        if self.kind == "silent":
            return (
                f"No posts came from '{self.source}' for {SILENT_PERIODS * PERIOD_MS // 60_000} minutes: {self.cause}."
            )
        some = "All" if self.share == 1 else f"{min(99, round(100 * self.share))} % of the"
        whose = f" from '{self.source}'" if self.source else ""
        counted = "counted " if self.kind in ("late", "clock", "unknown_author") else ""
        return f"{some} {counted}posts{whose} {when} {_BECAME[self.kind]}: {self.cause}."


_BECAME: Mapping[Kind, str] = {
    "dead": "are dead letters and not counted",
    "late": "came too late to be alerted on",
    "silent": "came",
    "unmatched": "name no brand and count for none",
    "unread": "are not read by the model and count for no brand",
    "repeated": "repeat an id and are not counted again",
    "clock": "carry a time far from their record's",
    "no_key": "have no Kafka key",
    "unknown_author": "have no known author",
}


@dataclass(frozen=True, slots=True)
class SourceFates:
    """What became of one source's posts."""

    source: str
    """As it was sent."""
    fates: Mapping[str, int]
    """Fate -> posts; see `brandpulse.state.outcomes.post_outcomes`."""
    beside: Mapping[str, int] = field(default_factory=dict)
    cells: Sequence[Cell] = ()

    @property
    def posts(self) -> int:
        return sum(self.fates.values())

    @property
    def counted(self) -> int:
        return self.fates.get(ON_TIME, 0) + self.fates.get(LATE, 0)

    @property
    def dead(self) -> int:
        return sum(posts for fate, posts in self.fates.items() if fate not in READABLE)


@dataclass(frozen=True, slots=True)
class StreamReport:
    """The newest hour of record time, over all partitions."""

    until_ms: int | None
    """End of the newest quarter of an hour with a record; None before the first plausible record time."""
    sources: Sequence[SourceFates]
    """The largest first."""
    problems: Sequence[Problem]
    """The gravest kinds first, then the most posts."""
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
        """Sentences for the page: those after which calm brands mean little."""
        return [one.sentence(self.when(now_ms)) for one in self._grave]

    def notes(self, now_ms: int) -> list[str]:
        """Sentences about the other problems."""
        grave = self._grave
        return [one.sentence(self.when(now_ms)) for one in self.problems if one not in grave]

    @property
    def is_doubtful(self) -> bool:
        """Whether so many posts are missing from the counts, or from alerts, that calm brands mean little."""
        return any(10 * one.posts >= self.posts for one in self._grave)

    @property
    def _grave(self) -> list[Problem]:
        # Of a broad stream few posts name a brand, and that is how it should be.
        return [one for one in self.problems if one.kind in SHOWN_ON_PAGE - ({"unmatched"} if self.counted else set())]


def stream_report(partitions: Iterable[PartitionStatus], *, since_ms: int | None = None) -> StreamReport:
    """Of the newest hour, or of all that is kept since a moment of record time."""
    statuses = list(partitions)
    fates = [status.fates for status in statuses]
    newest = max(map(newest_period, fates), default=0)
    since = newest - 4 if since_ms is None else since_ms // PERIOD_MS
    near = Counter[str]()
    for status in statuses:
        near.update(dict(status.near_misses))
    near_misses = tuple(sorted(near.items(), key=lambda one: (-one[1], one[0])))
    sources = fates_by_source(cells_of(fates, since=since, until=newest))
    # Where nothing is counted, a few posts are worth a word.
    fewest = FEWEST_POSTS if any(source.counted for source in sources) else 1
    problems = [problem for source in sources for problem in _problems(source, near_misses, fewest)]
    everything = _all_sources(sources)
    if since_ms is None:
        problems += _silent_sources(fates, newest)
    found = {problem.kind for problem in problems}
    problems += [problem for problem in _problems(everything, near_misses, fewest) if problem.kind not in found]
    kinds = list(LEAST_SHARE)
    problems.sort(key=lambda one: (kinds.index(one.kind), -one.posts, one.source))
    return StreamReport((newest + 1) * PERIOD_MS if newest else None, sources, problems, near_misses)


def _silent_sources(fates: Sequence[Fates], newest: int) -> list[Problem]:
    """Sources that sent steadily, and then nothing while others went on."""
    last = newest - SILENT_PERIODS
    heard = {cell.source for cell in cells_of(fates, since=last, until=newest)}
    before: dict[str, Counter[int]] = {}
    for period in range(newest - PERIODS + 1, last):
        for cell in cells_of(fates, since=period, until=period):
            if cell.fate not in BESIDE and cell.source not in (OTHER_SOURCES, NO_SOURCE):
                before.setdefault(cell.source, Counter())[period] += cell.posts
    found = []
    for source, posts in before.items():
        a_period = posts.total() / (PERIODS - SILENT_PERIODS - 1)
        missed = a_period * SILENT_PERIODS
        if source in heard or len(posts) < STEADY_PERIODS or missed < LEAST_MISSED:
            continue
        cause = f"it sent {a_period * HOUR_MS / PERIOD_MS:,.0f} an hour before, and other sources go on"
        remedy = "check the source and its producer; open alerts of brands that only it names wait for posts"
        found.append(Problem("silent", shown_source(source), 0, round(missed), "silent", cause, remedy))
    return found


def fates_by_source(cells: Iterable[Cell]) -> list[SourceFates]:
    """The sources with the most posts first."""
    by_source: dict[str, list[Cell]] = {}
    for cell in cells:
        by_source.setdefault(cell.source, []).append(cell)
    found = []
    for source, own in by_source.items():
        fates, beside = Counter[str](), Counter[str]()
        for cell in own:
            (beside if cell.fate in BESIDE else fates)[cell.fate] += cell.posts
        found.append(SourceFates(source, fates, beside, own))
    return sorted(found, key=lambda one: (-one.posts, one.source))


def _all_sources(sources: Sequence[SourceFates]) -> SourceFates:
    fates, beside = Counter[str](), Counter[str]()
    for source in sources:
        fates.update(source.fates)
        beside.update(source.beside)
    return SourceFates(ALL_SOURCES, fates, beside, [cell for source in sources for cell in source.cells])


def _problems(source: SourceFates, near_misses: NearMisses, fewest: int) -> list[Problem]:
    found: list[Problem] = []

    def add(kind: Kind, posts: int, of: int, cause: Cause, reason: str = "") -> None:
        if of >= fewest and posts and posts >= LEAST_SHARE[kind] * of:
            name = ALL_SOURCES if everything else shown_source(source.source)
            found.append(Problem(kind, name, posts, of, reason or kind, cause.saw, cause.remedy))

    fates, posts = source.fates, source.posts
    everything = len({cell.source for cell in source.cells}) > 1
    if dead := source.dead:
        reason = max((fate for fate in fates if fate not in READABLE), key=lambda fate: (fates[fate], fate))
        add("dead", dead, posts, dead_cause(source.cells), reason)
    # Of posts that are counted: a broad stream of which few name a brand may be late as a whole.
    add("late", fates.get(LATE, 0), source.counted, late_cause(source.cells))
    named = source.counted + fates.get(UNREAD, 0)
    add("unread", fates.get(UNREAD, 0), named, _UNREAD_CAUSE)
    add("unmatched", fates.get(UNMATCHED, 0), posts - dead, _unmatched_cause(near_misses))
    add("repeated", fates.get(REPEATED, 0), posts, _REPEATED_CAUSE)
    if not found and (cause := _clock_cause(source.cells)) is not None:
        add("clock", source.counted, source.counted, cause)
    add("no_key", source.beside.get(NO_KEY, 0), posts, _NO_KEY_CAUSE)
    unknown = source.beside.get(UNKNOWN_AUTHOR, 0)
    voted = f"each counts as one person, which is {unknown:,} of {source.counted:,} votes"
    add("unknown_author", unknown, source.counted, Cause(voted, "send the authors' ids where the source has them"))
    return found


_UNREAD_CAUSE = Cause(
    "they are in a language or script that the model was not trained on",
    "use a model of these languages (BRANDPULSE_WORKER_WEIGHTS); what counts are the posts that it reads",
)
_REPEATED_CAUSE = Cause(
    "a producer sends again what it sent before, or gives one id to many posts",
    "compare ids with `brandpulse dlq list` and the source; harmless if it is a resend",
)
_NO_KEY_CAUSE = Cause(
    "the same id may lie in two partitions, and then counts in each",
    "produce with the post's id as the record's key",
)


def _unmatched_cause(near_misses: NearMisses) -> Cause:
    if near_misses:
        words = ", ".join(f"{word} ({posts:,})" for word, posts in near_misses[:5])
        return Cause(f"common near misses are {words}", "add these spellings to the brand in the brands file")
    return Cause(
        "no term, handle or hashtag of the brands file stands in them",
        "compare the brands file with what people write; docs/reference/matching.md says how words are matched",
    )


def dead_cause(cells: Iterable[Cell]) -> Cause:
    """The likely cause of dead letters, by the commonest reason among *cells*."""
    dead = [cell for cell in cells if cell.fate not in READABLE and cell.fate not in BESIDE]
    reasons = Counter[str]()
    for cell in dead:
        reasons[cell.fate] += cell.posts
    if not reasons:
        return Cause("the cause is not known", "see `brandpulse dlq list`")
    reason = max(reasons, key=lambda one: (reasons[one], one))
    if reason in _DEAD_CAUSES:
        return Cause(*_DEAD_CAUSES[reason])
    hours = _dominant(cell for cell in dead if cell.fate == reason)
    if reason == "from_the_future":
        return _ahead_cause(hours)
    return _old_cause(hours, dead=True)


def late_cause(cells: Iterable[Cell]) -> Cause:
    return _old_cause(_dominant(cell for cell in cells if cell.fate == LATE), dead=False)


def _ahead_cause(hours: float | None) -> Cause:
    again = "then `brandpulse dlq allow`, and `brandpulse dlq redrive` once their time has come"
    if hours is not None and hours >= _SINCE_1970_HOURS:
        return Cause(
            "the Kafka timestamps of the records lie near 1970: they are in seconds, and Kafka's unit is milliseconds",
            "send timestamps in milliseconds, or none at all; then `brandpulse dlq allow` and `brandpulse dlq redrive`",
        )
    if hours is None:
        return Cause("created_at lies after the record's timestamp, by different times", f"set its clock; {again}")
    if hours > _FAR_HOURS:
        days = hours / 24
        return Cause(f"its clock is {days:.0f} days ahead, or more", f"set the clock or mend created_at; {again}")
    place = _LOCAL_TIME_OF.get(hours)
    zone = f", or it writes local times as UTC ({place})" if place else ""
    return Cause(f"its clock is {_hours(hours)} ahead{zone}", f"set the clock, or give created_at its zone; {again}")


def _old_cause(hours: float | None, *, dead: bool) -> Cause:
    if hours is not None and hours <= -_SINCE_1970_HOURS:
        return Cause(
            "created_at lies near 1970: seconds since 1970 were read as milliseconds",
            "multiply the source's seconds by 1,000 before the date is made of them",
        )
    if hours is not None and -_FAR_HOURS <= hours <= -0.5:
        place = _LOCAL_TIME_OF.get(hours)
        if place:
            return Cause(
                f"its clock is {_hours(-hours)} behind, or its times are local times without a zone ({place})",
                "give created_at its zone, for example -05:00; or set the clock of the source",
            )
        return Cause(
            f"its clock is {_hours(-hours)} behind, or its posts arrive {_hours(-hours)} after they were written",
            "set the clock of the source; posts that come that late count, and are not alerted on",
        )
    into = "put a backfill into a namespace of its own (BRANDPULSE_NAMESPACE, BRANDPULSE_POSTS_TOPIC)"
    if dead:
        return Cause("they are older than the counts that are kept: a backfill, or wrong dates", into)
    if hours is not None and -0.5 < hours < 0.5:
        return Cause(
            "other sources are ahead of it, or its posts do not come in the order of their times",
            "send posts in the order of created_at; late posts count, and are not alerted on",
        )
    return Cause(
        "it is a backfill: the posts are older than others that came before, or not in the order of their times",
        f"sort the posts by created_at, or {into}",
    )


def _clock_cause(cells: Iterable[Cell]) -> Cause | None:
    """Of a source whose posts count on time, since no other source tells the time."""
    on_time = [cell for cell in cells if cell.fate == ON_TIME]
    hours = _dominant(on_time)
    if hours is None or not -_FAR_HOURS <= hours <= -1:
        return None
    cause = _old_cause(hours, dead=False)
    return Cause(f"{cause.saw}; or they are a file of that time", f"{cause.remedy}; counts stand at those times")


def _dominant(cells: Iterable[Cell]) -> float | None:
    """The clock offset in hours of most posts; None where there is no such."""
    posts = Counter[int]()
    for cell in cells:
        if cell.offset != NO_OFFSET:
            posts[cell.offset] += cell.posts
    if not posts:
        return None
    near = {number: posts[number - 1] + posts[number] + posts[number + 1] for number in posts}
    best = max(near, key=lambda number: (near[number], posts[number], -number))
    if near[best] >= _SAME_CLOCK * posts.total():
        return offset_hours(best)
    hours = {number: offset_hours(number) or 0.0 for number in posts}
    for sign in (1, -1):
        # Years apart in other words: of seconds taken for milliseconds two numbers may be met.
        far = sum(posts[number] for number, value in hours.items() if sign * value >= _SINCE_1970_HOURS)
        if far >= _SAME_CLOCK * posts.total():
            return float(sign * _SINCE_1970_HOURS)
    return None


def _hours(hours: float) -> str:
    return f"{hours:g} hour{'' if hours == 1 else 's'}"

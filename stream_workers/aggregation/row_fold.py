"""Folds scored posts of one partition into the change that one Lua call will make. Pure: no clock, no I/O.

`plan` says what must be read first (which panes, which ids may be repeats); `fold` takes what was read and returns the
`Change`. Both see the records in offset order, and nothing depends on where a batch was cut.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import msgspec

from brandpulse.schema.dead_letters import RecordId
from brandpulse.schema.unknown_authors import is_unknown
from brandpulse.state.author_sketches import Authors
from brandpulse.state.keys import DAY_MS, HOUR_MS, MINUTE_MS
from brandpulse.state.outcomes.near_misses import with_near_misses
from brandpulse.state.outcomes.post_outcomes import LATE as FATE_LATE
from brandpulse.state.outcomes.post_outcomes import (
    NO_KEY,
    NO_OFFSET,
    REPEATED,
    UNKNOWN_AUTHOR,
    UNMATCHED,
    UNREAD,
    Added,
    newest_period,
    offset_number,
    with_added,
)
from brandpulse.state.outcomes.post_outcomes import ON_TIME as FATE_ON_TIME
from brandpulse.state.panes import EMPTY_PANE, IRRELEVANT, Pane
from brandpulse.state.partition_state import PartitionStatus
from brandpulse.state.stored_posts import NegativePost
from stream_workers.aggregation.deduplication import RepeatLimits, RepeatMemory
from stream_workers.aggregation.event_time import FROM_THE_FUTURE, LATE, ON_TIME, Retention, Verdict, judge
from stream_workers.aggregation.hour_posts import AT_ONCE, Allowed, HourPosts, hour_posts_of
from stream_workers.aggregation.outcome_counts import FateCounter
from stream_workers.aggregation.post_sample import SampleBounds, Samples, samples_of
from stream_workers.aggregation.recent_posts import newest_negatives
from stream_workers.aggregation.redrive_tracker import Redriven
from stream_workers.decoding.post_decoder import Dead, Decoded, post_digest
from stream_workers.decoding.records import Record
from stream_workers.scoring.facet_matcher import Facets
from stream_workers.scoring.post_scores import NEGATIVE, Judged, Towards

HOUR_MINUTES = HOUR_MS // MINUTE_MS
Span = Literal["minute", "hour"]


class Cell(NamedTuple):
    """Address of one pane: a minute of an hour, or an hour of a day; `bucket` counts them since 1970."""

    span: Span
    brand: str
    """Or the series of one of its facets, `brandpulse.state.keys.facet_series`."""
    bucket: int


class Scored(msgspec.Struct, frozen=True, gc=False):
    """One readable post that names a brand, judged by the model."""

    decoded: Decoded
    brands: tuple[Towards, ...]
    """A verdict for each brand it names: a post may be bad news for one and good for the other."""
    author: int
    """Keyed hash, signed 64 bits."""
    mask: Callable[[str], str]
    """Takes private things out of a text; asked only for posts that are kept for people to read."""
    heads: Mapping[str, Sequence[float]]
    """What the model says of the whole post, by head; `sentiment` is always there."""
    digest: bytes
    """Of (source, id), for the repeat memory."""
    facets: tuple[tuple[str, Towards], ...] = ()
    """Series of each facet that it is in, and the verdict it counts there with: the one on the facet's brand."""

    @property
    def masked_text(self) -> str:
        return self.mask(self.decoded.post.text)


def scored(
    decoded: Decoded,
    brands: Sequence[str],
    judged: Judged,
    *,
    author: int,
    mask: Callable[[str], str],
    facets: Facets | None = None,
    worded: Collection[int] = (),
    digest: bytes | None = None,
) -> Scored:
    """*decoded* with the model's verdicts, and what follows from both. *worded*: the facets whose words it has.
    *digest*: as `Scored.digest`, where it is known."""
    verdicts = tuple(map(Towards, brands, judged.targets, judged.labels, judged.score_micros, judged.urgency))
    return Scored(
        decoded,
        verdicts,
        author,
        mask,
        judged.heads,
        digest or post_digest(decoded.post.source, decoded.post.id),
        () if facets is None else facets.of(worded, judged.heads, verdicts),
    )


class Unmatched(msgspec.Struct, frozen=True, gc=False):
    """A readable post that names none of our brands. It moves the clock, and is counted as unmatched."""

    decoded: Decoded
    unread: bool = False
    """It names one, in a language that the model does not read: it is counted as unread instead."""


Outcome = Scored | Unmatched | Dead


@dataclass(frozen=True, slots=True)
class Stored:
    """What `fold` needs to know of the store, read after the previous change was applied."""

    repeats: Mapping[bytes, int] = field(default_factory=dict)
    """Those digests of the batch that are in the repeat memory -> number of the newest generation that holds them."""
    panes: Mapping[Cell, Pane] = field(default_factory=dict)
    authors: Mapping[Cell, bytes] = field(default_factory=dict)
    redriven: Collection[bytes] = frozenset()
    """Those identities of redriven posts in the batch that are done already."""
    moved_to: int | None = None
    """Where the state stands (-1: nowhere), if not at the status asked about. Nothing may be folded on this then: a
    store that lost its tail may stand there again, and would take a change that was computed from what came later."""


@dataclass(frozen=True, slots=True)
class Change:
    """Everything one batch does to its partition, applied at once or not at all."""

    status: PartitionStatus
    """As it will be: `next`, clock and counters moved on."""
    from_offset: int
    from_writer: str
    """Who wrote last, as it was read; as with `from_offset`, nothing applies where it is another."""
    panes: Mapping[Cell, Pane]
    """Absolute values, not differences: safe because nothing applies unless `next` still stands at `from_offset`."""
    authors: Mapping[Cell, bytes]
    new_ids: Mapping[int, Sequence[bytes]]
    """Digests to remember, by generation."""
    dropped_generations: Sequence[int]
    negatives: Mapping[str, Sequence[NegativePost]]
    """The newest by event time, whatever the order of arrival; of a facet's series its newest, negative or not."""
    counted: Sequence[Scored]
    dead: Sequence[Dead]
    redriven: Mapping[bytes, int] = field(default_factory=dict)
    """Identities of redriven posts to remember -> offset of the post sent again."""
    origins: Mapping[int, RecordId] = field(default_factory=dict)
    """Offset -> first identity, of all redriven posts in the batch."""
    samples: Samples = field(default_factory=dict)
    """Posts to offer to the samples of their days."""
    hour_posts: HourPosts = field(default_factory=dict)
    """Posts to offer to what is kept of their hours."""
    tally: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """(brand, label) -> posts among `counted`."""
    record_posts: Mapping[int, int] = field(default_factory=dict)
    """Kafka timestamp (ms) -> posts among `counted` whose record has it; records without a timestamp are left out."""
    fates: Added = field(default_factory=dict)
    """What became of the batch's posts, by period and source."""


def plan(outcomes: Sequence[Outcome]) -> tuple[list[bytes], list[Cell]]:
    """Digests whose membership, and cells whose value, must be read before `fold`."""
    digests: list[bytes] = []
    minutes: dict[tuple[str, int], None] = {}
    for outcome in outcomes:
        if isinstance(outcome, Scored):
            digests.append(outcome.digest)
            minute = outcome.decoded.event_ms // MINUTE_MS
            for verdict in outcome.brands:
                minutes[verdict.brand, minute] = None
            for series, _ in outcome.facets:
                minutes[series, minute] = None
    hours = {(brand, minute // HOUR_MINUTES): None for brand, minute in minutes}
    return digests, [
        *(Cell("minute", brand, minute) for brand, minute in minutes),
        *(Cell("hour", brand, hour) for brand, hour in hours),
    ]


_COLUMNS = (0, 1, 2, 4)
"""Where `_Tally` counts each label; between them lies the score sum, as in a `Pane`."""


@dataclass(slots=True)
class _Tally:
    """What a batch adds to one cell."""

    counts: list[int] = field(default_factory=lambda: [0] * 5)
    """negative, neutral, positive, score_micros, irrelevant"""
    authors: Authors | None = None


@dataclass(slots=True)
class _Minute:
    """What a batch adds to one minute of a brand and, by it, to its hour: most posts count in both alike."""

    hour: _Tally
    both: _Tally = field(default_factory=_Tally)
    """Posts that count in the minute and the hour, and the minute's authors."""


class _Sums:
    """What a batch adds to its cells, before it is added to what is stored."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self._minutes: dict[tuple[str, int], _Minute] = {}
        self._hours: dict[tuple[str, int], _Tally] = {}

    def add(self, brand: str, verdict: Towards, minute: int, author: int, *, counts: bool, votes: bool) -> None:
        """Count in the hour of *brand*, or of a facet's series; with *counts* in the minute too, and with *votes* its
        author there."""
        label = verdict.label
        at = self._minutes.get((brand, minute))
        if at is None:
            hour = self._hours.setdefault((brand, minute // HOUR_MINUTES), _Tally())
            at = self._minutes[brand, minute] = _Minute(hour)
        tallied = (at.both if counts else at.hour).counts
        tallied[_COLUMNS[label]] += 1
        tallied[3] += verdict.score_micros
        if label == IRRELEVANT:
            # Who wrote nothing about the brand has no vote on it.
            return
        in_hour = at.hour.authors
        if in_hour is None:
            in_hour = at.hour.authors = self._sketch(Cell("hour", brand, minute // HOUR_MINUTES))
        in_hour.add(author, negative=label == NEGATIVE)
        if counts and votes:
            in_minute = at.both.authors
            if in_minute is None:
                in_minute = at.both.authors = self._sketch(Cell("minute", brand, minute))
            in_minute.add(author, negative=label == NEGATIVE)

    def panes(self) -> dict[Cell, Pane]:
        added = {Cell("minute", brand, minute): at.both.counts for (brand, minute), at in self._minutes.items()}
        hours = {place: list(tally.counts) for place, tally in self._hours.items()}
        for (brand, minute), at in self._minutes.items():
            hour = hours[brand, minute // HOUR_MINUTES]
            for column, count in enumerate(at.both.counts):
                hour[column] += count
        added |= {Cell("hour", *place): counts for place, counts in hours.items()}
        return {
            cell: self._stored.panes.get(cell, EMPTY_PANE) + Pane(*counts)
            for cell, counts in added.items()
            if any(counts)
        }

    def authors(self) -> dict[Cell, bytes]:
        minutes = ((Cell("minute", *place), at.both.authors) for place, at in self._minutes.items())
        hours = ((Cell("hour", *place), tally.authors) for place, tally in self._hours.items())
        return {cell: authors.encode() for cell, authors in (*minutes, *hours) if authors is not None}

    def _sketch(self, cell: Cell) -> Authors:
        before = self._stored.authors.get(cell)
        return Authors() if before is None else Authors.decode(before)


def fold(  # noqa: PLR0915 - one loop, in which each post meets one fate
    status: PartitionStatus,
    outcomes: Sequence[Outcome],
    to_offset: int,
    stored: Stored,
    *,
    retention: Retention,
    limits: RepeatLimits,
    epoch: int = -1,
    origins: Mapping[int, RecordId] | None = None,
    bounds: SampleBounds | None = None,
    most_posts: Allowed = AT_ONCE,
    writer: str = "",
    near_misses: Mapping[str, int] | None = None,
) -> Change:
    """The change that *outcomes*, in offset order, make to a partition that stands at *status*.

    *origins*: offset -> first identity, of posts that were dead letters and were sent again. Such a post is done once,
    and a further death of it is no new one. *bounds* spare work: what the store holds then does not hang on them.
    *most_posts*: so many are offered to what is kept of their hours. *writer*: whose change it is. *near_misses*: of a
    sample of the unmatched posts.
    """
    bounds = bounds or SampleBounds()
    clock, lateness_ms = status.clock_ms, retention.lateness_ms
    minutes_ms, authors_ms = retention.minutes_ms, retention.authors_ms
    late = repeated = unmatched = unread = keyless = 0
    fates = FateCounter(newest_period(status.fates))
    sums = _Sums(stored)
    memory = RepeatMemory(status.generations, stored.repeats, limits)
    counted: list[Scored] = []
    dead: list[Dead] = []
    again = Redriven(origins or {}, stored.redriven)
    for outcome in outcomes:
        record = _record(outcome)
        source = outcome.source if isinstance(outcome, Dead) else outcome.decoded.post.source
        fates.moved(record.record_ms)
        sent_again = bool(origins) and record.offset in (origins or {})
        if record.key is None:
            keyless += 1
            fates.add(source, NO_KEY)
        if origins and again.done(record.offset, dead):
            repeated += 1
            fates.add(source, REPEATED)
            continue
        if isinstance(outcome, Dead):
            dead.append(outcome)
            if not sent_again:
                fates.add(source, outcome.reason)
            continue
        decoded = outcome.decoded
        event_ms = decoded.event_ms
        # The record of a letter that was sent again is as old as the sending, not as the post.
        offset = NO_OFFSET if sent_again else offset_number(event_ms, record.record_ms)
        if isinstance(outcome, Scored) and memory.holds(outcome.digest):
            repeated += 1
            fates.add(source, REPEATED, offset)
            continue
        verdict, clock = judge(event_ms, record.record_ms, clock, retention)
        if verdict is not ON_TIME and verdict is not LATE:
            dead.append(Dead(record, verdict.value, _explain(verdict, decoded, clock), source))
            if not sent_again:
                fates.add(source, verdict.value, offset)
            continue
        if isinstance(outcome, Unmatched):
            unmatched += not outcome.unread
            unread += outcome.unread
            fates.add(source, UNREAD if outcome.unread else UNMATCHED, offset)
            continue
        late += verdict is LATE
        fates.add(source, FATE_LATE if verdict is LATE else FATE_ON_TIME, offset)
        if is_unknown(decoded.post.author_id):
            fates.add(source, UNKNOWN_AUTHOR)
        memory.add(outcome.digest, clock)
        counted.append(outcome)
        age = clock - lateness_ms - event_ms
        counts, votes, minute = age <= minutes_ms, age <= authors_ms, event_ms // MINUTE_MS
        for said in outcome.brands:
            sums.add(said.brand, said, minute, outcome.author, counts=counts, votes=votes)
        for series, said in outcome.facets:
            sums.add(series, said, minute, outcome.author, counts=counts, votes=votes)
    return Change(
        status=replace(
            status,
            next=to_offset,
            epoch=epoch,
            clock_ms=clock,
            lateness_ms=retention.lateness_ms,
            late=status.late + late,
            repeated=status.repeated + repeated,
            unmatched=status.unmatched + unmatched,
            unread=status.unread + unread,
            keyless=status.keyless + keyless,
            fates=with_added(status.fates, fates.added),
            near_misses=with_near_misses(status.near_misses, near_misses or {}),
            dead=status.dead + len(dead) - again.deaths(dead),
            redriven=status.redriven + len(again.finished(dead)),
            generations=memory.generations,
            writer=writer,
        ),
        from_offset=status.next,
        from_writer=status.writer,
        panes=sums.panes(),
        authors=sums.authors(),
        new_ids=memory.added,
        dropped_generations=memory.dropped,
        negatives=newest_negatives(counted),
        counted=counted,
        dead=dead,
        redriven=again.finished(dead),
        origins=origins or {},
        samples=samples_of(counted, bounds, watermark_ms=clock - retention.lateness_ms),
        hour_posts=hour_posts_of(counted, bounds.hours, watermark_ms=clock - retention.lateness_ms, most=most_posts),
        tally=Counter((said.brand, said.label) for post in counted for said in post.brands),
        record_posts=Counter(ms for post in counted if (ms := post.decoded.record.record_ms) >= 0),
        fates=fates.added,
    )


def _record(outcome: Outcome) -> Record:
    return outcome.record if isinstance(outcome, Dead) else outcome.decoded.record


def _explain(verdict: Verdict, decoded: Decoded, clock_ms: int) -> str:
    when = decoded.post.created_at.isoformat()
    if verdict is FROM_THE_FUTURE:
        ahead = (decoded.event_ms - decoded.record.record_ms) / 1_000
        return f"created_at {when} lies {ahead:.0f} s after its Kafka record's timestamp; at most 300 s are believed"
    days = (clock_ms - decoded.event_ms) / DAY_MS
    return (
        f"created_at {when} lies {days:.0f} days behind the newest post of its partition, past the horizon of hour "
        "panes; put a backfill into a namespace of its own (BRANDPULSE_NAMESPACE, BRANDPULSE_POSTS_TOPIC)"
    )

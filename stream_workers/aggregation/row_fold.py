"""Folds scored posts of one partition into the change of one Lua call. Pure: no clock, no I/O.

`plan_rows` returns what must be read first (which panes, which ids may be duplicates). `fold_rows` takes what was read
and returns the `Change`. Both take the records in offset order, and batch boundaries change nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from brandpulse.schema.dead_letters import RecordId
from brandpulse.schema.unknown_authors import is_unknown
from brandpulse.state.author_sketches import Authors
from brandpulse.state.keys import DAY_MS, MINUTE_MS
from brandpulse.state.outcomes.post_outcomes import LATE as OUTCOME_LATE
from brandpulse.state.outcomes.post_outcomes import (
    NO_KEY,
    NO_OFFSET,
    REPEATED,
    UNKNOWN_AUTHOR,
    UNMATCHED,
    UNREAD,
    newest_period,
    offset_number,
)
from brandpulse.state.outcomes.post_outcomes import ON_TIME as OUTCOME_ON_TIME
from brandpulse.state.panes import EMPTY_PANE, IRRELEVANT, Pane
from brandpulse.state.partition_state import PartitionStatus
from stream_workers.aggregation.deduplication import DedupLimits, DedupWindow
from stream_workers.aggregation.event_time import (
    FROM_THE_FUTURE,
    LATE,
    ON_TIME,
    Retention,
    Timeliness,
    classify_event_time,
)
from stream_workers.aggregation.hour_posts import BURST, PostAllowance, hour_posts_from_rows
from stream_workers.aggregation.language_counts import count_rows
from stream_workers.aggregation.outcome_counts import OutcomeCounter
from stream_workers.aggregation.post_sample import SampleBounds, samples_from_rows
from stream_workers.aggregation.recent_posts import newest_negatives_from_rows
from stream_workers.aggregation.redrive_tracker import RedriveTracker
from stream_workers.aggregation.types import (
    HOUR_MINUTES,
    Cell,
    Change,
    CounterDeltas,
    Outcome,
    Scored,
    Stored,
    Unmatched,
    build_change,
)
from stream_workers.decoding.post_decoder import DeadRecord, DecodedPost
from stream_workers.decoding.records import Record
from stream_workers.scoring.post_scores import NEGATIVE, BrandScore


def plan_rows(outcomes: Sequence[Outcome]) -> tuple[list[bytes], list[Cell]]:
    """Digests and cells that must be read from the store before `fold_rows`."""
    digests: list[bytes] = []
    minutes: dict[tuple[str, int], None] = {}
    for outcome in outcomes:
        if isinstance(outcome, Scored):
            digests.append(outcome.digest)
            minute = outcome.decoded.event_ms // MINUTE_MS
            for score in outcome.brands:
                minutes[score.brand, minute] = None
            for series, _ in outcome.facets:
                minutes[series, minute] = None
    hours = {(brand, minute // HOUR_MINUTES): None for brand, minute in minutes}
    return digests, [
        *(Cell("minute", brand, minute) for brand, minute in minutes),
        *(Cell("hour", brand, hour) for brand, hour in hours),
    ]


_COLUMNS = (0, 1, 2, 4)
"""Index of each label's count in `_Tally`; index 3 is the score sum, as in a `Pane`."""


@dataclass(slots=True)
class _Tally:
    """What a batch adds to one cell."""

    counts: list[int] = field(default_factory=lambda: [0] * 5)
    """negative, neutral, positive, score_micros, irrelevant"""
    authors: Authors | None = None


@dataclass(slots=True)
class _Minute:
    """What a batch adds to one minute of a brand and to its hour: most posts count in both."""

    hour: _Tally
    both: _Tally = field(default_factory=_Tally)
    """Posts that count in the minute and the hour, and the minute's authors."""


class _Sums:
    """What a batch adds to its cells, before it is added to the stored values."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self._minutes: dict[tuple[str, int], _Minute] = {}
        self._hours: dict[tuple[str, int], _Tally] = {}

    def add(
        self, brand: str, score: BrandScore, minute: int, author: int, *, in_minute: bool, author_in_minute: bool
    ) -> None:
        """Count in the hour of *brand*, or of a facet's series; with *in_minute* in the minute too, and with
        *author_in_minute* its author there."""
        label = score.label
        at = self._minutes.get((brand, minute))
        if at is None:
            hour = self._hours.setdefault((brand, minute // HOUR_MINUTES), _Tally())
            at = self._minutes[brand, minute] = _Minute(hour)
        counts = (at.both if in_minute else at.hour).counts
        counts[_COLUMNS[label]] += 1
        counts[3] += score.score_micros
        if label == IRRELEVANT:
            # The author of an irrelevant post is not counted.
            return
        hour_authors = at.hour.authors
        if hour_authors is None:
            hour_authors = at.hour.authors = self._sketch(Cell("hour", brand, minute // HOUR_MINUTES))
        hour_authors.add(author, negative=label == NEGATIVE)
        if in_minute and author_in_minute:
            minute_authors = at.both.authors
            if minute_authors is None:
                minute_authors = at.both.authors = self._sketch(Cell("minute", brand, minute))
            minute_authors.add(author, negative=label == NEGATIVE)

    def panes(self) -> dict[Cell, Pane]:
        added = {Cell("minute", brand, minute): at.both.counts for (brand, minute), at in self._minutes.items()}
        hours = {address: list(tally.counts) for address, tally in self._hours.items()}
        for (brand, minute), at in self._minutes.items():
            hour = hours[brand, minute // HOUR_MINUTES]
            for column, count in enumerate(at.both.counts):
                hour[column] += count
        added |= {Cell("hour", *address): counts for address, counts in hours.items()}
        return {
            cell: self._stored.panes.get(cell, EMPTY_PANE) + Pane(*counts)
            for cell, counts in added.items()
            if any(counts)
        }

    def authors(self) -> dict[Cell, bytes]:
        minutes = ((Cell("minute", *address), at.both.authors) for address, at in self._minutes.items())
        hours = ((Cell("hour", *address), tally.authors) for address, tally in self._hours.items())
        return {cell: authors.encode() for cell, authors in (*minutes, *hours) if authors is not None}

    def _sketch(self, cell: Cell) -> Authors:
        before = self._stored.authors.get(cell)
        return Authors() if before is None else Authors.decode(before)


def fold_rows(  # noqa: PLR0915 - one loop with one branch per outcome
    status: PartitionStatus,
    outcomes: Sequence[Outcome],
    to_offset: int,
    stored: Stored,
    *,
    retention: Retention,
    limits: DedupLimits,
    epoch: int = -1,
    origins: Mapping[int, RecordId] | None = None,
    bounds: SampleBounds | None = None,
    allowance: PostAllowance = BURST,
    writer: str = "",
    near_misses: Mapping[str, int] | None = None,
) -> Change:
    """The change that *outcomes*, in offset order, make to a partition at *status*.

    *origins*: offset -> original identity, of redriven dead letters. Such a post counts once, and a further death is
    not counted again. *bounds* only save work: the stored result does not depend on them. *allowance*: posts offered
    for their hours. *writer*: the token of this writer. *near_misses*: counts in a sample of the unmatched posts.
    """
    bounds = bounds or SampleBounds()
    clock, lateness_ms = status.clock_ms, retention.lateness_ms
    minutes_ms, authors_ms = retention.minutes_ms, retention.authors_ms
    late = repeated = unmatched = unread = keyless = 0
    post_outcomes = OutcomeCounter(newest_period(status.post_outcomes))
    sums = _Sums(stored)
    window = DedupWindow(status.generations, stored.duplicates, limits)
    counted: list[Scored] = []
    dead: list[DeadRecord] = []
    uncounted: list[Unmatched] = []
    redrives = RedriveTracker(origins or {}, stored.redriven)
    for outcome in outcomes:
        record = _record(outcome)
        source = outcome.source if isinstance(outcome, DeadRecord) else outcome.decoded.post.source
        post_outcomes.advance(record.record_ms)
        redriven = bool(origins) and record.offset in (origins or {})
        if record.key is None:
            keyless += 1
            post_outcomes.add(source, NO_KEY)
        if origins and redrives.is_finished(record.offset, dead):
            repeated += 1
            post_outcomes.add(source, REPEATED)
            continue
        if isinstance(outcome, DeadRecord):
            dead.append(outcome)
            if not redriven:
                post_outcomes.add(source, outcome.reason)
            continue
        decoded = outcome.decoded
        event_ms = decoded.event_ms
        # The record of a redriven post is as old as the redrive, not as the post.
        offset = NO_OFFSET if redriven else offset_number(event_ms, record.record_ms)
        if isinstance(outcome, Scored) and window.contains(outcome.digest):
            repeated += 1
            post_outcomes.add(source, REPEATED, offset)
            continue
        timeliness, clock = classify_event_time(event_ms, record.record_ms, clock, retention)
        if timeliness is not ON_TIME and timeliness is not LATE:
            dead.append(DeadRecord(record, timeliness.value, _explain(timeliness, decoded, clock), source))
            if not redriven:
                post_outcomes.add(source, timeliness.value, offset)
            continue
        if isinstance(outcome, Unmatched):
            unmatched += not outcome.unread
            unread += outcome.unread
            uncounted.append(outcome)
            post_outcomes.add(source, UNREAD if outcome.unread else UNMATCHED, offset)
            continue
        late += timeliness is LATE
        post_outcomes.add(source, OUTCOME_LATE if timeliness is LATE else OUTCOME_ON_TIME, offset)
        if is_unknown(decoded.post.author_id):
            post_outcomes.add(source, UNKNOWN_AUTHOR)
        window.add(outcome.digest, clock)
        counted.append(outcome)
        age = clock - lateness_ms - event_ms
        in_minute, author_in_minute, minute = age <= minutes_ms, age <= authors_ms, event_ms // MINUTE_MS
        for score in outcome.brands:
            sums.add(score.brand, score, minute, outcome.author, in_minute=in_minute, author_in_minute=author_in_minute)
        for series, score in outcome.facets:
            sums.add(series, score, minute, outcome.author, in_minute=in_minute, author_in_minute=author_in_minute)
    finished = redrives.newly_finished(dead)
    watermark_ms = clock - lateness_ms
    return build_change(
        status,
        to_offset=to_offset,
        epoch=epoch,
        clock_ms=clock,
        lateness_ms=lateness_ms,
        writer=writer,
        deltas=CounterDeltas(
            late=late,
            repeated=repeated,
            unmatched=unmatched,
            unread=unread,
            keyless=keyless,
            dead=len(dead) - redrives.repeated_deaths(dead),
            redriven=len(finished),
        ),
        window=window,
        post_outcomes=post_outcomes.added,
        near_misses=near_misses,
        panes=sums.panes(),
        authors=sums.authors(),
        negatives=newest_negatives_from_rows(counted),
        counted=counted,
        samples=samples_from_rows(counted, bounds, watermark_ms=watermark_ms),
        hour_posts=hour_posts_from_rows(counted, bounds.hours, watermark_ms=watermark_ms, allowance=allowance),
        label_counts=Counter((score.brand, score.label) for post in counted for score in post.brands),
        record_posts=Counter(ms for post in counted if (ms := post.decoded.record.record_ms) >= 0),
        languages=count_rows(counted, uncounted),
        dead=dead,
        redriven=finished,
        origins=origins,
    )


def _record(outcome: Outcome) -> Record:
    return outcome.record if isinstance(outcome, DeadRecord) else outcome.decoded.record


def _explain(timeliness: Timeliness, decoded: DecodedPost, clock_ms: int) -> str:
    created_at = decoded.post.created_at.isoformat()
    if timeliness is FROM_THE_FUTURE:
        ahead = (decoded.event_ms - decoded.record.record_ms) / 1_000
        return (
            f"created_at {created_at} is {ahead:.0f} s after the Kafka record's timestamp; at most 300 s are accepted"
        )
    days = (clock_ms - decoded.event_ms) / DAY_MS
    return (
        f"created_at {created_at} is {days:.0f} days behind the newest post of its partition, beyond the retention of "
        "hour panes; load a backfill into its own namespace (BRANDPULSE_NAMESPACE, BRANDPULSE_POSTS_TOPIC)"
    )

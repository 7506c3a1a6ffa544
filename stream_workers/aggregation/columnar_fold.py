"""`fold` for a batch in which nothing is out of the ordinary, by columns. Pure.

Late posts, those that count in their hour only, and facets are ordinary. What is rare goes to `fold`, which looks at
each post by itself: letters, repeats, dates that nobody believes. Both make the same change, byte for byte.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from brandpulse.schema.posts import BRAND_SENTIMENTS
from brandpulse.state.author_sketches import Authors
from brandpulse.state.outcomes.near_misses import with_near_misses
from brandpulse.state.outcomes.post_outcomes import (
    LATE,
    NO_KEY,
    ON_TIME,
    UNKNOWN_AUTHOR,
    UNMATCHED,
    UNREAD,
    Added,
    newest_period,
    with_added,
)
from brandpulse.state.panes import IRRELEVANT, Pane
from brandpulse.state.partition_state import PartitionStatus
from stream_workers.aggregation.columnar_batch import Columns
from stream_workers.aggregation.deduplication import RepeatLimits, RepeatMemory
from stream_workers.aggregation.event_time import FUTURE_TOLERANCE_MS, Retention
from stream_workers.aggregation.hour_posts import AT_ONCE, Allowed, hour_posts_in
from stream_workers.aggregation.outcome_counts import FateRows, count_columns, offsets_of, periods_of
from stream_workers.aggregation.packed_ids import Ids
from stream_workers.aggregation.post_sample import SampleBounds, samples_in
from stream_workers.aggregation.recent_posts import newest_in
from stream_workers.aggregation.row_fold import Cell, Change, Stored
from stream_workers.decoding.records import Integers
from stream_workers.scoring.post_scores import NEGATIVE

LABELS = len(BRAND_SENTIMENTS)


class _Clock(NamedTuple):
    """What `event_time.judge` says of n rows, all of which count."""

    after: Integers
    """(n,): the partition's clock after each."""
    late: npt.NDArray[np.bool_]
    """(n,)"""


def plan_columns(columns: Columns) -> tuple[Ids, list[Cell]]:
    """As `fold.plan`."""
    return Ids(columns.rows.digests[columns.named].tobytes()), [*columns.minutes.cells, *columns.hours.cells]


def fold_columns(
    status: PartitionStatus,
    columns: Columns,
    digests: Ids,
    to_offset: int,
    stored: Stored,
    *,
    retention: Retention,
    limits: RepeatLimits,
    epoch: int = -1,
    bounds: SampleBounds | None = None,
    most_posts: Allowed = AT_ONCE,
    writer: str = "",
    near_misses: Mapping[str, int] | None = None,
) -> Change | None:
    """What `fold` makes of the same posts; None where it must be asked. *digests*: of the named rows."""
    rows, named = columns.rows, columns.named
    # By eight of twelve bytes: two that differ behind them are looked at one by one, which is never wrong.
    heads = np.ascontiguousarray(rows.digests[named, :8]).view(np.uint64)
    if stored.repeats or len(np.unique(heads)) < len(named):
        return None
    clock = _judge(rows.event_ms, rows.records.record_ms, status.clock_ms, retention)
    if clock is None:
        return None
    bounds = bounds or SampleBounds()
    memory = RepeatMemory(status.generations, {}, limits)
    memory.add_new(digests, clock.after[named])
    now = int(clock.after[-1]) if len(rows) else status.clock_ms
    age = clock.after - retention.lateness_ms - rows.event_ms
    unread = int(rows.unread.sum())
    keyless = rows.records.keys.count(None)
    fates = _fates(columns, clock.late, newest_period(status.fates), keyless=bool(keyless))
    sums = _Sums(columns, age <= retention.minutes_ms, age <= retention.authors_ms, stored)
    return Change(
        status=replace(
            status,
            next=to_offset,
            epoch=epoch,
            clock_ms=now,
            lateness_ms=retention.lateness_ms,
            late=status.late + int(clock.late[named].sum()),
            unmatched=status.unmatched + len(rows) - len(named) - unread,
            unread=status.unread + unread,
            keyless=status.keyless + keyless,
            fates=with_added(status.fates, fates),
            near_misses=with_near_misses(status.near_misses, near_misses or {}),
            generations=memory.generations,
            writer=writer,
        ),
        from_offset=status.next,
        from_writer=status.writer,
        panes=sums.panes(),
        authors=sums.authors(),
        new_ids=memory.added,
        dropped_generations=memory.dropped,
        negatives=newest_in(columns),
        counted=columns.posts,
        dead=[],
        samples=samples_in(columns, bounds, watermark_ms=now - retention.lateness_ms),
        hour_posts=hour_posts_in(columns, bounds.hours, watermark_ms=now - retention.lateness_ms, most=most_posts),
        tally=_tally(columns),
        record_posts=_record_posts(rows.records.record_ms[named]),
        fates=fates,
    )


_FATES = (UNMATCHED, UNREAD, ON_TIME, LATE, NO_KEY, UNKNOWN_AUTHOR)


def _fates(columns: Columns, late: npt.NDArray[np.bool_], newest: int, *, keyless: bool) -> Added:
    """What became of the rows, by period and source."""
    rows, named = columns.rows, columns.named
    record_ms = rows.records.record_ms
    periods = periods_of(newest, record_ms)
    offsets = offsets_of(rows.event_ms, record_ms)
    fate = rows.unread.astype(np.intp)
    fate[named] = 2 + late[named]
    parts: list[FateRows] = [(periods, rows.sources, fate, offsets)]
    if keyless:
        without = np.flatnonzero(np.array([key is None for key in rows.records.keys]))
        parts.append((periods[without], rows.sources[without], np.full(len(without), 4), None))
    if len(unknown := np.flatnonzero(rows.unknown & (fate >= 2))):
        parts.append((periods[unknown], rows.sources[unknown], np.full(len(unknown), 5), None))
    return count_columns(parts, rows.source_names, _FATES)


def _judge(event_ms: Integers, record_ms: Integers, clock_ms: int, retention: Retention) -> _Clock | None:
    """None if some post is from the future, or too old."""
    if bool(((record_ms >= 0) & (event_ms > record_ms + FUTURE_TOLERANCE_MS)).any()):
        return None
    moved = np.where(record_ms < 0, event_ms, np.minimum(event_ms, record_ms))
    clock = np.maximum.accumulate(np.concatenate((np.array([clock_ms], np.int64), moved)))
    behind = clock[:-1] - event_ms
    if bool((behind > retention.hours_ms).any()):
        return None
    return _Clock(clock[1:], behind > retention.lateness_ms)


def _record_posts(record_ms: Integers) -> dict[int, int]:
    """As `Change.record_posts`. A produced batch shares one timestamp where the broker sets it, so there are few."""
    moments, posts = np.unique(record_ms[record_ms >= 0], return_counts=True)
    return dict(zip(moments.tolist(), posts.tolist(), strict=True))


def _tally(columns: Columns) -> dict[tuple[str, int], int]:
    places, counts = np.unique(columns.brands.series * LABELS + columns.brands.label, return_counts=True)
    return {
        (columns.series[place // LABELS], place % LABELS): count
        for place, count in zip(places.tolist(), counts.tolist(), strict=True)
    }


class _Sums:
    """What a batch adds to its cells, and what they hold then."""

    def __init__(
        self, columns: Columns, counts: npt.NDArray[np.bool_], votes: npt.NDArray[np.bool_], stored: Stored
    ) -> None:
        """*counts*: whether a row counts in its minute, and not in its hour only; *votes*: and its author there."""
        self._columns = columns
        self._stored = stored
        label, row = columns.pairs.label, columns.pairs.row
        relevant = label != IRRELEVANT
        self._spans = (
            (columns.minutes, counts[row], relevant & (counts & votes)[row]),
            (columns.hours, np.ones(len(row), np.bool_), relevant),
        )

    def panes(self) -> dict[Cell, Pane]:
        panes: dict[Cell, Pane] = {}
        pairs = self._columns.pairs
        for cells, counts, _ in self._spans:
            of_pair, label, micros = cells.of_pair[counts], pairs.label[counts], pairs.micros[counts]
            posts = np.bincount(of_pair * LABELS + label, minlength=LABELS * len(cells.cells)).reshape(-1, LABELS)
            # Sums of floats, of whole numbers below 2**53: exact in any order.
            scores = np.bincount(of_pair, weights=micros, minlength=len(cells.cells)).astype(np.int64)
            for cell, counted, score in zip(cells.cells, posts.tolist(), scores.tolist(), strict=True):
                if any(counted):
                    negative, neutral, positive, irrelevant = counted
                    added = Pane(negative, neutral, positive, score, irrelevant)
                    before = self._stored.panes.get(cell)
                    panes[cell] = added if before is None else before + added
        return panes

    def authors(self) -> dict[Cell, bytes]:
        authors: dict[Cell, bytes] = {}
        pairs = self._columns.pairs
        for cells, _, votes in self._spans:
            of_pair = cells.of_pair[votes]
            # Stable: a sketch's stored form may hang on the order in which authors came.
            order = np.argsort(of_pair, kind="stable")
            people = self._columns.rows.authors[pairs.row[votes][order]]
            negative = pairs.label[votes][order] == NEGATIVE
            ends = np.cumsum(np.bincount(of_pair, minlength=len(cells.cells))).tolist()
            for cell, (begin, end) in zip(cells.cells, pairwise([0, *ends]), strict=True):
                if begin == end:
                    continue
                before = self._stored.authors.get(cell)
                sketches = Authors() if before is None else Authors.decode(before)
                voters = people[begin:end]
                sketches.add_many(voters.tolist(), negative=voters[negative[begin:end]].tolist())
                authors[cell] = sketches.encode()
        return authors

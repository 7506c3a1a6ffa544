"""`fold_rows` by columns, for a batch without rare outcomes. Pure.

Late posts, posts that count in their hour only, and facets are handled here. Dead records, duplicates and implausible
dates are left to `fold_rows`, which handles posts one by one. Both build the same change, byte for byte.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from brandpulse.schema.posts import BRAND_SENTIMENTS
from brandpulse.state.author_sketches import Authors
from brandpulse.state.outcomes.post_outcomes import (
    LATE,
    NO_KEY,
    ON_TIME,
    UNKNOWN_AUTHOR,
    UNMATCHED,
    UNREAD,
    Added,
    newest_period,
)
from brandpulse.state.panes import IRRELEVANT, Pane
from brandpulse.state.partition_state import PartitionStatus
from stream_workers.aggregation import language_counts
from stream_workers.aggregation.columnar_batch import ColumnarBatch
from stream_workers.aggregation.deduplication import DedupLimits, DedupWindow
from stream_workers.aggregation.event_time import FUTURE_TOLERANCE_MS, Retention
from stream_workers.aggregation.hour_posts import BURST, PostAllowance, hour_posts_from_columns
from stream_workers.aggregation.outcome_counts import OutcomeRows, count_columns, offsets_of, periods_of
from stream_workers.aggregation.packed_ids import PackedIds
from stream_workers.aggregation.post_sample import SampleBounds, samples_from_columns
from stream_workers.aggregation.recent_posts import newest_negatives_from_columns
from stream_workers.aggregation.types import Cell, Change, CounterDeltas, Stored, build_change
from stream_workers.decoding.records import Integers
from stream_workers.scoring.post_scores import NEGATIVE

LABELS = len(BRAND_SENTIMENTS)


class _Clock(NamedTuple):
    """`classify_event_time` of n rows, all of which count."""

    after: Integers
    """(n,): the partition's clock after each."""
    late: npt.NDArray[np.bool_]
    """(n,)"""


def plan_columns(columns: ColumnarBatch) -> tuple[PackedIds, list[Cell]]:
    """As `plan_rows`."""
    return PackedIds(columns.rows.digests[columns.matched].tobytes()), [*columns.minutes.cells, *columns.hours.cells]


def fold_columns(
    status: PartitionStatus,
    columns: ColumnarBatch,
    digests: PackedIds,
    to_offset: int,
    stored: Stored,
    *,
    retention: Retention,
    limits: DedupLimits,
    epoch: int = -1,
    bounds: SampleBounds | None = None,
    allowance: PostAllowance = BURST,
    writer: str = "",
    near_misses: Mapping[str, int] | None = None,
) -> Change | None:
    """The change that `fold_rows` builds for the same posts; None if that must be used. *digests*: of matched rows."""
    rows, matched = columns.rows, columns.matched
    # Compares eight of twelve bytes: two digests that differ only in the rest go to `fold_rows`, which is always right.
    heads = np.ascontiguousarray(rows.digests[matched, :8]).view(np.uint64)
    if stored.duplicates or len(np.unique(heads)) < len(matched):
        return None
    clock = _classify(rows.event_ms, rows.records.record_ms, status.clock_ms, retention)
    if clock is None:
        return None
    bounds = bounds or SampleBounds()
    window = DedupWindow(status.generations, {}, limits)
    window.add_new(digests, clock.after[matched])
    now = int(clock.after[-1]) if len(rows) else status.clock_ms
    watermark_ms = now - retention.lateness_ms
    age = clock.after - retention.lateness_ms - rows.event_ms
    unread = int(rows.unread.sum())
    keyless = rows.records.keys.count(None)
    sums = _Sums(columns, age <= retention.minutes_ms, age <= retention.authors_ms, stored)
    return build_change(
        status,
        to_offset=to_offset,
        epoch=epoch,
        clock_ms=now,
        lateness_ms=retention.lateness_ms,
        writer=writer,
        deltas=CounterDeltas(
            late=int(clock.late[matched].sum()),
            unmatched=len(rows) - len(matched) - unread,
            unread=unread,
            keyless=keyless,
        ),
        window=window,
        post_outcomes=_post_outcomes(columns, clock.late, newest_period(status.post_outcomes), keyless=bool(keyless)),
        near_misses=near_misses,
        panes=sums.panes(),
        authors=sums.authors(),
        negatives=newest_negatives_from_columns(columns),
        counted=columns.posts,
        samples=samples_from_columns(columns, bounds, watermark_ms=watermark_ms),
        hour_posts=hour_posts_from_columns(columns, bounds.hours, watermark_ms=watermark_ms, allowance=allowance),
        label_counts=_label_counts(columns),
        record_posts=_record_posts(rows.records.record_ms[matched]),
        languages=language_counts.count_columns(columns),
        dead=[],
    )


_FATES = (UNMATCHED, UNREAD, ON_TIME, LATE, NO_KEY, UNKNOWN_AUTHOR)


def _post_outcomes(columns: ColumnarBatch, late: npt.NDArray[np.bool_], newest: int, *, keyless: bool) -> Added:
    """Outcome counts of the rows, by period and source."""
    rows, matched = columns.rows, columns.matched
    record_ms = rows.records.record_ms
    periods = periods_of(newest, record_ms)
    offsets = offsets_of(rows.event_ms, record_ms)
    outcome = rows.unread.astype(np.intp)
    outcome[matched] = 2 + late[matched]
    parts: list[OutcomeRows] = [(periods, rows.sources, outcome, offsets)]
    if keyless:
        without = np.flatnonzero(np.array([key is None for key in rows.records.keys]))
        parts.append((periods[without], rows.sources[without], np.full(len(without), 4), None))
    if len(unknown := np.flatnonzero(rows.unknown_author & (outcome >= 2))):
        parts.append((periods[unknown], rows.sources[unknown], np.full(len(unknown), 5), None))
    return count_columns(parts, rows.source_names, _FATES)


def _classify(event_ms: Integers, record_ms: Integers, clock_ms: int, retention: Retention) -> _Clock | None:
    """None if any post is from the future or too old."""
    if bool(((record_ms >= 0) & (event_ms > record_ms + FUTURE_TOLERANCE_MS)).any()):
        return None
    moved = np.where(record_ms < 0, event_ms, np.minimum(event_ms, record_ms))
    clock = np.maximum.accumulate(np.concatenate((np.array([clock_ms], np.int64), moved)))
    behind = clock[:-1] - event_ms
    if bool((behind > retention.hours_ms).any()):
        return None
    return _Clock(clock[1:], behind > retention.lateness_ms)


def _record_posts(record_ms: Integers) -> dict[int, int]:
    """As `Change.record_posts`. If the broker sets timestamps, a produced batch shares one, so there are few."""
    timestamps, posts = np.unique(record_ms[record_ms >= 0], return_counts=True)
    return dict(zip(timestamps.tolist(), posts.tolist(), strict=True))


def _label_counts(columns: ColumnarBatch) -> dict[tuple[str, int], int]:
    numbers, counts = np.unique(columns.brands.series * LABELS + columns.brands.label, return_counts=True)
    return {
        (columns.series[number // LABELS], number % LABELS): count
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True)
    }


class _Sums:
    """What a batch adds to its cells, and their values afterwards."""

    def __init__(
        self,
        columns: ColumnarBatch,
        in_minute: npt.NDArray[np.bool_],
        author_in_minute: npt.NDArray[np.bool_],
        stored: Stored,
    ) -> None:
        """*in_minute*: whether a row counts in its minute, not only in its hour; *author_in_minute*: the same for its
        author."""
        self._columns = columns
        self._stored = stored
        label, row = columns.pairs.label, columns.pairs.row
        relevant = label != IRRELEVANT
        self._spans = (
            (columns.minutes, in_minute[row], relevant & (in_minute & author_in_minute)[row]),
            (columns.hours, np.ones(len(row), np.bool_), relevant),
        )

    def panes(self) -> dict[Cell, Pane]:
        panes: dict[Cell, Pane] = {}
        pairs = self._columns.pairs
        for cells, counts, _ in self._spans:
            of_pair, label, micros = cells.of_pair[counts], pairs.label[counts], pairs.micros[counts]
            posts = np.bincount(of_pair * LABELS + label, minlength=LABELS * len(cells.cells)).reshape(-1, LABELS)
            # Float sums of integers below 2**53: exact in any order.
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
        for cells, _, counts in self._spans:
            of_pair = cells.of_pair[counts]
            # Stable: the encoding of a sketch may depend on the order in which authors were added.
            order = np.argsort(of_pair, kind="stable")
            people = self._columns.rows.authors[pairs.row[counts][order]]
            negative = pairs.label[counts][order] == NEGATIVE
            ends = np.cumsum(np.bincount(of_pair, minlength=len(cells.cells))).tolist()
            for cell, (start, end) in zip(cells.cells, pairwise([0, *ends]), strict=True):
                if start == end:
                    continue
                before = self._stored.authors.get(cell)
                sketches = Authors() if before is None else Authors.decode(before)
                added = people[start:end]
                sketches.add_many(added.tolist(), negative=added[negative[start:end]].tolist())
                authors[cell] = sketches.encode()
        return authors

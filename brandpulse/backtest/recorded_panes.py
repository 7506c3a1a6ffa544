"""Panes of a recording, in memory: the workers' fold writes them, and the alerter reads them as from `PaneReader`."""

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import TypeVar

from brandpulse.backtest.recorded_post import RecordedPost, outcome_of
from brandpulse.state.author_lookup import KnownAuthors
from brandpulse.state.author_sketches import AuthorCounts, Authors, count_authors
from brandpulse.state.keys import MINUTE_MS, facet_of
from brandpulse.state.pane_reader import Minutes
from brandpulse.state.panes import Pane
from brandpulse.state.partition_state import NO_CLOCK, PartitionStatus
from brandpulse.state.stored_posts import NegativePost, SampledPost, WindowPosts
from stream_workers.aggregation.deduplication import DedupLimits
from stream_workers.aggregation.event_time import Retention
from stream_workers.aggregation.hour_posts import PostAllowance
from stream_workers.aggregation.post_sample import SampleBounds
from stream_workers.aggregation.row_fold import fold_rows, plan_rows
from stream_workers.aggregation.types import Cell, Change, Outcome, Scored, Span, Stored

Value = TypeVar("Value")
BATCH_POSTS = 4_096
NO_POSTS = PostAllowance(0, 0)


class RecordedPanes:
    """The one partition of a recording. Has the methods of `PaneReader`, and `count` and `seal`.

    A minute below the watermark of an evaluation is sealed: a post that arrives for it later counts in its hour and as
    late. The alerter reads each minute once, so it does not see such a post in a minute either.
    """

    def __init__(self, retention: Retention, limits: DedupLimits) -> None:
        self._retention = retention
        self._limits = limits
        self._status = PartitionStatus("recorded", 0, 0, "recorded", lateness_ms=retention.lateness_ms)
        self._pending: list[Outcome] = []
        self._sealed_ms: int | None = None
        self._generations: dict[bytes, int] = {}
        """Digest of a post -> number of the newest generation that holds it."""
        self._panes: dict[Span, dict[str, dict[int, Pane]]] = {"minute": defaultdict(dict), "hour": defaultdict(dict)}
        self._authors: dict[Span, dict[str, dict[int, bytes]]] = {
            "minute": defaultdict(dict),
            "hour": defaultdict(dict),
        }
        self._posts = 0
        self._dropped: set[int] = set()

    @property
    def status(self) -> PartitionStatus:
        """Offset, clock and counters after the last post."""
        self._fold_pending()
        return self._status

    @property
    def posts(self) -> int:
        """Posts counted, late ones included."""
        self._fold_pending()
        return self._posts

    @property
    def dropped(self) -> Set[int]:
        """Numbers, from 0, of the posts that name a brand but did not count, for example duplicates."""
        self._fold_pending()
        return self._dropped

    @property
    def watermark_ms(self) -> int | None:
        status = self.status
        return None if status.clock_ms == NO_CLOCK else status.watermark_ms

    def count(self, post: RecordedPost) -> None:
        """Add *post*. Posts come in order of arrival."""
        self._pending.append(outcome_of(post, self._status.next + len(self._pending)))
        if len(self._pending) >= BATCH_POSTS:
            self._fold_pending()

    def seal(self) -> int | None:
        """Seal the minutes below the watermark. Returns the event time (ms) up to which minutes are sealed."""
        watermark_ms = self.watermark_ms
        if watermark_ms is not None:
            until_ms = watermark_ms // MINUTE_MS * MINUTE_MS
            self._sealed_ms = until_ms if self._sealed_ms is None else max(self._sealed_ms, until_ms)
        return self._sealed_ms

    def drop_old_minutes(self) -> None:
        """Drop the minutes that the workers' retention drops."""
        if self._sealed_ms is None:
            return
        oldest = (self._sealed_ms - self._retention.minutes_ms) // MINUTE_MS
        for panes in self._panes["minute"].values():
            _drop_before(oldest, panes)
        for authors in self._authors["minute"].values():
            _drop_before(oldest, authors)

    def partitions(self) -> list[PartitionStatus]:
        """One partition, never idle, with the watermark of the last seal."""
        if self._sealed_ms is None:
            return []
        status = self.status
        return [
            PartitionStatus(
                topic=status.topic,
                partition=status.partition,
                next=self._posts,
                topic_id=status.topic_id,
                clock_ms=self._sealed_ms + self._retention.lateness_ms,
                lateness_ms=self._retention.lateness_ms,
                late=status.late,
                repeated=status.repeated,
            )
        ]

    def brands(self) -> list[str]:
        self._fold_pending()
        return sorted(series for series in self._panes["hour"] if not facet_of(series))

    def minutes(
        self, brands: Sequence[str], first_minute: int, last_minute: int, *, authors: bool = False
    ) -> dict[str, Minutes]:
        self._fold_pending()
        span = range(first_minute, last_minute + 1)
        panes, sketches = self._panes["minute"], self._authors["minute"]
        return {
            brand: Minutes(
                _within(panes.get(brand, {}), span),
                {minute: [Authors.decode(stored)] for minute, stored in _within(sketches.get(brand, {}), span).items()}
                if authors
                else {},
            )
            for brand in brands
        }

    def all_hours(self, brand: str) -> dict[int, Pane]:
        """Every hour of *brand*."""
        self._fold_pending()
        return dict(self._panes["hour"].get(brand, {}))

    def hours(self, brands: Sequence[str], first_hour: int, last_hour: int) -> dict[str, dict[int, Pane]]:
        self._fold_pending()
        span = range(first_hour, last_hour + 1)
        return {brand: _within(self._panes["hour"].get(brand, {}), span) for brand in brands}

    def hour_authors(
        self, brands: Sequence[str], first_hour: int, last_hour: int
    ) -> dict[str, dict[int, AuthorCounts]]:
        self._fold_pending()
        span = range(first_hour, last_hour + 1)
        return {
            brand: {
                hour: count_authors([Authors.decode(stored)])
                for hour, stored in _within(self._authors["hour"].get(brand, {}), span).items()
            }
            for brand in brands
        }

    def negatives(self, brand: str, limit: int) -> list[NegativePost]:
        """None, as `window_posts`."""
        return []

    def window_posts(self, series: str, first_ms: int, end_ms: int) -> WindowPosts:
        """None: a second pass over the recording collects the posts of the episodes (`recorded_evidence.py`)."""
        return WindowPosts()

    def known_authors(self, brand: str, before_ms: int) -> KnownAuthors:
        """None, likewise."""
        return KnownAuthors([])

    def samples(self, brand: str, first_day: int, last_day: int) -> dict[int, list[SampledPost]]:
        """None, likewise."""
        return {}

    def _fold_pending(self) -> None:
        if not self._pending:
            return
        outcomes, self._pending = self._pending, []
        digests, cells = plan_rows(outcomes)
        change = fold_rows(
            self._status,
            outcomes,
            self._status.next + len(outcomes),
            self._stored(digests, cells),
            retention=self._retention,
            limits=self._limits,
            bounds=_NoSamples(),
            allowance=NO_POSTS,
        )
        self._apply(change)
        named = {outcome.decoded.record.offset for outcome in outcomes if isinstance(outcome, Scored)}
        self._dropped |= named.difference(post.decoded.record.offset for post in change.counted)

    def _stored(self, digests: Sequence[bytes], cells: Sequence[Cell]) -> Stored:
        numbers = self._generations
        return Stored(
            duplicates={digest: numbers[digest] for digest in digests if digest in numbers},
            panes=_of_cells(self._panes, cells),
            authors=_of_cells(self._authors, cells),
        )

    def _apply(self, change: Change) -> None:
        for cell, pane in change.panes.items():
            if not self._is_sealed(cell):
                self._panes[cell.span][cell.brand][cell.bucket] = pane
        for cell, stored in change.authors.items():
            if not self._is_sealed(cell):
                self._authors[cell.span][cell.brand][cell.bucket] = stored
        for number, digests in change.new_ids.items():
            self._generations.update(dict.fromkeys(digests, number))
        if change.dropped_generations:
            oldest = max(change.dropped_generations) + 1
            self._generations = {digest: number for digest, number in self._generations.items() if number >= oldest}
        self._posts += len(change.counted)
        # What became of each source's posts is not evaluated here, and grows with the recording.
        self._status = replace(change.status, post_outcomes=())

    def _is_sealed(self, cell: Cell) -> bool:
        return cell.span == "minute" and self._sealed_ms is not None and cell.bucket * MINUTE_MS < self._sealed_ms


class _NoSamples(SampleBounds):
    """Bounds that admit no post to a sample: a recording keeps no texts beside its panes."""

    def bound(self, brand: str, day: int) -> bytes | None:
        return b""


def _of_cells(tables: Mapping[Span, Mapping[str, Mapping[int, Value]]], cells: Sequence[Cell]) -> dict[Cell, Value]:
    found = {}
    for cell in cells:
        value = tables[cell.span].get(cell.brand, {}).get(cell.bucket)
        if value is not None:
            found[cell] = value
    return found


def _drop_before(oldest: int, cells: dict[int, Value]) -> None:
    for at in [at for at in cells if at < oldest]:
        del cells[at]


def _within(cells: Mapping[int, Value], span: range) -> dict[int, Value]:
    if len(span) < len(cells):
        return {at: cells[at] for at in span if at in cells}
    return {at: cell for at, cell in cells.items() if at in span}

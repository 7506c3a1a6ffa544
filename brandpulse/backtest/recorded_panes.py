"""Recorded posts as panes, in memory: what the workers would have written and PaneReader would read, without either.

A minute that a tick has seen is sealed: a post that comes for it later counts in its hour and as late, as in life,
where the alerter reads each minute once.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TypeVar

from brandpulse.state.author_lookup import KnownAuthors
from brandpulse.state.author_sketches import AuthorCounts, Authors, count_authors
from brandpulse.state.keys import HOUR_MS, MINUTE_MS, facet_of, facet_series
from brandpulse.state.pane_reader import Minutes
from brandpulse.state.panes import IRRELEVANT, Pane, counted_as
from brandpulse.state.partition_state import NO_CLOCK, PartitionStatus
from brandpulse.state.stored_posts import NegativePost, SampledPost, WindowPosts

Value = TypeVar("Value")
KEPT_MINUTES = 3 * 1_440
FUTURE_TOLERANCE_MS = 5 * 60_000
"""As the workers have it (`stream_workers/aggregation/event_time.py`); a contract test holds both together."""


FourProbabilities = tuple[float, float, float, float]
"""Of negative, neutral, positive, irrelevant."""
_COLUMNS = (0, 1, 2, 4)
"""Where a cell counts each label; between them lies the score sum, as in a `Pane`."""


@dataclass(frozen=True, slots=True)
class JudgedPost:
    """One post that names a brand, with the model's verdicts. Times are ms since 1970."""

    source: str
    id: str
    author: int
    """Keyed hash, signed 64 bits."""
    brands: tuple[str, ...]
    event_ms: int
    arrived_ms: int
    probabilities: tuple[FourProbabilities, ...]
    """Towards each of *brands*."""
    facets: tuple[tuple[str, ...], ...] = ()
    """Of each of *brands* the facets that it is in; empty where none is asked for."""
    text: str = ""


class RecordedPanes:
    """The one partition of a recording. What PaneReader has, and `count` and `seal`."""

    def __init__(self, *, lateness_ms: int) -> None:
        self._lateness_ms = lateness_ms
        self._clock_ms = NO_CLOCK
        self._sealed_ms: int | None = None
        self._seen: set[tuple[str, str]] = set()
        self._minutes: dict[str, _Cells] = defaultdict(_Cells)
        self._hours: dict[str, _Cells] = defaultdict(_Cells)
        self.posts = 0
        self.late = 0
        self.repeated = 0
        self.from_the_future = 0

    @property
    def watermark_ms(self) -> int | None:
        return None if self._clock_ms == NO_CLOCK else self._clock_ms - self._lateness_ms

    def count(self, post: JudgedPost) -> bool:
        """Fold *post* in, once; posts come in order of arrival. False if it was dropped."""
        identity = (post.source, post.id)
        if identity in self._seen:
            self.repeated += 1
            return False
        if post.event_ms > post.arrived_ms + FUTURE_TOLERANCE_MS:
            self.from_the_future += 1
            return False
        self._seen.add(identity)
        self.posts += 1
        self.late += self._clock_ms != NO_CLOCK and post.event_ms < self._clock_ms - self._lateness_ms
        self.pass_by(post.event_ms, post.arrived_ms)
        sealed = self._sealed_ms is not None and post.event_ms < self._sealed_ms
        for brand, probabilities, facets in zip(
            post.brands, post.probabilities, post.facets or repeat(()), strict=False
        ):
            label, micros = counted_as(probabilities)
            inside = () if label == IRRELEVANT else facets
            series = (brand, *(facet_series(brand, facet) for facet in inside))
            for one in series:
                self._hours[one].add(post.event_ms // HOUR_MS, post, label=label, micros=micros)
                if not sealed:
                    self._minutes[one].add(post.event_ms // MINUTE_MS, post, label=label, micros=micros)
        return True

    def pass_by(self, event_ms: int, arrived_ms: int) -> None:
        """A post that names no brand moves the clock, too."""
        if event_ms <= arrived_ms + FUTURE_TOLERANCE_MS:
            self._clock_ms = max(self._clock_ms, min(event_ms, arrived_ms))

    def seal(self) -> int | None:
        """A tick looks now: minutes below the watermark are final. Returns where the seal stands (ms)."""
        if self._clock_ms != NO_CLOCK:
            stands = (self._clock_ms - self._lateness_ms) // MINUTE_MS * MINUTE_MS
            self._sealed_ms = stands if self._sealed_ms is None else max(self._sealed_ms, stands)
        return self._sealed_ms

    def forget(self) -> None:
        """Drop minutes far behind the seal, as the workers do."""
        if self._sealed_ms is None:
            return
        oldest = self._sealed_ms // MINUTE_MS - KEPT_MINUTES
        for cells in self._minutes.values():
            cells.forget_before(oldest)

    def partitions(self) -> list[PartitionStatus]:
        """One partition, never idle: its clock stands where the last seal put it."""
        if self._sealed_ms is None:
            return []
        return [
            PartitionStatus(
                topic="recorded",
                partition=0,
                next=self.posts,
                topic_id="recorded",
                clock_ms=self._sealed_ms + self._lateness_ms,
                lateness_ms=self._lateness_ms,
                late=self.late,
                repeated=self.repeated,
            )
        ]

    def brands(self) -> list[str]:
        return sorted(series for series in self._hours if not facet_of(series))

    def minutes(
        self, brands: Sequence[str], first_minute: int, last_minute: int, *, authors: bool = False
    ) -> dict[str, Minutes]:
        span = range(first_minute, last_minute + 1)
        found = {}
        for brand in brands:
            cells = self._minutes.get(brand, _Cells())
            people = {at: [seen] for at, seen in _within(cells.authors, span).items()} if authors else {}
            found[brand] = Minutes(_panes(cells.counts, span), people)
        return found

    def all_hours(self, brand: str) -> dict[int, Pane]:
        """Every hour of *brand*."""
        return {hour: Pane(*counts) for hour, counts in self._hours.get(brand, _Cells()).counts.items()}

    def hours(self, brands: Sequence[str], first_hour: int, last_hour: int) -> dict[str, dict[int, Pane]]:
        span = range(first_hour, last_hour + 1)
        return {brand: _panes(self._hours.get(brand, _Cells()).counts, span) for brand in brands}

    def hour_authors(
        self, brands: Sequence[str], first_hour: int, last_hour: int
    ) -> dict[str, dict[int, AuthorCounts]]:
        span = range(first_hour, last_hour + 1)
        return {
            brand: {
                hour: count_authors([seen])
                for hour, seen in _within(self._hours.get(brand, _Cells()).authors, span).items()
            }
            for brand in brands
        }

    def negatives(self, brand: str, limit: int) -> list[NegativePost]:
        """None, as `window_posts`."""
        return []

    def window_posts(self, series: str, first_ms: int, end_ms: int) -> WindowPosts:
        """None: a backtest looks at an episode's posts afterwards (`recorded_evidence.py`)."""
        return WindowPosts()

    def known_authors(self, brand: str, before_ms: int) -> KnownAuthors:
        """None, likewise."""
        return KnownAuthors([])

    def samples(self, brand: str, first_day: int, last_day: int) -> dict[int, list[SampledPost]]:
        """None, likewise."""
        return {}


class _Cells:
    """Counts and authors of one brand, by minute or by hour."""

    __slots__ = ("authors", "counts")

    def __init__(self) -> None:
        self.counts: dict[int, list[int]] = {}
        """negative, neutral, positive, score_micros, irrelevant"""
        self.authors: dict[int, Authors] = {}

    def add(self, place: int, post: JudgedPost, *, label: int, micros: int) -> None:
        cell = self.counts.get(place)
        if cell is None:
            cell = self.counts[place] = [0, 0, 0, 0, 0]
            self.authors[place] = Authors()
        cell[_COLUMNS[label]] += 1
        cell[3] += micros
        if label != IRRELEVANT:
            self.authors[place].add(post.author, negative=label == 0)

    def forget_before(self, oldest: int) -> None:
        for place in [place for place in self.counts if place < oldest]:
            del self.counts[place], self.authors[place]


def _within(cells: dict[int, Value], span: range) -> dict[int, Value]:
    if len(span) < len(cells):
        return {at: cells[at] for at in span if at in cells}
    return {at: cell for at, cell in cells.items() if at in span}


def _panes(cells: dict[int, list[int]], span: range) -> dict[int, Pane]:
    return {at: Pane(*counts) for at, counts in _within(cells, span).items()}

"""The page's brand cards: sums of panes as JSON values. Pure."""

from collections.abc import Mapping

import msgspec

from brandpulse.state.author_sketches import AuthorCounts
from brandpulse.state.keys import HOUR_MS, MINUTE_MS
from brandpulse.state.panes import EMPTY_PANE, Pane
from brandpulse.state.partition_state import NO_CLOCK, PartitionStatus
from dashboards.page.live_sources import ShownGap

HOURS_OF_BASELINE = 7 * 24
MINUTES_OF_DAY = 24 * 60


class TimeRanges(msgspec.Struct, frozen=True):
    """Ranges of minutes and hours that end at the stream's clock: event time since 1970, both ends included."""

    clock_ms: int

    @property
    def minute(self) -> int:
        return self.clock_ms // MINUTE_MS

    @property
    def hour(self) -> int:
        return self.clock_ms // HOUR_MS

    @property
    def last_hour(self) -> tuple[int, int]:
        """60 minutes, the last one still open."""
        return self.minute - 59, self.minute

    @property
    def head_of_day(self) -> tuple[int, int]:
        """Minutes of the last 24 hours before the first whole hour; empty in an hour's last minute."""
        return self.minute - (MINUTES_OF_DAY - 1), (self.hour - 23) * 60 - 1

    @property
    def hours_of_day(self) -> tuple[int, int]:
        """The whole hours of the last 24, and the current hour."""
        return self.hour - 23, self.hour

    @property
    def hours_of_baseline(self) -> tuple[int, int]:
        """The seven days before the last 24 hours."""
        return self.hour - 24 - HOURS_OF_BASELINE, self.hour - 25


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """One brand over a span of event time. Shares are in [0, 1], of relevant posts (all but irrelevant ones)."""

    posts: int
    """Sum of the four counters."""
    negative: int
    neutral: int
    positive: int
    irrelevant: int
    negative_share: float
    authors: int
    negative_authors: int


class SparkHour(msgspec.Struct, frozen=True, kw_only=True):
    """One hour of a brand's last 24."""

    start_ms: int
    posts: int
    negative: int


class BrandSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One card of the page."""

    name: str
    hour: Window
    day: Window
    baseline_share: float | None
    """Negative over relevant posts in the 7 days before the last 24 hours; None without relevant posts."""
    spark: list[SparkHour]
    languages: dict[str, int]
    """ISO 639-1 code, or `other` for unsupported languages -> posts since the namespace began, the most frequent first;
    empty if workers do not identify languages."""


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """All cards. `clock_ms` is None until the first post."""

    clock_ms: int | None
    brands: list[BrandSummary]
    gaps: list[ShownGap]
    """Periods of the last 24 hours of which posts may be missing, because a live source was not read."""


def stream_clock(partitions: list[PartitionStatus]) -> int | None:
    """The newest event time that any partition has reached, ms since 1970; None before the first post."""
    newest = max((status.clock_ms for status in partitions), default=NO_CLOCK)
    return None if newest == NO_CLOCK else newest


def window(pane: Pane, authors: AuthorCounts) -> Window:
    return Window(
        posts=pane.posts,
        negative=pane.negative,
        neutral=pane.neutral,
        positive=pane.positive,
        irrelevant=pane.irrelevant,
        negative_share=pane.negative_share,
        authors=authors.everyone,
        negative_authors=authors.negative,
    )


def sparkline(hours: Mapping[int, Pane], first: int, last: int) -> list[SparkHour]:
    """Every hour from first to last, including hours without posts."""
    panes = ((hour, hours.get(hour, EMPTY_PANE)) for hour in range(first, last + 1))
    return [SparkHour(start_ms=hour * HOUR_MS, posts=p.posts, negative=p.negative) for hour, p in panes]


def total(panes: Mapping[int, Pane], first: int, last: int) -> Pane:
    """Sum over the keys from first to last, both included."""
    return sum((pane for at, pane in panes.items() if first <= at <= last), EMPTY_PANE)

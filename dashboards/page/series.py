"""A brand's history as bars of equal width, summed from minute or hour panes. Pure."""

from collections.abc import Mapping

import msgspec

from brandpulse.state.keys import HOUR_MS, MINUTE_MS
from brandpulse.state.panes import EMPTY_PANE, Pane
from dashboards.page.live_sources import ShownGap

MAX_HOURS = 90 * 24
"""Retention of hour panes."""
MINUTES_KEPT_HOURS = 48
"""Retention of minute panes behind the watermark."""
STEPS = ((2, 1), (6, 5), (12, 10), (24, 15), (48, 30), (7 * 24, 60), (30 * 24, 240), (MAX_HOURS, 1_440))
"""(Maximum hours shown, minutes per bar): between 70 and 180 bars fit into a chart."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Which panes to read: bars of `step_minutes` from `first_minute`; the last one contains `last_minute`.

    Reading starts earlier, at `from_minute`, because the first bar's share looks back too.
    """

    step_minutes: int
    first_minute: int
    last_minute: int
    share_minutes: int
    """Minutes before a bar's end that its share covers: at least an hour, as on the cards."""
    from_hours: bool
    """Read hour panes, because the span is long or its minute panes have expired."""

    @property
    def from_minute(self) -> int:
        return self.first_minute + self.step_minutes - self.share_minutes


class Bar(msgspec.Struct, frozen=True, array_like=True):
    """One bar: JSON `[start_ms, negative, neutral, positive, negative and relevant of the share, irrelevant]`.

    15 minutes of a small brand contain one or two posts: their own share would jump between 0 and 1.
    """

    start_ms: int
    negative: int
    neutral: int
    positive: int
    share_negative: int
    share_relevant: int
    irrelevant: int


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the chart. The last bar is still open."""

    brand: str
    hours: int
    step_minutes: int
    share_minutes: int
    until_ms: int
    bars: list[Bar]
    gaps: list[ShownGap]
    """Periods of which posts may be missing, because a live source was not read."""


def plan(hours: int, until_ms: int, clock_ms: int) -> Plan:
    """The plan for the *hours* before *until_ms* of a stream whose clock is *clock_ms*."""
    step = next(minutes for max_hours, minutes in STEPS if hours <= max_hours)
    oldest_minute = (clock_ms - MINUTES_KEPT_HOURS * HOUR_MS) // MINUTE_MS
    last = until_ms // MINUTE_MS
    first = last - hours * 60 + 1
    from_hours = step >= 60 or first < oldest_minute - step
    if from_hours:
        step = max(step, 60)
    return Plan(
        step_minutes=step,
        first_minute=first // step * step,
        last_minute=last,
        share_minutes=max(60, step),
        from_hours=from_hours,
    )


def bars(panes: Mapping[int, Pane], minutes_of_key: int, chart: Plan) -> list[Bar]:
    """Every bar of the plan, including empty ones. *panes* are keyed by minute (1) or hour (60) since 1970."""
    step = chart.step_minutes
    sums: dict[int, Pane] = {}
    for key, pane in panes.items():
        start = key * minutes_of_key // step * step
        sums[start] = sums.get(start, EMPTY_PANE) + pane
    shown = []
    for start in range(chart.first_minute, chart.last_minute + 1, step):
        own = sums.get(start, EMPTY_PANE)
        span = range(start + step - chart.share_minutes, start + 1, step)
        share_pane = sum((sums[at] for at in span if at in sums), EMPTY_PANE)
        shown.append(
            Bar(
                start * MINUTE_MS,
                own.negative,
                own.neutral,
                own.positive,
                share_pane.negative,
                share_pane.relevant,
                own.irrelevant,
            )
        )
    return shown

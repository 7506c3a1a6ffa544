"""A brand's history as bars of equal width: which width suits a span, and minutes or hours summed into it. Pure."""

from collections.abc import Mapping

import msgspec

from brandpulse.keys import HOUR_MS, MINUTE_MS
from brandpulse.panes import EMPTY_PANE, Pane

MAX_HOURS = 90 * 24
"""Hour panes are kept that long."""
MINUTES_KEPT_HOURS = 48
"""Minute panes are kept that long behind the watermark."""
STEPS = ((2, 1), (6, 5), (12, 10), (24, 15), (48, 30), (7 * 24, 60), (30 * 24, 240), (MAX_HOURS, 1_440))
"""Hours shown at most -> minutes of one bar: between 70 and 180 bars, what a chart can show."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to read: bars of `step_minutes`, starting at `first_minute`, the last one holding `last_minute`."""

    step_minutes: int
    first_minute: int
    last_minute: int
    from_hours: bool
    """Read hour panes: the span is long, or so old that the minutes are gone."""


class Bar(msgspec.Struct, frozen=True, array_like=True):
    """One bar: JSON `[start_ms, negative, neutral, positive]`."""

    start_ms: int
    negative: int
    neutral: int
    positive: int


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """What the chart draws. The last bar is to date."""

    brand: str
    hours: int
    step_minutes: int
    until_ms: int
    bars: list[Bar]


def plan(hours: int, until_ms: int, clock_ms: int) -> Plan:
    """How to show the *hours* before *until_ms* of a stream that has reached *clock_ms*."""
    step = next(minutes for most, minutes in STEPS if hours <= most)
    oldest_minute = (clock_ms - MINUTES_KEPT_HOURS * HOUR_MS) // MINUTE_MS
    last = until_ms // MINUTE_MS
    first = last - hours * 60 + 1
    from_hours = step >= 60 or first < oldest_minute - step
    if from_hours:
        step = max(step, 60)
    return Plan(step_minutes=step, first_minute=first // step * step, last_minute=last, from_hours=from_hours)


def bars(panes: Mapping[int, Pane], minutes_of_key: int, wanted: Plan) -> list[Bar]:
    """Every bar of the plan, also the empty ones; *panes* are keyed by minute (1) or hour (60) since 1970."""
    step = wanted.step_minutes
    sums: dict[int, Pane] = {}
    for key, pane in panes.items():
        start = key * minutes_of_key // step * step
        sums[start] = sums.get(start, EMPTY_PANE) + pane
    starts = range(wanted.first_minute, wanted.last_minute + 1, step)
    found = ((start, sums.get(start, EMPTY_PANE)) for start in starts)
    return [Bar(start * MINUTE_MS, p.negative, p.neutral, p.positive) for start, p in found]

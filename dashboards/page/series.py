"""A brand's history as bars of equal width: which width suits a span, and minutes or hours summed into it. Pure."""

from collections.abc import Mapping

import msgspec

from brandpulse.state.keys import HOUR_MS, MINUTE_MS
from brandpulse.state.panes import EMPTY_PANE, Pane

MAX_HOURS = 90 * 24
"""Hour panes are kept that long."""
MINUTES_KEPT_HOURS = 48
"""Minute panes are kept that long behind the watermark."""
STEPS = ((2, 1), (6, 5), (12, 10), (24, 15), (48, 30), (7 * 24, 60), (30 * 24, 240), (MAX_HOURS, 1_440))
"""Hours shown at most -> minutes of one bar: between 70 and 180 bars, what a chart can show."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to read: bars of `step_minutes`, starting at `first_minute`, the last one holding `last_minute`.

    Reading starts at `from_minute`: the first bar's share looks back too.
    """

    step_minutes: int
    first_minute: int
    last_minute: int
    share_minutes: int
    """A share is taken over so many minutes up to a bar's end: an hour at least, as on the cards."""
    from_hours: bool
    """Read hour panes: the span is long, or so old that the minutes are gone."""

    @property
    def from_minute(self) -> int:
        return self.first_minute + self.step_minutes - self.share_minutes


class Bar(msgspec.Struct, frozen=True, array_like=True):
    """One bar: JSON `[start_ms, negative, neutral, positive, negative and relevant of the share, irrelevant]`.

    Quarter hours of a small brand hold one post or two, and their own share would jump between 0 and 1.
    """

    start_ms: int
    negative: int
    neutral: int
    positive: int
    share_negative: int
    share_relevant: int
    irrelevant: int


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """What the chart draws. The last bar is to date."""

    brand: str
    hours: int
    step_minutes: int
    share_minutes: int
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
    return Plan(
        step_minutes=step,
        first_minute=first // step * step,
        last_minute=last,
        share_minutes=max(60, step),
        from_hours=from_hours,
    )


def bars(panes: Mapping[int, Pane], minutes_of_key: int, wanted: Plan) -> list[Bar]:
    """Every bar of the plan, also the empty ones; *panes* are keyed by minute (1) or hour (60) since 1970."""
    step = wanted.step_minutes
    sums: dict[int, Pane] = {}
    for key, pane in panes.items():
        start = key * minutes_of_key // step * step
        sums[start] = sums.get(start, EMPTY_PANE) + pane
    shown = []
    for start in range(wanted.first_minute, wanted.last_minute + 1, step):
        own = sums.get(start, EMPTY_PANE)
        back = range(start + step - wanted.share_minutes, start + 1, step)
        over = sum((sums[at] for at in back if at in sums), EMPTY_PANE)
        shown.append(
            Bar(
                start * MINUTE_MS,
                own.negative,
                own.neutral,
                own.positive,
                over.negative,
                over.relevant,
                own.irrelevant,
            )
        )
    return shown

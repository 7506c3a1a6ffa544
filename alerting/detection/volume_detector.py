"""Detects that more people than usual write about a brand: rule kind `volume` of the alerter.

The same evidence as `brandpulse backtest counts` (`alerting.detection.volume_score`), on people instead of posts. An
author has one vote an hour, so neither a flood by one author nor a redelivery is a surge. The usual number, its spread
and the frequency of such hours are learnt from the brand's hours; an extreme hour is cut before it is learnt.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from alerting.detection.share_detector import WindowCounts
from alerting.detection.volume_score import VolumePolicy, VolumeScorer

HOUR_SECONDS = 3_600
SLIDES = math.log(4)
"""Whole hours are learnt, but sliding windows find the busiest part of an hour: they exceed a high level about as often
as four hours would."""


@dataclass(frozen=True, slots=True)
class SurgePolicy:
    """What counts as a surge. Windows are the same as for the share rules."""

    false_alarms: float = 1.0
    """Expected false pages per brand in four weeks."""
    min_minutes: int = 20
    """Shorter windows show mostly noise."""
    min_authors: int = 20
    min_ratio: float = 2.0
    """A smaller multiple of the usual number is never a surge, however rare."""
    error_ratio: float = 5.0
    critical_ratio: float = 20.0
    volume: VolumePolicy = field(default_factory=lambda: VolumePolicy(window_minutes=60))

    @property
    def alarm_surprise(self) -> float:
        return SLIDES + math.log(4 * 7 * 24 * self.volume.tail.part / self.false_alarms)


State = Literal["no data", "warming up", "normal", "surge"]


@dataclass(frozen=True, slots=True)
class SurgeFinding:
    """The result of the test of one brand at one minute."""

    state: State
    window: WindowCounts
    usual: float = 0.0
    """Usual number of people in such a window."""
    surprise: float = 0.0
    """Position on the tail of the brand's own hours: `alerting.detection.volume_tail`."""

    @property
    def ratio(self) -> float:
        return self.window.authors / max(self.usual, 1e-3)

    @property
    def reason(self) -> str:
        """One sentence for people."""
        people = f"{self.window.authors} people in {self.window.width} minutes"
        if self.state == "no data":
            return "No posts came: nothing can be said."
        if self.state == "warming up":
            return f"Still learning what is usual: {people}."
        usual = f"{people} wrote about it where {self.usual:.1f} are usual"
        return f"Volume rose: {usual}, {self.ratio:.1f} times as many." if self.state == "surge" else f"{usual}."


def detect_surge(
    windows: Sequence[WindowCounts],
    scorer: VolumeScorer,
    policy: SurgePolicy,
    *,
    stream_alive: bool = True,
    not_before: int | None = None,
) -> SurgeFinding:
    """The finding at the end of *windows*, shortest first. *scorer* has learnt the hours before the longest window."""
    if not stream_alive:
        return SurgeFinding("no data", windows[-1])
    scored = [_score(window, scorer) for window in windows if window.width >= policy.min_minutes]
    known = [one for one in scored if one is not None]
    if not known:
        return SurgeFinding("warming up", windows[-1])
    fresh = known[0]
    rises = [
        one
        for one in known
        if one.surprise >= policy.alarm_surprise
        and one.window.authors >= policy.min_authors
        and one.ratio >= policy.min_ratio
        and (not_before is None or one.window.first_minute >= not_before)
    ]
    # The newest window must still show part of the rise: otherwise a surge of two hours ago fires now.
    if rises and fresh.ratio >= 1 + (max(one.ratio for one in rises) - 1) / 4:
        best = max(rises, key=lambda one: one.surprise)
        return SurgeFinding("surge", best.window, best.usual, best.surprise)
    return fresh


def _score(window: WindowCounts, scorer: VolumeScorer) -> SurgeFinding | None:
    usual, minute = 0.0, window.first_minute
    while minute <= window.last_minute:
        hour = minute // 60
        end = min((hour + 1) * 60, window.last_minute + 1)
        an_hour = _usual_rate(hour, scorer, whole=end - minute == 60)
        if an_hour is None:
            return None
        usual += an_hour * (end - minute) / 60
        minute = end
    surprise = scorer.surprise(window.authors, usual)
    return None if surprise is None else SurgeFinding("normal", window, usual, surprise)


def _usual_rate(hour: int, scorer: VolumeScorer, *, whole: bool) -> float | None:
    """Usual people an hour in *hour*. For a part of an hour: the highest of it and its two neighbours.

    Only whole hours are learnt, so where in an hour the morning begins is unknown.
    """
    at = float(hour * HOUR_SECONDS)
    if not scorer.knows(at):
        return None
    near = (at,) if whole else (at, at - HOUR_SECONDS, at + HOUR_SECONDS)
    return max((usual for moment in near if (usual := scorer.usual_at(moment)) is not None), default=None)

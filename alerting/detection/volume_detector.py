"""Is a brand talked about by more people than is usual for it? The rule kind `volume`, in the alerter.

The same evidence as `brandpulse backtest counts` (`alerting.detection.volume_score`), on people instead of posts: one author has one
vote an hour, so neither a flood by one nor a redelivery is a surge. What is usual, how much it varies, and how often
such an hour comes, are learnt from the brand's hours; a hot hour is cut before it is learnt.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from alerting.detection.share_detector import WindowCounts
from alerting.detection.volume_score import VolumePolicy, VolumeScorer

HOUR_SECONDS = 3_600
SLIDES = math.log(4)
"""What is usual was learnt of whole hours. Windows that slide through an hour reach its worst stretch: about as often
beyond a high level as four hours would."""


@dataclass(frozen=True, slots=True)
class SurgePolicy:
    """What counts as a surge. Windows are those of the share rule."""

    false_alarms: float = 1.0
    """Expected false pages per brand in four weeks."""
    least_minutes: int = 20
    """Shorter windows see mostly noise."""
    min_authors: int = 20
    min_ratio: float = 2.0
    """Less than so many times what is usual is no news, however rare."""
    error_ratio: float = 5.0
    critical_ratio: float = 20.0
    volume: VolumePolicy = field(default_factory=lambda: VolumePolicy(window_minutes=60))

    @property
    def alarm_surprise(self) -> float:
        return SLIDES + math.log(4 * 7 * 24 * self.volume.tail.part / self.false_alarms)


State = Literal["no data", "warming up", "normal", "surge"]


@dataclass(frozen=True, slots=True)
class SurgeFinding:
    """What one minute's look at one brand found."""

    state: State
    window: WindowCounts
    usual: float = 0.0
    """People usual in a window like it."""
    surprise: float = 0.0
    """How far out on the brand's own tail, `alerting.detection.volume_tail`."""

    @property
    def ratio(self) -> float:
        return self.window.authors / max(self.usual, 1e-3)

    @property
    def reason(self) -> str:
        """One sentence for a person."""
        people = f"{self.window.authors} people in {self.window.width} minutes"
        if self.state == "no data":
            return "No posts came: nothing can be said."
        if self.state == "warming up":
            return f"Still learning what is usual: {people}."
        usual = f"{people} wrote about it where {self.usual:.1f} are usual"
        return f"Volume rose: {usual}, {self.ratio:.1f} times as many." if self.state == "surge" else f"{usual}."


def detect_surge(
    windows: Sequence[WindowCounts],
    watch: VolumeScorer,
    policy: SurgePolicy,
    *,
    stream_alive: bool = True,
    not_before: int | None = None,
) -> SurgeFinding:
    """The finding of one minute from its *windows*, shortest first. *watch* has learnt the hours before the longest."""
    if not stream_alive:
        return SurgeFinding("no data", windows[-1])
    looked = [_weighed(window, watch) for window in windows if window.width >= policy.least_minutes]
    known = [one for one in looked if one is not None]
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
    # The freshest window must still show half of it: else the surge of two hours ago fires now.
    if rises and fresh.ratio >= 1 + (max(one.ratio for one in rises) - 1) / 4:
        best = max(rises, key=lambda one: one.surprise)
        return SurgeFinding("surge", best.window, best.usual, best.surprise)
    return fresh


def _weighed(window: WindowCounts, watch: VolumeScorer) -> SurgeFinding | None:
    usual, minute = 0.0, window.first_minute
    while minute <= window.last_minute:
        hour = minute // 60
        end = min((hour + 1) * 60, window.last_minute + 1)
        an_hour = _usual_rate(hour, watch, whole=end - minute == 60)
        if an_hour is None:
            return None
        usual += an_hour * (end - minute) / 60
        minute = end
    surprise = watch.surprise(window.authors, usual)
    return None if surprise is None else SurgeFinding("normal", window, usual, surprise)


def _usual_rate(hour: int, watch: VolumeScorer, *, whole: bool) -> float | None:
    """People usual in *hour*; of a part of it, as many as in the busiest of it and its two neighbours.

    Whole hours are what is learnt. Where in an hour a morning begins, or half an hour of a zone, is not known.
    """
    at = float(hour * HOUR_SECONDS)
    if not watch.knows(at):
        return None
    near = (at,) if whole else (at, at - HOUR_SECONDS, at + HOUR_SECONDS)
    return max((usual for moment in near if (usual := watch.usual_at(moment)) is not None), default=None)

"""How many posts are usual now: a level, times the hour of the day, times the hour of the week.

Learnt forward, count by count, so it never knows more than a reader at that moment. What stands far above the
expectation is cut before it is learnt: an incident hardly moves what is usual.
"""

import math
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from brandpulse.local_hours import UTC, hour_of_week

HOUR_SECONDS = 3_600.0
DAY_SECONDS = 24 * HOUR_SECONDS
LEAST_EXPECTED = 1e-3
"""A brand nobody ever named is expected so often: nothing divides by nothing."""


@dataclass(frozen=True, slots=True)
class UsualVolumePolicy:
    """How the past is weighed. Each shape starts at 1 and is believed as its history grows."""

    level_days: float = 7.0
    """Time constant with which the level forgets; so it is with the others."""
    day_days: float = 14.0
    week_days: float = 56.0
    day_prior_hours: float = 2.0
    """So many hours at one hour of the day count as much as taking it for an hour like any other."""
    week_prior_hours: float = 8.0
    cut: float = 4.0
    """A count beyond so many times the expectation, and `cut_counts` more, is learnt as just that."""
    cut_counts: float = 4.0


class Fading:
    """Two sums that fade together, and their ratio."""

    __slots__ = ("_at", "above", "below")

    def __init__(self) -> None:
        self.above = self.below = 0.0
        self._at: float | None = None

    def fade(self, at: float, seconds: float) -> None:
        """Forget with time constant *seconds*, up to moment *at*."""
        if self._at is not None:
            kept = math.exp((self._at - at) / seconds)
            self.above *= kept
            self.below *= kept
        self._at = at

    def add(self, above: float, below: float) -> None:
        self.above += above
        self.below += below

    def ratio(self, prior: float) -> float:
        """`above / below`, with *prior* more of both."""
        return (self.above + prior) / (self.below + prior) if self.below + prior else 1.0


@dataclass(slots=True)
class UsualVolume:
    """What one brand's interval of *step_seconds* usually counts."""

    step_seconds: float
    policy: UsualVolumePolicy = field(default_factory=UsualVolumePolicy)
    zone: ZoneInfo = UTC
    """Hours of the day and of the week are hours of its clock."""
    _level: Fading = field(init=False, default_factory=Fading)
    _day: list[Fading] = field(init=False)
    _week: list[Fading] = field(init=False)

    def __post_init__(self) -> None:
        self._day = [Fading() for _ in range(24)]
        self._week = [Fading() for _ in range(7 * 24)]

    def expect(self, at: float) -> float | None:
        """Posts expected of the interval at *at* (seconds since 1970, UTC); None before anything was learnt."""
        if not self._level.below:
            return None
        level = self._level.above / self._level.below
        day, week = self._shapes(at, level)
        return max(level * day * week, LEAST_EXPECTED)

    def learn(self, at: float, count: float) -> None:
        """*count* was seen at *at*, later than all before."""
        policy = self.policy
        expected = self.expect(at)
        if expected is not None:
            count = min(count, policy.cut * expected + policy.cut_counts)
        self._level.fade(at, policy.level_days * DAY_SECONDS)
        self._level.add(count, 1.0)
        level = self._level.above / self._level.below
        day, _ = self._shapes(at, level)
        hour = hour_of_week(at, self.zone)
        self._day[hour % 24].add(count, level)
        self._week[hour % (7 * 24)].add(count, level * day)

    def _shapes(self, at: float, level: float) -> tuple[float, float]:
        hour, policy = hour_of_week(at, self.zone), self.policy
        hour_counts = level * HOUR_SECONDS / self.step_seconds
        of_day, of_week = self._day[hour % 24], self._week[hour % (7 * 24)]
        of_day.fade(at, policy.day_days * DAY_SECONDS)
        of_week.fade(at, policy.week_days * DAY_SECONDS)
        return of_day.ratio(hour_counts * policy.day_prior_hours), of_week.ratio(hour_counts * policy.week_prior_hours)

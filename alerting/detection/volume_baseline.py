"""The usual number of posts: a level, times the hour of a workday or weekend, times the hour of the week.

It is learnt count by count, so it never uses the future. A count far above the expectation is cut before it is learnt,
and a long silence is not learnt: neither an incident nor an outage changes what is usual.
"""

import math
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from brandpulse.runtime.local_hours import DAY_HOURS, UTC, WEEK_HOURS, hour_of_week

HOUR_SECONDS = 3_600.0
DAY_SECONDS = DAY_HOURS * HOUR_SECONDS
MIN_EXPECTED = 1e-3
"""The expectation for a brand without posts; avoids a division by zero."""
WEEKEND = 5 * DAY_HOURS
"""Saturday's first hour of the week. Workdays and weekends are two kinds of day."""
SAME_DAY_SECONDS = DAY_SECONDS / 2
"""Two times of the same hour of the day that are closer belong to one day."""


@dataclass(frozen=True, slots=True)
class UsualVolumePolicy:
    """How the past is weighted. Each shape starts at 1 and gains influence as its history grows."""

    level_days: float = 7.0
    """Time constant of the level; `day_days` and `week_days` are those of the shapes."""
    day_days: float = 14.0
    week_days: float = 56.0
    day_prior_hours: float = 0.5
    """Prior weight, in hours, of the assumption that an hour of the day is like any other."""
    week_prior_hours: float = 8.0
    cut: float = 4.0
    """A higher count than this multiple of the expectation plus `cut_counts` is learnt as that limit."""
    cut_counts: float = 4.0
    known_days: int = 2
    """An hour of the day is known after this many days of its kind (workday or weekend)."""
    outage_hours: float = 12.0
    """A longer silence is an outage if `outage_posts` were expected in it. A shorter one is a quiet night and counts as
    zeros."""
    outage_posts: float = 10.0


class Fading:
    """Two sums that decay together, and their ratio."""

    __slots__ = ("_at", "above", "below")

    def __init__(self) -> None:
        self.above = self.below = 0.0
        self._at: float | None = None

    def fade(self, at: float, seconds: float) -> None:
        """Decay with time constant *seconds*, up to time *at*."""
        if self._at is not None:
            factor = math.exp((self._at - at) / seconds)
            self.above *= factor
            self.below *= factor
        self._at = at

    def add(self, above: float, below: float) -> None:
        self.above += above
        self.below += below

    def ratio(self, prior: float, mean: float = 1.0) -> float:
        """`above / below`, with a prior of weight *prior* at the ratio *mean*."""
        return (self.above + prior * mean) / (self.below + prior) if self.below + prior else mean


@dataclass(slots=True)
class _Slot:
    """One hour of the day on one kind of day: how many days it was counted on."""

    days: int = 0
    last: float = -math.inf

    def take(self, at: float) -> None:
        if at - self.last > SAME_DAY_SECONDS:
            self.days += 1
        self.last = at

    def before(self, at: float) -> int:
        """Days before the day of *at*."""
        return self.days if at - self.last > SAME_DAY_SECONDS else self.days - 1


@dataclass(slots=True)
class UsualVolume:
    """The usual count of one brand in an interval of *step_seconds*. Hours of day and week are in time zone *zone*."""

    step_seconds: float
    policy: UsualVolumePolicy = field(default_factory=UsualVolumePolicy)
    zone: ZoneInfo = UTC
    _level: Fading = field(init=False, default_factory=Fading)
    _day: list[Fading] = field(init=False)
    _week: list[Fading] = field(init=False)
    _slots: list[_Slot] = field(init=False)
    _silence: "_Silence" = field(init=False)
    _first_day: dict[int, list[float]] | None = field(init=False, default_factory=dict)
    """Count and intervals of each hour of the first day; None once it is over. Shapes are relative to the level, and
    only a whole day shows the level: otherwise a series that begins in its busiest hour would take it as normal."""
    _began: float | None = field(init=False, default=None)
    _began_on_weekend: bool = field(init=False, default=False)
    _cut: tuple[int, float] = field(init=False, default=(-1, 0.0))

    def __post_init__(self) -> None:
        self._day = [Fading() for _ in range(2 * DAY_HOURS)]
        self._week = [Fading() for _ in range(WEEK_HOURS)]
        self._slots = [_Slot() for _ in range(2 * DAY_HOURS)]
        self._silence = _Silence()

    def expect(self, at: float) -> float | None:
        """Posts expected of the interval at *at* (seconds since 1970, UTC); None before anything was learnt."""
        if not self._level.below:
            return None
        level = self._level.above / self._level.below
        day, week = self._shapes(hour_of_week(at, self.zone), at, level)
        return max(level * day * week, MIN_EXPECTED)

    def knows(self, at: float) -> bool:
        """Whether the hour of the day at *at* was counted on `known_days` earlier days of its kind.

        The first morning, the first weekend and the first Monday have no shape to compare with.
        """
        return self._slot(hour_of_week(at, self.zone)).before(at) >= self.policy.known_days

    def learn(self, at: float, count: float) -> bool:
        """Learn *count* at *at*, later than all before. False if it may be part of an outage and is not learnt yet."""
        expected = self.expect(at)
        silence, policy = self._silence, self.policy
        if count > 0:
            if silence.zeros and at - silence.began <= policy.outage_hours * HOUR_SECONDS:
                for zero in silence.zeros:
                    self._take(zero, 0.0, self.expect(zero))
            silence.end()
        elif silence.lasts(at, expected or 0.0, policy):
            return False
        self._take(at, count, expected)
        return True

    def _take(self, at: float, count: float, expected: float | None) -> None:
        policy = self.policy
        if expected is not None:
            clock_hour = int(at // HOUR_SECONDS)
            if clock_hour != self._cut[0]:
                # Fixed for the hour: otherwise a storm raises its own limit, count by count.
                self._cut = clock_hour, policy.cut * expected + policy.cut_counts
            count = min(count, self._cut[1])
        hour = hour_of_week(at, self.zone)
        slot = self._slot(hour)
        if self._began is None:
            self._began, self._began_on_weekend = at, hour >= WEEKEND
        same_kind = (hour >= WEEKEND) == self._began_on_weekend
        if same_kind or self._first_day is not None or slot.before(at) >= policy.known_days:
            # The first weekend is a shape, not a fall of the level: otherwise Monday looks like a surge.
            self._level.fade(at, policy.level_days * DAY_SECONDS)
            self._level.add(count, 1.0)
        slot.take(at)
        if self._first_day is not None:
            if at - self._began < DAY_SECONDS:
                sums = self._first_day.setdefault(hour, [0.0, 0.0])
                sums[0] += count
                sums[1] += 1
                return
            for first_hour, (first_count, intervals) in self._first_day.items():
                self._learn_shapes(first_hour, at, first_count, intervals)
            self._first_day = None
        self._learn_shapes(hour, at, count, 1.0)

    def _learn_shapes(self, hour: int, at: float, count: float, intervals: float) -> None:
        level = intervals * self._level.above / self._level.below
        day, _ = self._shapes(hour, at, level / intervals)
        self._day[_hour_of_kind(hour)].add(count, level)
        self._week[hour].add(count, level * day)

    def _slot(self, hour: int) -> _Slot:
        return self._slots[_hour_of_kind(hour)]

    def _shapes(self, hour: int, at: float, level: float) -> tuple[float, float]:
        policy = self.policy
        hour_counts = level * HOUR_SECONDS / self.step_seconds
        day_prior, mean = hour_counts * policy.day_prior_hours, 1.0
        if hour >= WEEKEND:
            # Before its first weekend, a brand is assumed to have the hours of its workdays.
            workday = self._day[hour % DAY_HOURS]
            workday.fade(at, policy.day_days * DAY_SECONDS)
            mean = workday.ratio(day_prior)
        of_day, of_week = self._day[_hour_of_kind(hour)], self._week[hour]
        of_day.fade(at, policy.day_days * DAY_SECONDS)
        of_week.fade(at, policy.week_days * DAY_SECONDS)
        return of_day.ratio(day_prior, mean), of_week.ratio(hour_counts * policy.week_prior_hours)


def _hour_of_kind(hour: int) -> int:
    """The hour of the day, of workdays (0 to 23) and of weekends (24 to 47), of an hour of the week."""
    return hour % DAY_HOURS + DAY_HOURS * (hour >= WEEKEND)


class _Silence:
    """A run of zeros. Zeros after `outage_posts` were expected are buffered until it is clear whether it is an
    outage."""

    __slots__ = ("began", "expected", "zeros")

    def __init__(self) -> None:
        self.end()

    def end(self) -> None:
        self.began, self.expected = math.inf, 0.0
        self.zeros: list[float] = []

    def lasts(self, at: float, expected: float, policy: UsualVolumePolicy) -> bool:
        """Add one zero, where *expected* posts were expected. True if it is buffered."""
        self.began = min(self.began, at)
        self.expected += expected
        if self.expected < policy.outage_posts:
            return False
        if at - self.began <= policy.outage_hours * HOUR_SECONDS:
            self.zeros.append(at)
        return True

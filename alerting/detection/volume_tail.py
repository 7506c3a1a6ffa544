"""How often a value occurs, according to the tail of a brand's own hourly maxima."""

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass

from alerting.detection.volume_baseline import HOUR_SECONDS

CALMEST_BEGIN, CALMEST_SCALE = 0.84, 0.56
"""Of a standard normal: the value that a fifth exceeds, and the mean excess. Evidence is in standard deviations of a
Poisson count, and no real series varies less than that."""


@dataclass(frozen=True, slots=True)
class TailPolicy:
    """Which hours form the tail."""

    part: float = 0.2
    """Part of the hours, those with the largest maxima."""
    days: float = 10.0
    """Older hours are dropped."""
    prior_hours: float = 32.0
    """Weight, in hours, of the prior of the tail's scale, which is the distance of the tail's begin from the median."""
    min_hours: int = 48


class Tail:
    """Hourly maxima of the last days. Above the value that `part` of them exceed, they fall off exponentially.

    This is the peaks-over-threshold method with an exponential tail (Leadbetter 1991), hours as clusters.
    """

    def __init__(self, policy: TailPolicy) -> None:
        self._policy = policy
        self._hours: deque[tuple[int, float]] = deque()
        self._sorted: list[float] = []
        self._hour: int | None = None
        self._largest: float | None = None
        self._fitted: tuple[float, float] | None = None

    def advance_to(self, at: float) -> None:
        """Advance to *at* (seconds). A finished hour joins the past if it had a value."""
        hour = int(at // HOUR_SECONDS)
        if hour == self._hour:
            return
        if self._hour is not None and self._largest is not None:
            self._hours.append((self._hour, self._largest))
            insort(self._sorted, self._largest)
        while self._hours and self._hours[0][0] < hour - self._policy.days * 24:
            _, old = self._hours.popleft()
            del self._sorted[bisect_left(self._sorted, old)]
        self._hour, self._largest = hour, None
        self._fitted = self.fit(self._policy.prior_hours)

    def take(self, value: float) -> None:
        """Take *value* of the running hour. It changes the tail only when the hour is over."""
        self._largest = value if self._largest is None else max(self._largest, value)

    def surprise(self, value: float) -> float | None:
        """The position of *value* on the tail, in mean excesses; None if there are too few hours.

        A past hour exceeds it with chance `part` * exp(-surprise).
        """
        if self._fitted is None:
            return None
        begin, scale = self._fitted
        return max(0.0, (value - begin) / scale)

    def value_at(self, surprise: float) -> float | None:
        """The value with that *surprise*."""
        if self._fitted is None:
            return None
        begin, scale = self._fitted
        return begin + surprise * scale

    def fit(self, prior_hours: float) -> tuple[float, float] | None:
        """Where the tail begins, and its mean excess with a prior of *prior_hours*; None if there are too few hours."""
        values, policy = self._sorted, self._policy
        if len(values) < policy.min_hours:
            return None
        first = min(int((1 - policy.part) * len(values)), len(values) - 1)
        begin = values[first]
        excess = sum(values[first + 1 :]) - begin * (len(values) - first - 1)
        guess = max(begin - values[len(values) // 2], CALMEST_SCALE)
        scale = (excess + guess * prior_hours) / (len(values) - first - 1 + prior_hours)
        return max(begin, CALMEST_BEGIN), max(scale, CALMEST_SCALE)

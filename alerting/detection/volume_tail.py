"""How often would a value like this come? Read on the tail of a brand's own hourly maxima."""

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass

from alerting.detection.volume_baseline import HOUR_SECONDS

CALMEST_BEGIN, CALMEST_SCALE = 0.84, 0.56
"""Of a standard normal: the value that a fifth surpasses, and by how much on average. Evidence is in standard
deviations of a Poisson count; no crowd is calmer than that."""


@dataclass(frozen=True, slots=True)
class TailPolicy:
    """Which hours make the tail."""

    part: float = 0.2
    """Of the hours: those with the largest maxima."""
    days: float = 10.0
    """Older hours are forgotten at once: what a brand did last month is news again."""
    prior_hours: float = 32.0
    """How many hours the first guess at the tail's scale is worth: as far as the tail begins above the median."""
    min_hours: int = 48


class Tail:
    """Hourly maxima of the last days. Above the value that `part` of them surpass they fall off exponentially.

    That is the peaks-over-threshold method with an exponential tail (Leadbetter 1991), hours as clusters.
    """

    def __init__(self, policy: TailPolicy) -> None:
        self._policy = policy
        self._hours: deque[tuple[int, float]] = deque()
        self._sorted: list[float] = []
        self._hour: int | None = None
        self._largest: float | None = None
        self._fitted: tuple[float, float] | None = None

    def advance_to(self, at: float) -> None:
        """The moment is *at* (seconds): an hour that is over becomes past, if a value was taken in it."""
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
        """*value* was seen in the running hour. It moves the tail when the hour is over, not before."""
        self._largest = value if self._largest is None else max(self._largest, value)

    def surprise(self, value: float) -> float | None:
        """How far *value* lies out on the tail, in mean excesses; None while there are too few hours.

        An hour of the past surpasses it with chance `part` * exp(-surprise).
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
        """Where the tail begins, and its mean excess with a prior of so many hours; None of too few hours."""
        values, policy = self._sorted, self._policy
        if len(values) < policy.min_hours:
            return None
        first = min(int((1 - policy.part) * len(values)), len(values) - 1)
        begin = values[first]
        excess = sum(values[first + 1 :]) - begin * (len(values) - first - 1)
        guess = max(begin - values[len(values) // 2], CALMEST_SCALE)
        scale = (excess + guess * prior_hours) / (len(values) - first - 1 + prior_hours)
        return max(begin, CALMEST_BEGIN), max(scale, CALMEST_SCALE)

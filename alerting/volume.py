"""Is a brand named more often than is usual for it? Counts alone, one interval after the other.

1. Evidence. Over each window the posts are set against what was expected of them (`usual_volume`): the signed root of
   the deviance of an over-dispersed count, its dispersion measured on the brand's own past windows, outliers cut.
2. The brand's own alarm rate. A bursty brand has large evidence every day, so evidence is read on the tail of the
   brand's own last two weeks (`volume_tail`): how often would such an hour come?
3. Onset. What was told is not told again for a day, unless it becomes half again as surprising.

Everything looks back only. Moments are seconds since 1970, UTC; a count belongs to the interval that starts there.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from alerting.usual_volume import DAY_SECONDS, HOUR_SECONDS, Fading, UsualVolume, UsualVolumePolicy
from alerting.volume_tail import Tail, TailPolicy
from brandpulse.local_hours import UTC

FOUR_WEEKS_HOURS = 4 * 7 * 24
PRIOR_DISPERSION = 2.0
PRIOR_WINDOWS = 5
"""What we take for the dispersion before we measured it, and how many windows that guess is worth."""
OUTLIER = 5.0
"""A window that deviates by more than so many times its variance counts as so much: a storm is no dispersion."""


@dataclass(frozen=True, slots=True)
class VolumePolicy:
    """What counts as a surge."""

    windows_minutes: tuple[int, ...] = (15, 60, 180)
    """Rising."""
    false_alarms: float = 0.5
    """The budget: hours as surprising as an alarm that the tail lets us expect in four weeks."""
    prior_posts: float = 3.0
    """Added to seen and expected: two posts where none is usual are no surge."""
    quiet_hours: float = 24.0
    """For so long an onset is not told again."""
    escalation: float = 1.5
    """Unless the score grew by this factor, or to 1.0."""
    notice: float = 0.5
    """The least score that is told."""
    tail: TailPolicy = field(default_factory=TailPolicy)
    usual: UsualVolumePolicy = field(default_factory=UsualVolumePolicy)

    @property
    def alarm_surprise(self) -> float:
        """The surprise that the budget allows, `Tail.surprise`; score 1.0."""
        return math.log(FOUR_WEEKS_HOURS * self.tail.part / self.false_alarms)


@dataclass(frozen=True, slots=True)
class VolumeFinding:
    """What the look at one interval found."""

    expected: float
    """Posts usual in this interval."""
    minutes: float
    """Of the window that tells most; so it is with the next three."""
    seen: float
    usual: float
    dispersion: float
    surprise: float | None
    """How far out on the brand's own tail, `Tail.surprise`; None while warming up."""
    score: float
    """*surprise* over that of an alarm, in [0, 1]."""
    onset: bool

    @property
    def onset_score(self) -> float:
        """`score` at an onset, else 0.0."""
        return self.score if self.onset else 0.0

    @property
    def reason(self) -> str:
        """One sentence for a person."""
        counted = f"{self.seen:.0f} posts in {self.minutes:g} minutes where {self.usual:.1f} are usual"
        return f"Still learning what is usual: {counted}." if self.surprise is None else f"{counted}."


def evidence(seen: float, usual: float, dispersion: float, *, prior: float) -> float:
    """How many standard deviations *seen* lies above *usual*, as a signed root of the deviance; 0.0 below it.

    Quasi-Poisson, variance = *dispersion* times mean (McCullagh and Nelder 1989, section 9.2); the root stays near
    normal where counts are small, which (seen - usual) / sd does not. *prior* posts are added to both.
    """
    if seen <= usual:
        return 0.0
    x, m = seen + prior, usual + prior
    return math.sqrt(2 * max(0.0, x * math.log(x / m) - (x - m)) / dispersion)


def seen_at(wanted: float, usual: float, dispersion: float, *, prior: float) -> float:
    """The count whose `evidence` is *wanted*: its inverse, by bisection."""
    low, high = usual, 2 * usual + 1
    while evidence(high, usual, dispersion, prior=prior) < wanted:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        if evidence(middle, usual, dispersion, prior=prior) < wanted:
            low = middle
        else:
            high = middle
    return high


class VolumeWatch:
    """One brand's counts in order of time. Memory is bounded: a few hours of counts, two weeks of hourly maxima."""

    def __init__(self, step_seconds: float, policy: VolumePolicy | None = None, *, zone: ZoneInfo = UTC) -> None:
        self._policy = policy or VolumePolicy()
        self._usual = UsualVolume(step_seconds, self._policy.usual, zone)
        # A window cannot be shorter than an interval.
        widths = sorted({max(minutes * 60.0, step_seconds) for minutes in self._policy.windows_minutes})
        self._windows = [_Window(width, step_seconds, self._policy) for width in widths]
        self._told_at = -math.inf
        self._told = 0.0

    def look(self, at: float, count: float) -> VolumeFinding:
        """What *count* of the interval at *at* means, given all before it; then it is part of what was before.

        *at* must rise. An interval that is left out is missing, not zero.
        """
        known = self._usual.expect(at)
        expected = count if known is None else known
        for window in self._windows:
            window.slide(at, count, expected)
        finding = self._judge(at, expected)
        for window in self._windows:
            window.learn(at)
        self._usual.learn(at, count)
        return finding

    def usual_at(self, at: float) -> float | None:
        """Posts usual in the interval at *at*; None before anything was learnt."""
        return self._usual.expect(at)

    def surprise(self, seen: float, usual: float) -> float | None:
        """How far *seen* where *usual* is usual lies out on the tail of the shortest window; None while warming up."""
        shortest = self._windows[0]
        return shortest.tail.surprise(evidence(seen, usual, shortest.dispersion, prior=self._policy.prior_posts))

    def alarm_rate(self) -> float | None:
        """Posts an interval that would raise an alarm if they kept on for the shortest window; None in the warm-up."""
        shortest = self._windows[0]
        wanted = shortest.tail.value_at(self._policy.alarm_surprise)
        if wanted is None:
            return None
        seen = seen_at(wanted, shortest.usual, shortest.dispersion, prior=self._policy.prior_posts)
        return seen / shortest.intervals

    def _judge(self, at: float, expected: float) -> VolumeFinding:
        surprises = [(window.tail.surprise(window.evidence), window) for window in self._windows]
        surprise, best = max(surprises, key=lambda one: -1.0 if one[0] is None else one[0])
        score = 0.0 if surprise is None else min(1.0, surprise / self._policy.alarm_surprise)
        return VolumeFinding(
            expected=expected,
            minutes=best.width / 60,
            seen=best.seen,
            usual=best.usual,
            dispersion=best.dispersion,
            surprise=surprise,
            score=score,
            onset=self._tell(at, score),
        )

    def _tell(self, at: float, score: float) -> bool:
        policy = self._policy
        if at - self._told_at > policy.quiet_hours * HOUR_SECONDS:
            self._told = 0.0
        if score < policy.notice or score <= self._told or score < min(1.0, policy.escalation * self._told):
            return False
        self._told_at, self._told = at, score
        return True


class _Window:
    """The sums over one width, their dispersion, and the tail of their evidence."""

    def __init__(self, width: float, step_seconds: float, policy: VolumePolicy) -> None:
        self.width = width
        """Seconds."""
        self.seen = self.usual = self.evidence = 0.0
        self.tail = Tail(policy.tail)
        self._policy = policy
        self._counts: deque[tuple[float, float, float]] = deque()
        self._spread = Fading()
        guess = PRIOR_WINDOWS * width / step_seconds
        self._spread.add(PRIOR_DISPERSION * guess, guess)

    @property
    def intervals(self) -> int:
        """How many of the window's intervals were counted."""
        return len(self._counts)

    @property
    def dispersion(self) -> float:
        """Variance over mean; a crowd never copies itself less than not at all."""
        return max(1.0, self._spread.ratio(0.0))

    def slide(self, at: float, count: float, expected: float) -> None:
        """Move on to *at*, where *count* was seen and *expected* usual."""
        self._counts.append((at, count, expected))
        self.seen += count
        self.usual += expected
        while self._counts[0][0] <= at - self.width:
            _, old_count, old_expected = self._counts.popleft()
            self.seen -= old_count
            self.usual -= old_expected
        self.evidence = evidence(self.seen, self.usual, self.dispersion, prior=self._policy.prior_posts)
        self.tail.turn_to(at)

    def learn(self, at: float) -> None:
        """The window as it stands becomes past."""
        self.tail.take(self.evidence)
        deviation = (self.seen - self.usual) ** 2 / (self.usual + 0.5)
        cut = min(deviation, OUTLIER * self.dispersion)
        self._spread.fade(at, self._policy.usual.level_days * DAY_SECONDS)
        self._spread.add(cut, 1.0)

"""Is a brand named more often than is usual for it? Counts alone, one interval after the other.

1. Evidence. The posts of a sliding window are set against what was expected of them (`usual_volume`), as a difference
   of square roots: in standard deviations of a Poisson count, whatever the level.
2. The brand's own alarm rate. A bursty brand has large evidence every day, so evidence is read on the tail of the
   brand's own last days (`volume_tail`): how often would such an hour come?
3. Onset. An onset is reported once in a day, unless it becomes half again as surprising.

Everything looks back only. Moments are seconds since 1970, UTC; a count belongs to the interval that starts there.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from alerting.detection.volume_baseline import HOUR_SECONDS, UsualVolume, UsualVolumePolicy
from alerting.detection.volume_tail import Tail, TailPolicy
from brandpulse.runtime.local_hours import UTC

FOUR_WEEKS_HOURS = 4 * 7 * 24


@dataclass(frozen=True, slots=True)
class VolumePolicy:
    """What counts as a surge."""

    window_minutes: float = 30.0
    false_alarms: float = 1.0
    """The budget: hours as surprising as an alarm that the tail lets us expect in four weeks."""
    prior_posts: float = 5.0
    """Added to seen and expected: two posts where none is usual are no surge."""
    quiet_hours: float = 24.0
    """An onset is not reported again for this long."""
    escalation: float = 1.5
    """Unless the score grew by this factor, or to 1.0."""
    notice: float = 0.5
    """The least score that is reported."""
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
    """Of the window; `seen` and `usual` are its posts."""
    seen: float
    usual: float
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


def evidence(seen: float, usual: float, *, prior: float) -> float:
    """How many standard deviations of a Poisson count *seen* lies above *usual*; 0.0 below it.

    Twice the difference of the square roots (Anscombe 1948). If counts vary more than that, they do so by about the
    same factor at every level, and the tail measures it. *prior* posts are added to both.
    """
    return max(0.0, 2 * (math.sqrt(seen + prior) - math.sqrt(usual + prior)))


def seen_at(wanted: float, usual: float, *, prior: float) -> float:
    """The count whose `evidence` is *wanted*: its inverse."""
    return (math.sqrt(usual + prior) + wanted / 2) ** 2 - prior


class OnsetReports:
    """Which scores are reported: the first of a day, and those that grew enough since."""

    def __init__(self, policy: VolumePolicy) -> None:
        self._policy = policy
        self._reported_at = -math.inf
        self._reported = 0.0

    def take(self, at: float, score: float) -> bool:
        """Whether *score* at *at* is reported as an onset."""
        policy = self._policy
        if at - self._reported_at > policy.quiet_hours * HOUR_SECONDS:
            self._reported = 0.0
        wanted = min(1.0, policy.escalation * self._reported)
        if score < policy.notice or score <= self._reported or score < wanted:
            return False
        self._reported_at, self._reported = at, score
        return True


class VolumeScorer:
    """One brand's counts in order of time. Memory is bounded: a window of counts, some days of hourly maxima.

    Hours of the day and of the week are hours of *zone*.
    """

    def __init__(self, step_seconds: float, policy: VolumePolicy | None = None, *, zone: ZoneInfo = UTC) -> None:
        self._policy = policy or VolumePolicy()
        self._usual = UsualVolume(step_seconds, self._policy.usual, zone)
        # A window cannot be shorter than an interval.
        self._window = SlidingSums(max(self._policy.window_minutes * 60, step_seconds))
        self._tail = Tail(self._policy.tail)
        self._reports = OnsetReports(self._policy)

    def score(self, at: float, count: float) -> VolumeFinding:
        """What *count* of the interval at *at* means, given all before it; then it is part of what was before.

        *at* must rise. An interval that is left out is missing, not zero.
        """
        known = self._usual.expect(at)
        expected = count if known is None else known
        window = self._window
        window.slide(at, count, expected)
        self._tail.advance_to(at)
        found = evidence(window.seen, window.usual, prior=self._policy.prior_posts)
        surprise = self._tail.surprise(found) if self._usual.knows(at) else None
        score = 0.0 if surprise is None else min(1.0, surprise / self._policy.alarm_surprise)
        finding = VolumeFinding(
            expected=expected,
            minutes=window.width / 60,
            seen=window.seen,
            usual=window.usual,
            surprise=surprise,
            score=score,
            onset=self._reports.take(at, score),
        )
        if self._usual.learn(at, count):
            self._tail.take(found)
        return finding

    def usual_at(self, at: float) -> float | None:
        """Posts usual in the interval at *at*; None before anything was learnt."""
        return self._usual.expect(at)

    def knows(self, at: float) -> bool:
        """Whether the hour at *at* has a shape to be compared with: `UsualVolume.knows`."""
        return self._usual.knows(at)

    def surprise(self, seen: float, usual: float) -> float | None:
        """How far *seen* where *usual* is usual lies out on the tail; None while warming up."""
        return self._tail.surprise(evidence(seen, usual, prior=self._policy.prior_posts))

    def alarm_rate(self) -> float | None:
        """Posts an interval that would raise an alarm if they kept on for the window; None in the warm-up."""
        wanted = self._tail.value_at(self._policy.alarm_surprise)
        if wanted is None:
            return None
        return seen_at(wanted, self._window.usual, prior=self._policy.prior_posts) / self._window.intervals


class SlidingSums:
    """Posts seen and posts expected over the last *width* seconds."""

    def __init__(self, width: float) -> None:
        self.width = width
        self.seen = self.usual = 0.0
        self._counts: deque[tuple[float, float, float]] = deque()

    @property
    def intervals(self) -> int:
        """How many of the window's intervals were counted."""
        return len(self._counts)

    def slide(self, at: float, count: float, expected: float) -> None:
        """Move on to *at*, where *count* was seen and *expected* usual."""
        self._counts.append((at, count, expected))
        self.seen += count
        self.usual += expected
        while self._counts[0][0] <= at - self.width:
            _, old_count, old_expected = self._counts.popleft()
            self.seen -= old_count
            self.usual -= old_expected
        self.usual = max(self.usual, 0.0)

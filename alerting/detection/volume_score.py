"""Scores how unusual a brand's number of posts is, interval by interval.

1. Evidence. The posts of a sliding window are compared with the expected number (`volume_baseline`), as a difference of
   square roots: in standard deviations of a Poisson count, at any level.
2. The brand's own alarm rate. A bursty brand has large evidence every day, so evidence is placed on the tail of the
   brand's own last days (`volume_tail`): how often does such an hour occur?
3. Onset. An onset is reported once a day, unless it becomes half again as surprising.

Only the past is used. Times are seconds since 1970, UTC; a count belongs to the interval that starts then.
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
    """Budget: expected hours in four weeks that are as surprising as an alarm, according to the tail."""
    prior_posts: float = 5.0
    """Added to the seen and the expected number: two posts instead of none are not a surge."""
    quiet_hours: float = 24.0
    """After an onset, no further one is reported for this time."""
    escalation: float = 1.5
    """Except if the score grew by this factor, or to 1.0."""
    notice: float = 0.5
    """The minimum score that is reported."""
    tail: TailPolicy = field(default_factory=TailPolicy)
    usual: UsualVolumePolicy = field(default_factory=UsualVolumePolicy)

    @property
    def alarm_surprise(self) -> float:
        """The surprise (`Tail.surprise`) of an alarm; its score is 1.0."""
        return math.log(FOUR_WEEKS_HOURS * self.tail.part / self.false_alarms)


@dataclass(frozen=True, slots=True)
class VolumeFinding:
    """The result for one interval."""

    expected: float
    """Usual number of posts in this interval."""
    minutes: float
    """Width of the window; `seen` and `usual` are its posts."""
    seen: float
    usual: float
    surprise: float | None
    """Position on the brand's own tail, `Tail.surprise`; None while warming up."""
    score: float
    """*surprise* divided by the surprise of an alarm, in [0, 1]."""
    onset: bool

    @property
    def onset_score(self) -> float:
        """`score` at an onset, else 0.0."""
        return self.score if self.onset else 0.0

    @property
    def reason(self) -> str:
        """One sentence for people."""
        counted = f"{self.seen:.0f} posts in {self.minutes:g} minutes where {self.usual:.1f} are usual"
        return f"Still learning what is usual: {counted}." if self.surprise is None else f"{counted}."


def evidence(seen: float, usual: float, *, prior: float) -> float:
    """How many standard deviations of a Poisson count *seen* lies above *usual*; 0.0 below it.

    Twice the difference of the square roots (Anscombe 1948). If counts vary more than that, they do so by about the
    same factor at every level, and the tail measures it. *prior* posts are added to both.
    """
    return max(0.0, 2 * (math.sqrt(seen + prior) - math.sqrt(usual + prior)))


def seen_at(wanted: float, usual: float, *, prior: float) -> float:
    """The inverse of `evidence`: the count whose evidence is *wanted*."""
    return (math.sqrt(usual + prior) + wanted / 2) ** 2 - prior


class OnsetReports:
    """Selects the scores that are reported: the first of a day, and those that grew enough since."""

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
    """Scores one brand's counts in order of time. Memory is bounded: a window of counts, some days of hourly maxima.

    Hours of the day and of the week are in time zone *zone*.
    """

    def __init__(self, step_seconds: float, policy: VolumePolicy | None = None, *, zone: ZoneInfo = UTC) -> None:
        self._policy = policy or VolumePolicy()
        self._usual = UsualVolume(step_seconds, self._policy.usual, zone)
        # A window cannot be shorter than an interval.
        self._window = SlidingSums(max(self._policy.window_minutes * 60, step_seconds))
        self._tail = Tail(self._policy.tail)
        self._reports = OnsetReports(self._policy)

    def score(self, at: float, count: float) -> VolumeFinding:
        """Score *count* of the interval at *at* against all earlier counts, then learn it.

        *at* must rise. An omitted interval is missing, not zero.
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
        """Usual number of posts in the interval at *at*; None before anything was learnt."""
        return self._usual.expect(at)

    def knows(self, at: float) -> bool:
        """Whether the hour at *at* has a shape to compare with: `UsualVolume.knows`."""
        return self._usual.knows(at)

    def surprise(self, seen: float, usual: float) -> float | None:
        """The position on the tail of *seen* where *usual* is usual; None while warming up."""
        return self._tail.surprise(evidence(seen, usual, prior=self._policy.prior_posts))

    def alarm_rate(self) -> float | None:
        """Posts in an interval that raise an alarm if they continue for a window; None while warming up."""
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
        """Advance to *at*, with *count* seen and *expected* usual."""
        self._counts.append((at, count, expected))
        self.seen += count
        self.usual += expected
        while self._counts[0][0] <= at - self.width:
            _, old_count, old_expected = self._counts.popleft()
            self.seen -= old_count
            self.usual -= old_expected
        self.usual = max(self.usual, 0.0)

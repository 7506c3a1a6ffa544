"""Detection delay: the statistical limit, and the delay of the share rule at a brand's volume."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from alerting.detection.evidence import deviance_nats
from alerting.detection.share_detector import BUDGET_MINUTES, Baseline, DetectPolicy, alarm_levels

SHOWN_RISE = 0.25
"""The rise whose expected delay is shown for each brand: for example from a quarter to a half."""


@dataclass(frozen=True, slots=True)
class Step:
    """A share that jumps and stays. All posts are by different people."""

    before: float
    after: float
    per_minute: float
    """Posts before the step; *volume* times as many after it."""
    volume: float = 1.0

    def seen_by(self, found: float, mistaken: float) -> "Step":
        """The step as seen by a classifier that labels *found* of the negative posts negative, and *mistaken* of the
        others."""
        before, after = (mistaken + (found - mistaken) * share for share in (self.before, self.after))
        return Step(before, after, self.per_minute, self.volume)


def minimum_delay(step: Step, *, false_alarms: float) -> float:
    """The minimum mean delay (minutes) of any test of the share with *false_alarms* pages in four weeks.

    CUSUM attains it (Moustakides 1986) when share and lift are known. Second order (Siegmund 1985): for information
    D01 (before against after) and D10 a minute, solve e^h - h - 1 = g D01; T = (h - 1 + e^-h) / D10.
    """
    rate = step.per_minute * step.volume
    forward, backward = rate * _kl(step.after, step.before), rate * _kl(step.before, step.after)
    h = cusum_nats(backward, false_alarms=false_alarms)
    return (h - 1 + math.exp(-h)) / forward


def cusum_nats(information: float, *, false_alarms: float) -> float:
    """The level (nats) at which CUSUM keeps to *false_alarms* pages in four weeks, second order: h of `minimum_delay`.

    *information* is D01: evidence for the usual share, in nats a minute.
    """
    wanted = BUDGET_MINUTES / false_alarms * information
    low, high = 0.0, 60.0
    for _ in range(80):
        h = (low + high) / 2
        low, high = (h, high) if math.expm1(h) - h < wanted else (low, h)
    return (low + high) / 2


@lru_cache(maxsize=8_192)
def expected_delay(usual: Baseline, policy: DetectPolicy, *, rise: float = SHOWN_RISE) -> float | None:
    """Minutes until a step by *rise* typically pages, for a brand with *usual* share and volume; None: a day or more.

    Computed from the expected votes: when they reach an alarm in some window. Watermark and evaluation add 2 to 3
    minutes.
    """
    if not usual.hours or not usual.authors:
        return None
    share = min(usual.share + rise, 0.95)
    widths = (*policy.windows, *(policy.windows[-1] + 60 * hours for hours in policy.slow_hours))
    delays = [
        delay
        for width, level in zip(widths, alarm_levels(policy), strict=True)
        if (delay := _delay_in(width, level, share, usual, policy)) is not None
    ]
    return min(delays, default=None)


def _delay_in(width: int, level: float, share: float, usual: Baseline, policy: DetectPolicy) -> float | None:
    people = width * usual.authors / usual.hours / 60
    if people < policy.min_authors:
        return None

    def is_alarm(minutes: int) -> bool:
        mixed = usual.share + (share - usual.share) * minutes / width
        large = mixed >= max(usual.share + policy.min_rise, usual.share * policy.min_ratio)
        enough = mixed * people >= policy.min_negative_authors and large
        return enough and deviance_nats(mixed, people, usual.share, usual.rho) >= level

    # Evidence grows with time, so the first minute is found by bisection.
    first = bisect_left(range(1, width + 1), True, key=is_alarm) + 1
    return float(first) if first <= width else None


def _kl(p: float, q: float) -> float:
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


def delay_text(delay: float | None) -> str:
    """*delay* as text."""
    if delay is None:
        return "more than a day"
    return f"{delay:.0f} minutes" if delay < 120 else f"{delay / 60:.0f} hours"


STEPS: Sequence[Step] = (
    Step(0.25, 0.60, 0.2),
    Step(0.25, 0.50, 1.0),
    Step(0.25, 0.50, 1.0, 2.0),
    Step(0.25, 0.40, 4.0),
    Step(0.25, 0.50, 4.0, 2.0),
    Step(0.25, 0.35, 17.0),
    Step(0.25, 0.50, 17.0, 2.0),
)
"""What `brandpulse bench delay` simulates."""

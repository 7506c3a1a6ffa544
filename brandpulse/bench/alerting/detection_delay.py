"""`brandpulse bench delay`: simulated steps through the alerter's own rules, against the least delay possible."""

import numpy as np

from alerting.detection.expected_delay import STEPS, Step, minimum_delay
from alerting.detection.share_detector import DetectPolicy
from brandpulse.bench.alerting.simulation import simulate, steady

DAY = 1_440
HISTORY = 14 * DAY
LONGEST = 12 * 60


def run(*, brands: int, false_alarms: float, found: float, mistaken: float) -> None:
    """Print the mean delay of each of `STEPS` over *brands* simulated brands, and its ratio to the least delay."""
    from rich.table import Table

    from brandpulse.runtime.console import Console

    policy = DetectPolicy(false_alarms=false_alarms)
    table = Table("posts/min", "share", "volume", "least", "mean", "p50", "p95", "missed", "ratio")
    ratios = []
    for step in STEPS:
        seen = step.seen_by(found, mistaken)
        least = minimum_delay(seen, false_alarms=false_alarms)
        delays = [delay_of(seen, seed, policy) for seed in range(brands)]
        # A step that was not told within twelve hours counts as twelve hours.
        minutes = [LONGEST if delay is None else delay for delay in delays]
        ratios.append(float(np.mean(minutes)) / least)
        table.add_row(
            f"{step.per_minute:g}",
            f"{step.before:.2f} to {step.after:.2f}",
            f"x{step.volume:g}",
            f"{least:.1f}",
            f"{np.mean(minutes):.1f}",
            f"{np.median(minutes):.0f}",
            f"{np.quantile(minutes, 0.95):.0f}",
            str(delays.count(None)),
            f"{ratios[-1]:.2f}",
        )
    console = Console()
    console.print(table)
    console.print(
        f"{brands} brands a row, {false_alarms:g} false pages a brand in four weeks; a classifier that finds "
        f"{found:.0%} of the negative posts and takes {mistaken:.0%} of the others for negative. "
        f"Mean ratio {np.mean(ratios):.2f}, geometric {np.exp(np.mean(np.log(ratios))):.2f}.",
        soft_wrap=True,
    )


def delay_of(seen: Step, seed: int, policy: DetectPolicy) -> int | None:
    """Minutes from the step to its page; None if none came in twelve hours. Two weeks of history come before it."""
    rng = np.random.default_rng(seed)
    calm = steady(rng, HISTORY, per_minute=seen.per_minute, share=seen.before)
    crisis = steady(rng, LONGEST, per_minute=seen.per_minute * seen.volume, share=seen.after)
    posts, negatives = (np.concatenate(part) for part in zip(calm, crisis, strict=True))
    told = simulate(posts, negatives, detect=policy, judge_from=HISTORY - 200, until_told_after=HISTORY)
    return next((minute - HISTORY + 1 for minute in told.triggered if minute >= HISTORY), None)

"""`brandpulse bench delay`: delay of the alerter's rules on simulated steps, against the minimum delay."""

import numpy as np

from alerting.detection.expected_delay import STEPS, Step, minimum_delay
from alerting.detection.share_detector import DetectPolicy
from brandpulse.bench.alerting.simulation import simulate, steady

DAY = 1_440
HISTORY = 14 * DAY
MAX_DELAY = 12 * 60


def run(*, brands: int, false_alarms: float, found: float, mistaken: float) -> None:
    """Print the mean delay of each of `STEPS` over *brands* simulated brands, and its ratio to the minimum delay."""
    from rich.table import Table

    from brandpulse.runtime.console import Console

    policy = DetectPolicy(false_alarms=false_alarms)
    table = Table("posts/min", "share", "volume", "minimum", "mean", "p50", "p95", "missed", "ratio")
    ratios = []
    for step in STEPS:
        observed = step.seen_by(found, mistaken)
        minimum = minimum_delay(observed, false_alarms=false_alarms)
        delays = [delay_of(observed, seed, policy) for seed in range(brands)]
        # A step that is not detected within twelve hours counts as twelve hours.
        minutes = [MAX_DELAY if delay is None else delay for delay in delays]
        ratios.append(float(np.mean(minutes)) / minimum)
        table.add_row(
            f"{step.per_minute:g}",
            f"{step.before:.2f} to {step.after:.2f}",
            f"x{step.volume:g}",
            f"{minimum:.1f}",
            f"{np.mean(minutes):.1f}",
            f"{np.median(minutes):.0f}",
            f"{np.quantile(minutes, 0.95):.0f}",
            str(delays.count(None)),
            f"{ratios[-1]:.2f}",
        )
    console = Console()
    console.print(table)
    console.print(
        f"{brands} brands per row, {false_alarms:g} false pages per brand in four weeks. The classifier finds "
        f"{found:.0%} of the negative posts and labels {mistaken:.0%} of the others as negative. "
        f"Mean ratio {np.mean(ratios):.2f}, geometric {np.exp(np.mean(np.log(ratios))):.2f}.",
        soft_wrap=True,
    )


def delay_of(step: Step, seed: int, policy: DetectPolicy) -> int | None:
    """Minutes from *step*, after two weeks of history, to its page; None if there is none within twelve hours."""
    rng = np.random.default_rng(seed)
    calm = steady(rng, HISTORY, per_minute=step.per_minute, share=step.before)
    crisis = steady(rng, MAX_DELAY, per_minute=step.per_minute * step.volume, share=step.after)
    posts, negatives = (np.concatenate(part) for part in zip(calm, crisis, strict=True))
    episodes = simulate(posts, negatives, detect=policy, evaluate_from=HISTORY - 200, stop_after=HISTORY)
    return next((minute - HISTORY + 1 for minute in episodes.triggered if minute >= HISTORY), None)

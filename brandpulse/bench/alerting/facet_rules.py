"""`brandpulse bench facets`: false pages and detection delays of facet rules on simulated facets."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from alerting.detection.share_baseline import BaselinePolicy
from alerting.detection.share_detector import DetectPolicy
from alerting.episodes.lifecycle import EpisodePolicy
from alerting.evaluation.facet_rules import facet_baseline_policy
from alerting.rules.models import FacetShareRule
from brandpulse.bench.alerting.simulation import SimulatedEpisodes, simulate, steady

DAY = 1_440
HISTORY, FOUR_WEEKS = 14 * DAY, 28 * DAY
SURGE = 6 * 60
TREBLES = 3.0
UNEVEN = 0.03
"""`steady`'s rho: the share of one hour and the next differ by 30 % (standard deviation)."""
CELLS = ((0.02, 1.0), (0.02, 4.0), (0.1, 1.0), (0.1, 4.0))
"""Usual share of a brand's people, and its posts a minute."""


@dataclass(frozen=True, slots=True)
class Surge:
    """Delays, in minutes, for a facet whose share trebles for six hours."""

    detected_after: int | None
    """From its start; None: not detected during the surge."""
    resolved_after: int | None
    """From its end; None: not resolved within a day, or not detected."""


def run(*, brands: int, false_alarms: float) -> None:
    """Print each cell of `CELLS` over *brands* simulated brands."""
    from rich.table import Table

    from brandpulse.runtime.console import Console

    rule = FacetShareRule(name="bench", kind="facet_share", facet="bench", false_alarms=false_alarms)
    table = Table(
        "share", "posts/min", "false, even", "false, uneven", "detected", "delay p50, p95", "resolved p50, p95"
    )
    for share, per_minute in CELLS:
        even, uneven = (false_pages(rule, share, per_minute, rho=rho, brands=brands) for rho in (0.0, UNEVEN))
        surges = [surge(rule, share, per_minute, seed) for seed in range(brands)]
        table.add_row(
            f"{share:g}",
            f"{per_minute:g}",
            _rate(even, brands),
            _rate(uneven, brands),
            f"{sum(one.detected_after is not None for one in surges)} of {brands}",
            _quantiles([one.detected_after for one in surges]),
            _quantiles([one.resolved_after for one in surges]),
        )
        Console().print(f"share {share:g} at {per_minute:g} posts a minute: done", style="dim")
    console = Console()
    console.print(table)
    console.print(
        f"{brands} brands per cell, budget {false_alarms:g} false pages per brand in four weeks. False: pages of a "
        "constant share per brand in four weeks, with a 95 % interval; uneven: hours differ by 30 %. Detected: shares "
        "that treble for six hours. Delays in minutes, without those of watermark and evaluation.",
        soft_wrap=True,
    )


def false_pages(rule: FacetShareRule, share: float, per_minute: float, *, rho: float, brands: int) -> int:
    """Pages of *brands* with a constant share, each in four weeks after two weeks of history."""
    pages = 0
    for seed in range(brands):
        posts, inside = steady(
            np.random.default_rng(seed), HISTORY + FOUR_WEEKS, per_minute=per_minute, share=share, rho=rho
        )
        pages += len(simulate_rule(rule, posts, inside, evaluate_from=HISTORY).triggered)
    return pages


def surge(rule: FacetShareRule, share: float, per_minute: float, seed: int) -> Surge:
    """Two weeks of history, six hours of three times the share, and a calm day."""
    rng = np.random.default_rng(1_000 + seed)
    parts = [
        steady(rng, minutes, per_minute=per_minute, share=wanted)
        for minutes, wanted in ((HISTORY, share), (SURGE, TREBLES * share), (DAY, share))
    ]
    posts, inside = (np.concatenate(part) for part in zip(*parts, strict=True))
    episodes = simulate_rule(rule, posts, inside, evaluate_from=HISTORY - 200)
    ends = HISTORY + SURGE
    detected = next((minute for minute in episodes.triggered if HISTORY <= minute < ends), None)
    resolved = None if detected is None else next((minute for minute in episodes.resolved if minute > detected), None)
    return Surge(
        None if detected is None else detected - HISTORY + 1,
        None if resolved is None else max(0, resolved - ends + 1),
    )


def simulate_rule(
    rule: FacetShareRule, posts: np.ndarray, inside: np.ndarray, *, evaluate_from: int
) -> SimulatedEpisodes:
    """`simulate` with *rule* and the alerter's default policies."""
    return simulate(
        posts,
        inside,
        detect=rule.detect_policy(DetectPolicy()),
        past=facet_baseline_policy(BaselinePolicy()),
        episode=rule.episode_policy(EpisodePolicy()),
        evaluate_from=evaluate_from,
    )


def poisson_interval(count: int) -> tuple[float, float]:
    """The 95 % confidence interval of the mean of a Poisson count (Garwood 1936)."""

    def at_most(many: int, mean: float) -> float:
        return sum(math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(many + 1))

    low = 0.0 if count == 0 else _root(lambda mean: at_most(count - 1, mean) - 0.975, count)
    return low, _root(lambda mean: at_most(count, mean) - 0.025, count)


def _root(falling: Callable[[float], float], near: int) -> float:
    low, high = 1e-9, 4.0 * near + 20
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return low


def _rate(pages: int, brands: int) -> str:
    low, high = (mean / brands for mean in poisson_interval(pages))
    return f"{pages / brands:.2f} ({low:.2f} to {high:.2f})"


def _quantiles(minutes: list[int | None]) -> str:
    known = [minute for minute in minutes if minute is not None]
    return "-" if not known else f"{np.median(known):.0f}, {np.quantile(known, 0.95):.0f}"

"""`brandpulse bench facets`: simulated facets under the alerter's own rules: false pages, and when a surge is told."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from alerting.detection.share_baseline import BaselinePolicy
from alerting.detection.share_detector import DetectPolicy
from alerting.episodes.lifecycle import EpisodePolicy
from alerting.evaluation.facet_rules import facet_baseline_policy
from alerting.rules.models import FacetShareRule
from brandpulse.bench.alerting.simulation import Seen, simulate, steady

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
    """A facet that trebled for six hours. Minutes."""

    told_after: int | None
    """From its begin; None: never while it lasted."""
    over_after: int | None
    """From its end to the resolve; None: not within a day, or not told."""


def run(*, brands: int, false_alarms: float) -> None:
    """Print each cell of `CELLS` over *brands* simulated brands."""
    from rich.table import Table

    from brandpulse.runtime.console import Console

    rule = FacetShareRule(name="bench", kind="facet_share", facet="bench", false_alarms=false_alarms)
    table = Table("share", "posts/min", "false, even", "false, uneven", "told", "delay p50, p95", "over p50, p95")
    for share, per_minute in CELLS:
        even, uneven = (false_pages(rule, share, per_minute, rho=rho, brands=brands) for rho in (0.0, UNEVEN))
        surges = [surge(rule, share, per_minute, seed) for seed in range(brands)]
        table.add_row(
            f"{share:g}",
            f"{per_minute:g}",
            _rate(even, brands),
            _rate(uneven, brands),
            f"{sum(one.told_after is not None for one in surges)} of {brands}",
            _quantiles([one.told_after for one in surges]),
            _quantiles([one.over_after for one in surges]),
        )
        Console().print(f"share {share:g} at {per_minute:g} posts a minute: done", style="dim")
    console = Console()
    console.print(table)
    console.print(
        f"{brands} brands a cell, {false_alarms:g} false pages a brand in four weeks asked for. False: pages of a "
        "share that stays, per brand in four weeks, with a 95 % interval; uneven: hours differ by 30 %. Told: of "
        "shares that treble for six hours. Minutes; watermark and tick come on top.",
        soft_wrap=True,
    )


def false_pages(rule: FacetShareRule, share: float, per_minute: float, *, rho: float, brands: int) -> int:
    """Pages of *brands* whose share stays, each in four weeks after a fortnight of history."""
    pages = 0
    for seed in range(brands):
        posts, inside = steady(
            np.random.default_rng(seed), HISTORY + FOUR_WEEKS, per_minute=per_minute, share=share, rho=rho
        )
        pages += len(simulated(rule, posts, inside, judge_from=HISTORY).triggered)
    return pages


def surge(rule: FacetShareRule, share: float, per_minute: float, seed: int) -> Surge:
    """A fortnight of history, six hours of three times the share, and a day of calm."""
    rng = np.random.default_rng(1_000 + seed)
    parts = [
        steady(rng, minutes, per_minute=per_minute, share=wanted)
        for minutes, wanted in ((HISTORY, share), (SURGE, TREBLES * share), (DAY, share))
    ]
    posts, inside = (np.concatenate(part) for part in zip(*parts, strict=True))
    seen = simulated(rule, posts, inside, judge_from=HISTORY - 200)
    ends = HISTORY + SURGE
    told = next((minute for minute in seen.triggered if HISTORY <= minute < ends), None)
    over = None if told is None else next((minute for minute in seen.resolved if minute > told), None)
    return Surge(
        None if told is None else told - HISTORY + 1,
        None if over is None else max(0, over - ends + 1),
    )


def simulated(rule: FacetShareRule, posts: np.ndarray, inside: np.ndarray, *, judge_from: int) -> Seen:
    """`simulate` under *rule* and the alerter's own settings."""
    return simulate(
        posts,
        inside,
        detect=rule.detect_policy(DetectPolicy()),
        past=facet_baseline_policy(BaselinePolicy()),
        episode=rule.episode_policy(EpisodePolicy()),
        judge_from=judge_from,
    )


def poisson_interval(seen: int) -> tuple[float, float]:
    """The means that 95 of 100 times lie around such a count (Garwood 1936)."""

    def at_most(many: int, mean: float) -> float:
        return sum(math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(many + 1))

    low = 0.0 if seen == 0 else _solve(lambda mean: at_most(seen - 1, mean) - 0.975, seen)
    return low, _solve(lambda mean: at_most(seen, mean) - 0.025, seen)


def _solve(falling: Callable[[float], float], near: int) -> float:
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

"""`brandpulse bench rhythm`: false pages and detected rises of brands with a daily and a weekly rhythm."""

from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from alerting.detection.share_baseline import BaselinePolicy
from alerting.detection.share_detector import DetectPolicy
from alerting.episodes.lifecycle import EpisodePolicy
from alerting.evaluation.facet_rules import facet_baseline_policy
from alerting.rules.models import FacetShareRule
from brandpulse.bench.alerting.facet_rules import poisson_interval
from brandpulse.bench.alerting.simulation import MONDAY, SimulatedEpisodes, simulate
from brandpulse.runtime.local_hours import UTC as UTC_ZONE
from brandpulse.runtime.local_hours import week_hours

if TYPE_CHECKING:
    from rich.table import Table

    from brandpulse.runtime.console import Console

Hours = np.ndarray
DAY = 1_440
LEARNING_DAYS, MEASURED_DAYS = 7, 28
SEED = 500
"""Of the first brand. The rules were tuned with other seeds."""
FACET_PART = 0.4
"""Share of a facet, relative to the negative share."""
RHYTHMS: dict[str, Callable[[Hours, Hours], Hours]] = {
    "flat": lambda hour, day: np.full(len(hour), 0.25),
    "day": lambda hour, day: 0.25 + 0.07 * np.sin(2 * np.pi * (hour + 0.5) / 24),
    "peak": lambda hour, day: np.where((hour >= 6) & (hour < 9), 0.5, 0.15),
    "week": lambda hour, day: np.where(day >= 5, 0.38, 0.22) + 0.05 * np.sin(2 * np.pi * (hour + 0.5) / 24),
}
"""Hour of the day and day of the week (Monday is 0) -> share of negative authors."""
PEOPLE = (3, 30, 100)
RISE, RISE_HOURS = 0.25, 3
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Sydney", "America/Santiago")
SPRING = {"Australia/Sydney": "2026-10-04", "America/Santiago": "2026-09-06", "America/New_York": "2026-03-08"}
AUTUMN = {"Australia/Sydney": "2026-04-05", "America/Santiago": "2026-04-05", "America/New_York": "2026-11-01"}


def run(*, brands: int, false_alarms: float, uneven: float) -> None:
    """Print three tables over *brands* simulated brands per cell. *uneven*: how much hours differ, a rho."""
    from brandpulse.runtime.console import Console

    console = Console()
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        tables = _tables(console, pool, brands=brands, false_alarms=false_alarms, uneven=uneven)
    for table in tables:
        console.print(table)
    console.print(
        f"{brands} brands per cell, budget {false_alarms:g} false pages per brand in four weeks. Most people write "
        f"from 6 to 24 h; hours of the first table differ by a rho of {uneven:g}. Pages per brand with 95 % intervals. "
        f"Peak: half of the people are negative from 6 to 9 h, else 0.15. A rise adds {RISE:g} for {RISE_HOURS} "
        f"hours in the rhythm 'peak', after four weeks. Clock changes: rhythm 'peak' in {', '.join(ZONES)}. "
        f"Shares of facets are {FACET_PART:g} of these.",
        soft_wrap=True,
    )


def _tables(
    console: "Console", pool: Executor, *, brands: int, false_alarms: float, uneven: float
) -> tuple["Table", ...]:
    """Each brand is simulated on one core, the brands of a cell on all cores."""
    from rich.table import Table

    seeds = range(SEED, SEED + brands)
    pages = Table("rule", "rhythm", "people/h", "first week", "pages in four weeks")
    for facet in (False, True):
        for rhythm in RHYTHMS:
            for people in PEOPLE:
                work = partial(
                    pages_of, rhythm=rhythm, people=people, facet=facet, uneven=uneven, false_alarms=false_alarms
                )
                early, late = (sum(part) for part in zip(*pool.map(work, seeds), strict=True))
                pages.add_row(_rule(facet), rhythm, str(people), _rate(early, brands), _rate(late, brands))
                console.print(f"{_rule(facet)} {rhythm} {people}: {early} and {late} pages", style="dim")
    rises = Table("rule", "people/h", "hour", "found", "delay p50 (min)")
    for facet in (False, True):
        for people in PEOPLE[1:]:
            for hour in (7, 14):
                delay_of = partial(rise_delay, people=people, hour=hour, facet=facet, false_alarms=false_alarms)
                delays = list(pool.map(delay_of, seeds))
                found = [delay for delay in delays if delay is not None]
                median = f"{np.median(found):.0f}" if found else "-"
                rises.add_row(_rule(facet), str(people), f"{hour}:00", f"{len(found)} of {brands}", median)
    clocks = Table("rule", "change", "people/h", "pages, week before", "pages, week after")
    for facet in (False, True):
        for name, dates in (("spring", SPRING), ("autumn", AUTUMN)):
            for people in PEOPLE:
                change = partial(
                    clock_change, season=name, dates=dates, people=people, facet=facet, false_alarms=false_alarms
                )
                each = [(zone, seed) for zone in ZONES for seed in seeds[: -(-brands // 2)]]
                weeks = list(pool.map(change, *zip(*each, strict=True)))
                count = len(weeks)
                before, after = (sum(part) for part in zip(*weeks, strict=True))
                clocks.add_row(_rule(facet), name, str(people), f"{before} of {count}", f"{after} of {count}")
                console.print(f"{_rule(facet)} {name} {people}: {before}, {after} of {count}", style="dim")
    return pages, rises, clocks


def pages_of(
    seed: int, *, rhythm: str, people: float, facet: bool, uneven: float, false_alarms: float
) -> tuple[int, int]:
    """Pages in the first week of a brand, and in the next four."""
    episodes = _simulate(
        *brand(seed, rhythm, people, facet=facet, uneven=uneven), facet=facet, false_alarms=false_alarms
    )
    early = sum(at < LEARNING_DAYS * DAY for at in episodes.triggered)
    return early, len(episodes.triggered) - early


def brand(
    seed: int,
    rhythm: str,
    people: float,
    *,
    facet: bool,
    days: int = LEARNING_DAYS + MEASURED_DAYS,
    begins: int = MONDAY,
    zone: ZoneInfo = UTC_ZONE,
    rise_at: int | None = None,
    uneven: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Posts and negative posts per minute, each of a new author.

    *rise_at*: minute at which a rise begins. *uneven*: how much hours differ from the rhythm, a rho.
    """
    rng = np.random.default_rng(seed)
    week_hour = week_hours(begins // 60 + np.arange(days * 24), zone)
    hour = week_hour % 24
    share = np.asarray(RHYTHMS[rhythm](hour, week_hour // 24), float) * (FACET_PART if facet else 1.0)
    if uneven > 0:
        scale = (1 - uneven) / uneven
        share = rng.beta(share * scale, (1 - share) * scale)
    shares = np.repeat(share, 60)
    if rise_at is not None:
        during = slice(rise_at, rise_at + RISE_HOURS * 60)
        shares[during] = np.minimum(shares[during] + RISE, 0.97)
    volume = np.where(hour < 6, 0.08, 1.3)
    posts = rng.poisson(np.repeat(volume / volume.mean() * people / 60, 60))
    return posts, rng.binomial(posts, shares)


def rise_delay(seed: int, people: float, hour: int, *, facet: bool, false_alarms: float) -> int | None:
    """Minutes until a rise in the rhythm 'peak' at *hour* is detected; None: not during the rise."""
    at = 28 * DAY + hour * 60
    posts, inside = brand(seed, "peak", people, facet=facet, days=30, rise_at=at)
    episodes = _simulate(posts, inside, facet=facet, false_alarms=false_alarms, evaluate_from=at - 300, stop_after=at)
    return next((minute - at + 1 for minute in episodes.triggered if at <= minute < at + RISE_HOURS * 60), None)


def clock_change(
    zone: str,
    seed: int,
    *,
    season: str,
    dates: dict[str, str],
    people: float,
    facet: bool,
    false_alarms: float,
) -> tuple[int, int]:
    """Pages in the week before and the week after a clock change in *zone*, with four weeks of history."""
    default = "2026-03-29" if season == "spring" else "2026-10-25"
    changes = datetime.fromisoformat(dates.get(zone, default)).replace(tzinfo=UTC)
    begins = int(changes.timestamp()) // 60 - 35 * DAY
    clock = ZoneInfo(zone)
    posts, inside = brand(seed, "peak", people, facet=facet, days=42, begins=begins, zone=clock)
    episodes = _simulate(
        posts, inside, facet=facet, false_alarms=false_alarms, evaluate_from=28 * DAY, begins=begins, zone=clock
    )
    before = sum(at < 35 * DAY for at in episodes.triggered)
    return before, len(episodes.triggered) - before


def _simulate(
    posts: np.ndarray,
    inside: np.ndarray,
    *,
    facet: bool,
    false_alarms: float,
    evaluate_from: int = 0,
    stop_after: int | None = None,
    begins: int = MONDAY,
    zone: ZoneInfo = UTC_ZONE,
) -> SimulatedEpisodes:
    detect, past, episode = DetectPolicy(false_alarms=false_alarms), BaselinePolicy(), EpisodePolicy()
    if facet:
        rule = FacetShareRule(name="bench", kind="facet_share", facet="bench", false_alarms=false_alarms)
        detect, past, episode = rule.detect_policy(detect), facet_baseline_policy(past), rule.episode_policy(episode)
    return simulate(
        posts,
        inside,
        detect=detect,
        past=past,
        episode=episode,
        evaluate_from=evaluate_from,
        stop_after=stop_after,
        begins=begins,
        zone=zone,
    )


def _rule(facet: bool) -> str:
    return "facet" if facet else "share"


def _rate(pages: int, brands: int) -> str:
    low, high = (mean / brands for mean in poisson_interval(pages))
    return f"{pages / brands:.2f} ({low:.2f} to {high:.2f})"

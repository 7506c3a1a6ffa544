"""`brandpulse bench volume-rhythms`: pages of the volume rule for simulated brands that have rhythms, and surges found.

People arrive as a Poisson stream whose rate follows the clock of a time zone. Nothing unusual happens but the planted
surges, so each other page is a false one. Looked at every fifth minute, as after a long stop.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from alerting.detection.share_detector import WindowCounts
from alerting.detection.volume_detector import HOUR_SECONDS, SurgePolicy, detect_surge
from alerting.detection.volume_score import VolumeScorer
from alerting.episodes.lifecycle import EpisodePolicy, OpenEpisode
from alerting.episodes.volume_lifecycle import decide_surge
from brandpulse.runtime.local_hours import UTC, week_hours

WIDTHS = (20, 40, 90, 180)
STRIDE = 5
DAY = 1_440
SHAPES = ("flat", "day", "peak", "week")
VOLUMES = (5, 30, 300)
"""People an hour."""
SIZES = (2, 4, 10)
WEEKS = 5
"""The first is learnt from; pages in it count, too."""
SURGE_MINUTES = 60
FIRST_SEED = 1_000
"""The seeds below were used while the rule was made."""

People = npt.NDArray[np.int64]
Rate = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Recall:
    """Planted surges of one size, those found while they lasted or half an hour after, and their delays."""

    planted: int
    delays: tuple[int, ...]


def rate_of(shape: str, first_minute: int, minutes: int, zone: ZoneInfo = UTC) -> Rate:
    """People a minute by the local clock, with a mean near 1."""
    halves = np.arange(first_minute // 30, -(-(first_minute + minutes) // 30))
    # Zones differ from UTC by quarters of an hour at the finest; halves hold all that are simulated.
    local = week_hours(halves // 2, zone) + _half_hour(halves, zone)
    hour, day = local % 24, local // 24 % 7
    wave = 1 + 0.8 * np.sin(2 * np.pi * (hour - 10) / 24)
    by_half: Mapping[str, Rate] = {
        "flat": np.ones(len(halves)),
        "day": wave,
        "peak": np.where((hour >= 6) & (hour < 9), 4.0, 0.57),
        "week": wave * np.where(day >= 5, 0.3, 1.28),
    }
    start = first_minute - int(halves[0]) * 30
    found: Rate = np.repeat(by_half[shape], 30)[start : start + minutes].astype(np.float64)
    return found


def _half_hour(halves: npt.NDArray[np.int64], zone: ZoneInfo) -> Rate:
    offset = datetime.fromtimestamp(int(halves[0]) * 1_800, zone).utcoffset()
    shifted = offset is not None and offset.total_seconds() % HOUR_SECONDS != 0
    # On a clock that is half an hour off, `week_hours` counts a UTC hour as the later of its two local ones.
    halves_on: Rate = (halves % 2).astype(np.float64)
    return halves_on - 1 if shifted else 0.5 * halves_on


def pages(people: People, first_minute: int, *, zone: ZoneInfo = UTC, policy: SurgePolicy | None = None) -> list[int]:
    """Minutes from the start at which the rule fires. *people* is a number for each minute from *first_minute* on."""
    policy = policy or SurgePolicy()
    total = np.concatenate([[0], np.cumsum(people)])
    watch = VolumeScorer(HOUR_SECONDS, policy.volume, zone=zone)
    learnt = first_minute // 60
    opened: OpenEpisode | None = None
    not_before: int | None = None
    found = []
    for end in range(WIDTHS[-1] - 1 + -first_minute % 60, len(people), STRIDE):
        minute = first_minute + end
        for hour in range(learnt, (minute - WIDTHS[-1] + 1) // 60):
            first, last = max(0, hour * 60 - first_minute), (hour + 1) * 60 - first_minute
            watch.score(float(hour * HOUR_SECONDS), float(total[last] - total[first]))
            learnt = hour + 1
        windows = [_window(total, end, minute, width) for width in WIDTHS]
        seen = detect_surge(windows, watch, policy, not_before=not_before)
        if opened is None and seen.state != "surge":
            continue
        decision = decide_surge(
            "Acme", opened, seen, minute=minute, minutes=STRIDE, surge=policy, policy=EpisodePolicy(), rule="volume"
        )
        opened = decision.after
        if decision.transition == "triggered":
            found.append(end)
        if decision.closed is not None:
            not_before = minute + 1
    return found


def _window(total: People, end: int, minute: int, width: int) -> WindowCounts:
    people = int(total[end + 1] - total[end + 1 - width])
    return WindowCounts(minute, width, posts=people, authors=people)


def false_pages(shape: str, an_hour: float, *, seed: int, first_minute: int, zone: ZoneInfo = UTC) -> int:
    """Pages of one brand in `WEEKS` weeks."""
    rng = np.random.default_rng(seed)
    minutes = WEEKS * 7 * DAY
    return len(pages(rng.poisson(rate_of(shape, first_minute, minutes, zone) * an_hour / 60), first_minute, zone=zone))


def recall(shape: str, an_hour: float, size: float, *, brands: int, seed: int, first_minute: int) -> Recall:
    """Four surges of an hour a brand, *size* times as many people, from the third week on."""
    delays: list[int] = []
    minutes = WEEKS * 7 * DAY
    for brand in range(brands):
        rng = np.random.default_rng(seed + brand)
        rate = rate_of(shape, first_minute, minutes) * an_hour / 60
        # Workdays between 9 and 21 o'clock.
        begins = [day * DAY + int(rng.integers(9 * 60, 20 * 60)) for day in (14, 18, 23, 29)]
        assert all(later - begin > DAY for begin, later in pairwise(begins))  # noqa: S101 - they do not touch
        for begin in begins:
            rate[begin : begin + SURGE_MINUTES] *= size
        fired = pages(rng.poisson(rate), first_minute)
        for begin in begins:
            delays += [minute - begin + 1 for minute in fired if begin <= minute < begin + SURGE_MINUTES + 30][:1]
    return Recall(4 * brands, tuple(delays))


def run(*, brands: int, seed: int) -> None:
    """Print both tables and the weeks around a change of the clock."""
    from rich.table import Table

    from brandpulse.runtime.console import Console

    console = Console()
    monday = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp()) // 60
    table = Table("rhythm", "people an hour", "false pages in 4 weeks", *(f"x{size}: found, p50" for size in SIZES))
    for shape in SHAPES:
        for an_hour in VOLUMES:
            found = sum(false_pages(shape, an_hour, seed=seed + brand, first_minute=monday) for brand in range(brands))
            table.add_row(
                shape,
                str(an_hour),
                f"{4 * found / WEEKS / brands:.2f}",
                *(
                    _said(recall(shape, an_hour, size, brands=max(1, brands // 2), seed=seed, first_minute=monday))
                    for size in SIZES
                ),
            )
    console.print(table)
    clock = Table("zone", "the clock changes on", *(f"{shape}: pages in 4 weeks" for shape in SHAPES[1:]))
    for name, day in CHANGES:
        zone = ZoneInfo(name)
        change = datetime.fromisoformat(day).replace(tzinfo=zone)
        # Three weeks before the change, two after it.
        first_minute = int(change.timestamp()) // 60 - 3 * 7 * DAY
        first_minute -= first_minute % 60
        row = []
        for shape in SHAPES[1:]:
            found = sum(
                false_pages(shape, an_hour, seed=seed + number, first_minute=first_minute, zone=zone)
                for number, an_hour in enumerate(VOLUMES)
            )
            row.append(f"{4 * found / WEEKS / len(VOLUMES):.2f}")
        clock.add_row(name, day, *row)
    console.print(clock)


CHANGES = (
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Sydney", "2026-04-05"),
    ("Australia/Sydney", "2026-10-04"),
    ("Asia/Kolkata", "2026-03-29"),
)
"""Zones and days on which their clocks change; the last zone has no change and lies half an hour beside UTC's hours."""


def _said(found: Recall) -> str:
    p50 = f", {np.median(found.delays):.0f} min" if found.delays else ""
    return f"{len(found.delays)} of {found.planted}{p50}"

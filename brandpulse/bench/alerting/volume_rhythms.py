"""`brandpulse bench volume-rhythms`: false pages and detected surges of the volume rule for brands with rhythms.

Posts are a Poisson stream whose rate follows the clock of a time zone. Only planted surges are unusual, so every other
page is false. Every fifth minute is evaluated, as by an alerter that catches up.
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
"""People per hour."""
SIZES = (2, 4, 10)
WEEKS = 5
"""The first is for learning; pages in it count, too."""
SURGE_MINUTES = 60
FIRST_SEED = 1_000
"""The rule was tuned with lower seeds."""

People = npt.NDArray[np.int64]
Rate = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Recall:
    """Planted surges of one size, and the delays of those detected during the surge or up to half an hour after it."""

    planted: int
    delays: tuple[int, ...]


def rate_of(shape: str, first_minute: int, minutes: int, zone: ZoneInfo = UTC) -> Rate:
    """People per minute by the local clock, with a mean near 1."""
    halves = np.arange(first_minute // 30, -(-(first_minute + minutes) // 30))
    # All simulated zones differ from UTC by multiples of half an hour.
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
    # In a zone at half an hour, `week_hours` counts a UTC hour as the later of its two local hours.
    second_half: Rate = (halves % 2).astype(np.float64)
    return second_half - 1 if shifted else 0.5 * second_half


def pages(people: People, first_minute: int, *, zone: ZoneInfo = UTC, policy: SurgePolicy | None = None) -> list[int]:
    """Minutes, from *first_minute*, at which the rule fires. *people*: number of people in each minute."""
    policy = policy or SurgePolicy()
    total = np.concatenate([[0], np.cumsum(people)])
    scorer = VolumeScorer(HOUR_SECONDS, policy.volume, zone=zone)
    learnt = first_minute // 60
    opened: OpenEpisode | None = None
    not_before: int | None = None
    found = []
    for end in range(WIDTHS[-1] - 1 + -first_minute % 60, len(people), STRIDE):
        minute = first_minute + end
        for hour in range(learnt, (minute - WIDTHS[-1] + 1) // 60):
            first, last = max(0, hour * 60 - first_minute), (hour + 1) * 60 - first_minute
            scorer.score(float(hour * HOUR_SECONDS), float(total[last] - total[first]))
            learnt = hour + 1
        windows = [_window(total, end, minute, width) for width in WIDTHS]
        finding = detect_surge(windows, scorer, policy, not_before=not_before)
        if opened is None and finding.state != "surge":
            continue
        decision = decide_surge(
            "Acme", opened, finding, minute=minute, minutes=STRIDE, surge=policy, policy=EpisodePolicy(), rule="volume"
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
    """Four surges of an hour per brand, with *size* times as many people, from the third week on."""
    delays: list[int] = []
    minutes = WEEKS * 7 * DAY
    for brand in range(brands):
        rng = np.random.default_rng(seed + brand)
        rate = rate_of(shape, first_minute, minutes) * an_hour / 60
        # On workdays between 9 and 21 h.
        begins = [day * DAY + int(rng.integers(9 * 60, 20 * 60)) for day in (14, 18, 23, 29)]
        assert all(later - begin > DAY for begin, later in pairwise(begins))  # noqa: S101 - surges do not touch
        for begin in begins:
            rate[begin : begin + SURGE_MINUTES] *= size
        fired = pages(rng.poisson(rate), first_minute)
        for begin in begins:
            delays += [minute - begin + 1 for minute in fired if begin <= minute < begin + SURGE_MINUTES + 30][:1]
    return Recall(4 * brands, tuple(delays))


def run(*, brands: int, seed: int) -> None:
    """Print false pages and recall by rhythm, and false pages around clock changes."""
    from rich.table import Table

    from brandpulse.runtime.console import Console

    console = Console()
    monday = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp()) // 60
    table = Table("rhythm", "people per hour", "false pages in 4 weeks", *(f"x{size}: found, p50" for size in SIZES))
    for shape in SHAPES:
        for an_hour in VOLUMES:
            found = sum(false_pages(shape, an_hour, seed=seed + brand, first_minute=monday) for brand in range(brands))
            table.add_row(
                shape,
                str(an_hour),
                f"{4 * found / WEEKS / brands:.2f}",
                *(
                    _format(recall(shape, an_hour, size, brands=max(1, brands // 2), seed=seed, first_minute=monday))
                    for size in SIZES
                ),
            )
    console.print(table)
    clock = Table("zone", "clock change", *(f"{shape}: pages in 4 weeks" for shape in SHAPES[1:]))
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
"""Zones and the days of their clock changes. The last zone has no change; it differs from UTC by half hours."""


def _format(found: Recall) -> str:
    p50 = f", {np.median(found.delays):.0f} min" if found.delays else ""
    return f"{len(found.delays)} of {found.planted}{p50}"

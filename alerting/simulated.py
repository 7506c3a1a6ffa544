"""Weeks of one brand in a second: counts without sketches, every author new, judged as the alerter judges."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from alerting.baseline import BaselinePolicy
from alerting.detect import DetectPolicy, WindowCounts, alarm_levels, judge
from alerting.episode import EpisodePolicy, OpenEpisode, decide, moment
from alerting.history import HourHistory
from alerting.slow import slow_counts
from brandpulse.panes import AuthorCounts, Pane

MONDAY = 29_540_160
"""Event-time minute the simulation begins at: midnight of 2 March 2026, UTC."""


@dataclass
class Seen:
    """Minutes (from the simulation's start) of what happened."""

    triggered: list[int] = field(default_factory=list)
    resolved: list[int] = field(default_factory=list)


class _Hours:
    """What HourHistory reads."""

    def __init__(self, hours: dict[int, AuthorCounts]) -> None:
        self._hours = hours

    def hour_authors(
        self, brands: Sequence[str], first_hour: int, last_hour: int
    ) -> dict[str, dict[int, AuthorCounts]]:
        within = {hour: seen for hour, seen in self._hours.items() if first_hour <= hour <= last_hour}
        return dict.fromkeys(brands, within)

    def hours(self, brands: Sequence[str], first_hour: int, last_hour: int) -> dict[str, dict[int, Pane]]:
        return {}


def simulate(
    posts: np.ndarray,
    negatives: np.ndarray,
    *,
    detect: DetectPolicy | None = None,
    past: BaselinePolicy | None = None,
    episode: EpisodePolicy | None = None,
    judge_from: int = 0,
    until_told_after: int | None = None,
) -> Seen:
    """The episodes of a brand with *posts* and *negatives* per minute, up to the first from *until_told_after* on."""
    detect, past, episode = detect or DetectPolicy(), past or BaselinePolicy(), episode or EpisodePolicy()
    total = np.concatenate([[0], np.cumsum(posts)])
    negative = np.concatenate([[0], np.cumsum(negatives)])
    first_hour = MONDAY // 60
    hours = {
        first_hour + hour: AuthorCounts(
            int(total[(hour + 1) * 60] - total[hour * 60]), int(negative[(hour + 1) * 60] - negative[hour * 60])
        )
        for hour in range(len(posts) // 60)
    }
    history = HourHistory(_Hours(hours), past)
    levels = alarm_levels(detect)
    seen = Seen()
    opened: OpenEpisode | None = None
    spans: list[tuple[int, int]] = []
    not_before: int | None = None
    widest = detect.windows[-1]
    for minute in range(max(judge_from, widest), len(posts)):
        at = MONDAY + minute
        history.read(["Acme Air"], before_hour=(at - widest + 1) // 60)
        windows = _windows(total, negative, minute, detect.windows)
        found = judge(
            windows,
            history.past("Acme Air", window_starts=at - widest + 1, incidents=spans),
            detect,
            levels=levels,
            slow=slow_counts(windows[-1], history, "Acme Air", detect.slow_hours),
            not_before=not_before,
        )
        if opened is None and found.state != "spike":
            continue
        decision = decide("Acme Air", opened, found, minute=MONDAY + minute, minutes=1, policy=episode)
        opened = decision.after
        if decision.transition == "triggered":
            seen.triggered.append(minute)
            if until_told_after is not None and minute >= until_told_after:
                break
        if decision.closed is not None:
            seen.resolved.append(minute)
            not_before = MONDAY + minute + 1
            start = int(decision.closed.started_at.timestamp() * 1_000)
            spans.append((start, int(moment(MONDAY + minute + 1).timestamp() * 1_000)))
    return seen


def _windows(total: np.ndarray, negative: np.ndarray, minute: int, widths: Sequence[int]) -> list[WindowCounts]:
    windows = []
    for width in widths:
        n = int(total[minute + 1] - total[minute + 1 - width])
        k = int(negative[minute + 1] - negative[minute + 1 - width])
        windows.append(WindowCounts(MONDAY + minute, width, n, k, n, k))
    return windows


def steady(
    rng: np.random.Generator,
    minutes: int,
    *,
    per_minute: float,
    share: float | Callable[[np.ndarray], np.ndarray],
    rho: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Poisson posts; the share may vary with the minute, and by *rho* from hour to hour."""
    at = np.arange(minutes)
    shares = np.full(minutes, share) if isinstance(share, float) else share(at)
    if rho > 0:
        scale = (1 - rho) / rho
        hours = minutes // 60 + 1
        hourly = np.repeat(rng.beta(0.25 * scale, 0.75 * scale, size=hours) / 0.25, 60)[:minutes]
        shares = np.clip(shares * hourly, 0.01, 0.95)
    posts = rng.poisson(per_minute, minutes)
    return posts, rng.binomial(posts, shares)

"""Simulates weeks of one brand in a second: the alerter's rules on counts, where each post has a new author."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import numpy as np

from alerting.detection.evidence import deviance_nats
from alerting.detection.hour_history import HourHistory
from alerting.detection.share_baseline import BaselinePolicy, Span, UsualWeek
from alerting.detection.share_detector import DetectPolicy, WindowCounts, alarm_levels, detect_rise
from alerting.detection.slow_windows import slow_window_counts
from alerting.episodes.episode_spans import OPEN_END_MS
from alerting.episodes.lifecycle import EpisodePolicy, OpenEpisode, decide, minute_start
from brandpulse.runtime.local_hours import UTC
from brandpulse.schema.episodes import Episode
from brandpulse.state.author_sketches import AuthorCounts
from brandpulse.state.panes import Pane

MONDAY = 29_540_160
"""Event-time minute of the simulation's start: midnight of 2 March 2026, UTC."""


@dataclass
class SimulatedEpisodes:
    """Minutes, from the simulation's start, at which episodes fired and resolved."""

    triggered: list[int] = field(default_factory=list)
    resolved: list[int] = field(default_factory=list)


class _Hours:
    """The hours that `HourHistory` reads."""

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
    evaluate_from: int = 0,
    stop_after: int | None = None,
    begins: int = MONDAY,
    zone: ZoneInfo = UTC,
) -> SimulatedEpisodes:
    """The episodes of a brand with *posts* and *negatives* per minute.

    *evaluate_from*: first minute that is evaluated. *stop_after*: stop at the first page from this minute on. *begins*:
    the event-time minute of the first post, the start of an hour.
    """
    detect, past, episode = detect or DetectPolicy(), past or BaselinePolicy(), episode or EpisodePolicy()
    total = np.concatenate([[0], np.cumsum(posts)])
    negative = np.concatenate([[0], np.cumsum(negatives)])
    first_hour = begins // 60
    hours = {
        first_hour + hour: AuthorCounts(
            int(total[(hour + 1) * 60] - total[hour * 60]), int(negative[(hour + 1) * 60] - negative[hour * 60])
        )
        for hour in range(len(posts) // 60)
    }
    history = HourHistory(_Hours(hours), past, zones=lambda _: zone)
    levels = alarm_levels(detect)
    episodes = SimulatedEpisodes()
    opened: OpenEpisode | None = None
    spans: list[Span] = []
    not_before: int | None = None
    widest = detect.windows[-1]
    candidates: Set[int] = set()
    checked_to = -1
    for minute in range(max(evaluate_from, widest), len(posts)):
        at = begins + minute
        before_hour = (at - widest + 1) // 60
        if opened is None and minute > checked_to:
            history.read(["Acme Air"], before_hour=before_hour)
            checked_to = min((before_hour + 1) * 60 + widest - 2 - begins, len(posts) - 1)
            usual = history.usual_week("Acme Air", window_starts=before_hour * 60, incidents=spans)
            candidates = _candidates(
                total, negative, range(minute, checked_to + 1), begins=begins, detect=detect, usual=usual
            )
        if opened is None and minute not in candidates:
            continue
        history.read(["Acme Air"], before_hour=before_hour)
        windows = [_window(total, negative, minute, width, begins=begins) for width in detect.windows]
        found = detect_rise(
            windows,
            history.usual_week("Acme Air", window_starts=at - widest + 1, incidents=[*spans, *_open_span(opened)]),
            detect,
            levels=levels,
            slow=slow_window_counts(windows[-1], history, "Acme Air", detect.slow_hours),
            not_before=not_before,
        )
        if opened is None and found.state != "spike":
            continue
        decision = decide("Acme Air", opened, found, minute=at, minutes=1, policy=episode)
        opened = decision.after
        if decision.transition == "triggered":
            episodes.triggered.append(minute)
            if stop_after is not None and minute >= stop_after:
                break
        if decision.closed is not None:
            episodes.resolved.append(minute)
            not_before = at + 1
            spans.append((_start(decision.closed), int(minute_start(at + 1).timestamp() * 1_000)))
            checked_to = minute
    return episodes


def _open_span(opened: OpenEpisode | None) -> list[Span]:
    return [] if opened is None else [(_start(opened.episode), OPEN_END_MS)]


def _start(episode: Episode) -> int:
    return int(episode.started_at.timestamp() * 1_000)


def _candidates(
    total: np.ndarray, negative: np.ndarray, minutes: range, *, begins: int, detect: DetectPolicy, usual: UsualWeek
) -> Set[int]:
    """Those of *minutes* that may be a spike, by the baseline *usual*: only they are evaluated."""
    if not detect.knows(usual):
        return set()
    ends = np.arange(minutes[0], minutes[-1] + 1)
    longest = detect.windows[-1]
    starts = [ends - width + 1 for width in detect.windows]
    # Slow windows begin at the start of an hour.
    whole = (begins + ends - longest + 1) // 60 * 60 - begins
    starts += [whole - 60 * hours for hours in detect.slow_hours]
    found: set[int] = set()
    for start, level in zip(starts, alarm_levels(detect), strict=True):
        known = np.maximum(start, 0)
        n, k = (upto[ends + 1] - upto[known] for upto in (total, negative))
        share = k / np.maximum(n, 1)
        expected = usual.usual_shares(begins + start, begins + ends)
        possible = (n >= detect.min_authors) & (k >= detect.min_negative_authors)
        possible &= share >= np.maximum(expected + detect.min_rise, expected * detect.min_ratio) - 1e-9
        found.update(
            int(minute)
            for minute in np.flatnonzero(possible)
            if deviance_nats(float(share[minute]), int(n[minute]), float(expected[minute]), usual.rho) >= level - 1e-6
        )
    return {minutes[0] + minute for minute in found}


def _window(total: np.ndarray, negative: np.ndarray, minute: int, width: int, *, begins: int) -> WindowCounts:
    n = int(total[minute + 1] - total[minute + 1 - width])
    k = int(negative[minute + 1] - negative[minute + 1 - width])
    return WindowCounts(begins + minute, width, n, k, n, k)


def steady(
    rng: np.random.Generator,
    minutes: int,
    *,
    per_minute: float,
    share: float | Callable[[np.ndarray], np.ndarray],
    rho: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Posts (a Poisson stream) and negative posts. *share* may depend on the minute; *rho*: how much hours differ."""
    at = np.arange(minutes)
    shares = np.full(minutes, share) if isinstance(share, float) else share(at)
    if rho > 0:
        scale = (1 - rho) / rho
        hours = minutes // 60 + 1
        hourly = np.repeat(rng.beta(0.25 * scale, 0.75 * scale, size=hours) / 0.25, 60)[:minutes]
        shares = np.clip(shares * hourly, 0.01, 0.95)
    posts = rng.poisson(per_minute, minutes)
    return posts, rng.binomial(posts, shares)

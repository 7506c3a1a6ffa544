"""The hours of a brand for its chart: negative share, usual share, and the share from which an hour is an alarm."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from alerting.detection.evidence import deviance_nats
from alerting.detection.hour_history import HourHistory
from alerting.detection.share_baseline import Span
from alerting.detection.share_detector import Baseline, DetectPolicy, alarm_levels
from alerting.episodes.episode_spans import OPEN_END_MS
from brandpulse.schema.episodes import Episode
from brandpulse.state.keys import HOUR_MS
from brandpulse.state.panes import Pane

HOUR_MINUTES = 60


@dataclass(frozen=True, slots=True)
class HourPoint:
    """One hour. Shares are of authors, in [0, 1]."""

    hour: int
    """Since 1970."""
    posts: int
    share: float
    usual: float | None
    """None while the baseline was not known yet."""
    alarm: float | None
    """The lowest share that is an alarm by the votes of this hour alone; None if the hour has too few authors."""


def hour_points(
    history: HourHistory, brand: str, panes: Mapping[int, Pane], *, policy: DetectPolicy, episodes: Iterable[Episode]
) -> list[HourPoint]:
    """A point for each hour of *panes* with relevant posts. *history* has read these hours and the weeks before.

    The baseline excludes the hours of *episodes* that are about the negative share.
    """
    level = hour_alarm_level(policy)
    spans = [
        (_ms(one.started_at), OPEN_END_MS if one.resolved_at is None else _ms(one.resolved_at))
        for one in episodes
        if one.first.usual_authors is None and one.first.facet is None
    ]
    points = []
    for hour, pane in sorted(panes.items()):
        if not pane.relevant:
            continue
        votes, _ = history.votes(brand, hour, hour)
        share = votes.negative / votes.everyone if votes.everyone else pane.negative_share
        now = hour * HOUR_MS
        # As the alerter knew them in that hour: an episode without an end yet has an open end.
        known: list[Span] = [(start, end if end <= now else OPEN_END_MS) for start, end in spans if start < now]
        past = history.usual_week(brand, window_starts=hour * HOUR_MINUTES, incidents=known)
        if not policy.knows(past):
            points.append(HourPoint(hour, pane.posts, share, None, None))
            continue
        usual = past.expect(hour * HOUR_MINUTES, hour * HOUR_MINUTES + HOUR_MINUTES - 1)
        points.append(
            HourPoint(hour, pane.posts, share, usual.share, alarm_share(votes.everyone, usual, policy, level=level))
        )
    return points


def hour_alarm_level(policy: DetectPolicy) -> float:
    """The evidence (nats) that is an alarm in the shortest window of at least an hour."""
    widths = [width for width in policy.windows if width >= HOUR_MINUTES] or [policy.windows[-1]]
    return alarm_levels(policy)[policy.windows.index(widths[0])]


def alarm_share(people: int, usual: Baseline, policy: DetectPolicy, *, level: float) -> float | None:
    """The lowest share of *people* negative authors that reaches *level*; None if none does, or if they are too few."""
    if people < policy.min_authors:
        return None

    def is_alarm(negative: int) -> bool:
        share = negative / people
        return (
            negative >= policy.min_negative_authors
            and share - usual.share >= policy.min_rise
            and deviance_nats(share, people, usual.share, usual.rho) >= level
        )

    first = bisect_left(range(people + 1), True, key=is_alarm)
    return first / people if first <= people else None


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1_000)

"""Compares two namespaces that counted the same posts: sums per brand over the same hours, and their episodes."""

from collections.abc import Mapping, Sequence

import msgspec
import redis

from brandpulse.schema.episodes import Episode
from brandpulse.state.keys import HOUR_MS, MINUTE_MS, AlertingKeys
from brandpulse.state.namespaces import Replay
from brandpulse.state.pane_reader import PaneReader
from brandpulse.state.panes import EMPTY_PANE, Pane
from brandpulse.state.partition_state import PartitionStatus

NEAR_MS = 30 * MINUTE_MS
"""Two episodes of one brand and rule are the same if they fire within this time of each other."""


class Sums(msgspec.Struct, frozen=True):
    """Sums of one brand in one namespace."""

    posts: int
    negative: int
    neutral: int
    positive: int
    irrelevant: int
    negative_share: float
    mean_score: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The result. *since_ms* and *until_ms* are event times at whole hours; *until_ms* is exclusive."""

    live: str
    shadow: str
    since_ms: int
    until_ms: int
    behind: int
    """Records that the live namespace has applied and the shadow has not yet."""
    brands: Mapping[str, tuple[Sums, Sums]]
    """Brand -> sums of live, sums of shadow."""
    only_live: Sequence[str]
    """Episode keys."""
    only_shadow: Sequence[str]
    both: Sequence[str]


def compare_namespaces(client: redis.Redis, root: str, live: str, shadow: str, replay: Replay) -> Comparison:
    """Compare *shadow* with *live*, whose episodes are stored under *root*. Raises TransientError, StateError."""
    readers = [PaneReader(client, name, follow=False) for name in (live, shadow)]
    statuses = [reader.partitions() for reader in readers]
    since_ms, until_ms = hours_of_both(statuses, replay)
    brands = sorted({brand for reader in readers for brand in reader.brands()})
    span = {"first_hour": since_ms // HOUR_MS, "before_hour": until_ms // HOUR_MS}
    panes = [reader.totals(**span) for reader in readers]
    sums = [{brand: _sums(found.get(brand, EMPTY_PANE)) for brand in brands} for found in panes]
    episodes = [_episodes(client, name, since_ms, until_ms) for name in (root, shadow)]
    both, only_live, only_shadow = match_episodes(*episodes)
    return Comparison(
        live=live,
        shadow=shadow,
        since_ms=since_ms,
        until_ms=until_ms,
        behind=_behind(*statuses),
        brands={brand: (sums[0][brand], sums[1][brand]) for brand in brands},
        only_live=only_live,
        only_shadow=only_shadow,
        both=both,
    )


def hours_of_both(statuses: Sequence[Sequence[PartitionStatus]], replay: Replay) -> tuple[int, int]:
    """From the replay's first whole hour to the last hour that all partitions of both have completed. Pure."""
    since = -(-(replay.since_ms or 0) // HOUR_MS) * HOUR_MS
    # A shadow with an end gets no later posts, so its clock stops: only the live clocks limit the comparison.
    sides = statuses if replay.until_ms is None else statuses[:1]
    watermarks = [status.watermark_ms for side in sides for status in side if status.clock_ms > 0]
    until = min([*watermarks, *([] if replay.until_ms is None else [replay.until_ms])], default=0)
    return since, max(since, until // HOUR_MS * HOUR_MS)


def match_episodes(live: Sequence[Episode], shadow: Sequence[Episode]) -> tuple[list[str], list[str], list[str]]:
    """Keys of the episodes of both, of *live* only, of *shadow* only. Pure."""
    unmatched = list(shadow)
    both, only_live = [], []
    for episode in live:
        match = next((other for other in unmatched if _same(episode, other)), None)
        if match is None:
            only_live.append(episode.key)
        else:
            unmatched.remove(match)
            both.append(episode.key)
    return both, only_live, [episode.key for episode in unmatched]


def _same(first: Episode, second: Episode) -> bool:
    distance_ms = abs((first.fired_at - second.fired_at).total_seconds()) * 1_000
    return (first.brand, first.rule) == (second.brand, second.rule) and distance_ms <= NEAR_MS


def _episodes(client: redis.Redis, namespace: str, since_ms: int, until_ms: int) -> list[Episode]:
    keys = AlertingKeys(namespace)
    stored = [*client.hvals(keys.episodes), *client.lrange(keys.closed, 0, -1)]
    episodes = [Episode.model_validate_json(value) for value in stored]
    in_span = [episode for episode in episodes if since_ms <= episode.fired_at.timestamp() * 1_000 < until_ms]
    return sorted(in_span, key=lambda episode: episode.fired_at)


def _sums(pane: Pane) -> Sums:
    return Sums(
        pane.posts,
        pane.negative,
        pane.neutral,
        pane.positive,
        pane.irrelevant,
        round(pane.negative_share, 6),
        round(pane.mean_score, 6),
    )


def _behind(live: Sequence[PartitionStatus], shadow: Sequence[PartitionStatus]) -> int:
    offsets = {(status.topic, status.partition): status.next for status in shadow}
    return sum(max(0, status.next - offsets.get((status.topic, status.partition), 0)) for status in live)

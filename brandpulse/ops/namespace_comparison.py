"""What two namespaces counted of the same posts: sums by brand over the same hours, and the episodes they made."""

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
"""Episodes of one brand and rule that begin so close together are the same."""


class Sums(msgspec.Struct, frozen=True):
    """One brand in one namespace."""

    posts: int
    negative: int
    neutral: int
    positive: int
    irrelevant: int
    negative_share: float
    mean_score: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Event times in ms; both ends are whole hours, the last one left out."""

    live: str
    shadow: str
    since_ms: int
    until_ms: int
    behind: int
    """Records that the live namespace has applied and the shadow has not."""
    brands: Mapping[str, tuple[Sums, Sums]]
    """Brand -> live, shadow."""
    only_live: Sequence[str]
    """Keys of episodes."""
    only_shadow: Sequence[str]
    both: Sequence[str]


def compare_namespaces(client: redis.Redis, root: str, live: str, shadow: str, replay: Replay) -> Comparison:
    """*live* against *shadow*; the live one's episodes lie under *root*. Raises TransientError, StateError."""
    readers = [PaneReader(client, name, follow=False) for name in (live, shadow)]
    statuses = [reader.partitions() for reader in readers]
    since_ms, until_ms = hours_of_both(statuses, replay)
    brands = sorted({brand for reader in readers for brand in reader.brands()})
    span = {"first_hour": since_ms // HOUR_MS, "before_hour": until_ms // HOUR_MS}
    panes = [reader.totals(**span) for reader in readers]
    sums = [{brand: _sums(found.get(brand, EMPTY_PANE)) for brand in brands} for found in panes]
    told = [_episodes(client, name, since_ms, until_ms) for name in (root, shadow)]
    both, only_live, only_shadow = match_episodes(*told)
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
    """From the replay's first whole hour to the last that every partition of both has left behind. Pure."""
    since = -(-(replay.since_ms or 0) // HOUR_MS) * HOUR_MS
    # A shadow with an end sees no later post: then the live clock alone tells how far one may compare.
    sides = statuses if replay.until_ms is None else statuses[:1]
    marks = [one.watermark_ms for side in sides for one in side if one.clock_ms > 0]
    until = min([*marks, *([] if replay.until_ms is None else [replay.until_ms])], default=0)
    return since, max(since, until // HOUR_MS * HOUR_MS)


def match_episodes(live: Sequence[Episode], shadow: Sequence[Episode]) -> tuple[list[str], list[str], list[str]]:
    """Keys of what both tell, of what only *live* tells, of what only *shadow* tells. Pure."""
    left = list(shadow)
    both, only_live = [], []
    for episode in live:
        twin = next((other for other in left if _same(episode, other)), None)
        if twin is None:
            only_live.append(episode.key)
        else:
            left.remove(twin)
            both.append(episode.key)
    return both, only_live, [episode.key for episode in left]


def _same(one: Episode, other: Episode) -> bool:
    apart = abs((one.fired_at - other.fired_at).total_seconds()) * 1_000
    return (one.brand, one.rule) == (other.brand, other.rule) and apart <= NEAR_MS


def _episodes(client: redis.Redis, namespace: str, since_ms: int, until_ms: int) -> list[Episode]:
    keys = AlertingKeys(namespace)
    stored = [*client.hvals(keys.episodes), *client.lrange(keys.closed, 0, -1)]
    episodes = [Episode.model_validate_json(one) for one in stored]
    inside = [one for one in episodes if since_ms <= one.fired_at.timestamp() * 1_000 < until_ms]
    return sorted(inside, key=lambda one: one.fired_at)


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
    stands = {(one.topic, one.partition): one.next for one in shadow}
    return sum(max(0, one.next - stands.get((one.topic, one.partition), 0)) for one in live)

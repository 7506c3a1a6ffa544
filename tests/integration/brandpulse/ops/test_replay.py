"""Replays: when readers may swap, which hours are compared, which episodes match."""

from datetime import UTC, datetime, timedelta

import pytest
import redis

from brandpulse.errors import ConfigError
from brandpulse.ops.namespace_comparison import hours_of_both, match_episodes
from brandpulse.ops.replay import begin_replay, swap_obstacles
from brandpulse.schema.episodes import Episode, Evidence
from brandpulse.state.namespaces import Replay, load_replay
from tests.support.builders import NOON_MS, a_status

HOUR_MS = 3_600_000
NOW_MS = 1_790_000_000_000
LIVE = [a_status(100, seen_wall_ms=NOW_MS), a_status(50, partition=1, seen_wall_ms=NOW_MS)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"next_offset": 51}, ""),
        ({"next_offset": 49}, "posts:1 is at offset 49, 1 behind"),
        ({"topic_id": "log-2"}, "posts:1 was counted from an earlier topic of this name"),
        ({"paused": "junk"}, "posts:1 is paused: junk"),
        ({"seen_wall_ms": NOW_MS - 60_000}, "posts:1 has no worker"),
        ({"partition": 2}, "posts:1 is not started"),
    ],
)
def test_swap_obstacles_name_each_partition_that_is_not_ready(changes: dict[str, object], reason: str) -> None:
    settings = {"next_offset": 50, "partition": 1, "seen_wall_ms": NOW_MS} | changes
    shadow = [a_status(100, seen_wall_ms=NOW_MS), a_status(**settings)]  # type: ignore[arg-type]
    assert swap_obstacles(LIVE, shadow, now_ms=NOW_MS) == ([reason] if reason else [])


@pytest.mark.parametrize(
    ("since", "until", "live_clock", "shadow_clock", "span"),
    [
        (None, None, 3.5, 5.5, (None, 3)),
        (None, None, 5.5, 3.5, (None, 3)),
        (0.5, None, 5.5, 5.5, (1, 5)),
        (0, 4, 5.5, 3.9, (0, 4)),
        (0, 4, 2.5, 3.9, (0, 2)),
        (6, None, 5.5, 5.5, (6, 6)),
    ],
)
def test_comparison_covers_the_whole_hours_completed_by_both(
    since: float | None,
    until: float | None,
    live_clock: float,
    shadow_clock: float,
    span: tuple[int | None, int],
) -> None:
    def at(hours: float | None) -> int | None:
        return None if hours is None else NOON_MS + int(hours * HOUR_MS)

    statuses = [[a_status(clock_ms=at(clock))] for clock in (live_clock, shadow_clock)]
    found = hours_of_both(statuses, Replay(parent="main", since_ms=at(since), until_ms=at(until)))
    assert found == (at(span[0]) or 0, at(span[1]))


def test_a_replay_begins_once_and_resumes_unchanged(redis_client: redis.Redis, namespace: str) -> None:
    name, other = f"{namespace}-b", f"{namespace}-c"
    first = Replay(parent=namespace, since_ms=1_000)
    later = Replay(parent=namespace, since_ms=2_000)
    begin_replay(redis_client, namespace, name, first, span_given=False)
    begin_replay(redis_client, namespace, name, later, span_given=False)
    assert load_replay(redis_client, name) == first
    with pytest.raises(ConfigError, match="was begun as"):
        begin_replay(redis_client, namespace, name, later, span_given=True)
    with pytest.raises(ConfigError, match="was begun as"):
        begin_replay(redis_client, other, name, Replay(parent=other), span_given=False)
    for wrong in (namespace, "a b", "ä", "x" * 65):
        with pytest.raises(ConfigError, match="--into"):
            begin_replay(redis_client, namespace, wrong, first, span_given=False)


def an_episode(brand: str, minute: int) -> Episode:
    at = datetime(2026, 3, 2, 12, tzinfo=UTC) + timedelta(minutes=minute)
    numbers = {"posts": 10, "negative_posts": 9, "authors": 10, "negative_authors": 9}
    shares = {"negative_share": 0.9, "baseline_share": 0.2, "p_value": 1e-9}
    told = Evidence(window_start=at, window_end=at, reason="rose", **numbers, **shares)
    return Episode(
        key=f"{brand}:share:{minute}",
        brand=brand,
        rule="share",
        severity="warning",
        state="firing",
        started_at=at,
        fired_at=at,
        updated_at=at,
        first=told,
        peak=told,
        latest=told,
    )


def test_episodes_of_one_brand_match_if_they_fire_close_together() -> None:
    live = [an_episode("Acme", 0), an_episode("Bolt", 0)]
    shadow = [an_episode("Acme", 20), an_episode("Acme", 300), an_episode("Bolt", 45)]
    assert match_episodes(live, shadow) == (["Acme:share:0"], ["Bolt:share:0"], ["Acme:share:300", "Bolt:share:45"])

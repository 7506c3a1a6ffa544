"""Deletions of the platforms, from the event of a source to the text that is no longer stored."""

from datetime import UTC, datetime

import pytest
import redis

from brandpulse.runtime.metric_definitions import INGEST_METRICS
from brandpulse.runtime.metrics import Telemetry
from brandpulse.schema.identity import AuthorHasher
from brandpulse.state.keys import ErasureKeys, SourceKeys
from brandpulse.state.pane_reader import PaneReader
from ingest.sources.deletions import (
    FIRST_LOOK_SECONDS,
    SECOND_LOOK_SECONDS,
    Deletion,
    DeletionSweeper,
    deletions_among,
    queue_deletions,
)
from ingest.sources.events import Delete, Edit, Event, NewPost, Skip
from stream_workers.aggregation.types import Outcome
from stream_workers.state_store.partition_store import Applied
from stream_workers.state_store.redis_store import RedisPartitionStore
from tests.contract.test_partition_store import RETENTION, begun, change_of
from tests.support.builders import NOON_MS, a_scored

KEY = "the author key"
NOW = 1_000.0


@pytest.fixture
def store(redis_client: redis.Redis, namespace: str) -> RedisPartitionStore:
    return RedisPartitionStore(redis_client, namespace, RETENTION)


@pytest.fixture
def sweeper(redis_client: redis.Redis, namespace: str) -> DeletionSweeper:
    return DeletionSweeper(redis_client, namespace, ["another key", KEY], Telemetry(INGEST_METRICS))


def posts() -> list[Outcome]:
    ann = AuthorHasher(KEY)("test", "ann")
    return [a_scored(str(n), "negative", NOON_MS + n, offset=n, author=ann if n in (2, 4) else n) for n in range(9)]


def shown(client: redis.Redis, namespace: str) -> set[str]:
    return {post.id for post in PaneReader(client, namespace).window_posts("Acme", NOON_MS, NOON_MS + 99).all}


def test_deleted_edited_and_an_authors_posts_are_removed_when_due(
    store: RedisPartitionStore, sweeper: DeletionSweeper, redis_client: redis.Redis, namespace: str
) -> None:
    assert store.apply([change_of(store, begun(store), posts())]) == [Applied()]
    at = datetime(2026, 3, 2, tzinfo=UTC)
    events: list[Event] = [
        Delete(id="7"),
        Edit("1"),
        Delete(author_id="ann"),
        Delete(id="not ours"),
        Skip("account"),
        NewPost(id="3", text="acme", created_at=at, author_id="b"),
    ]
    queue_deletions(redis_client, namespace, deletions_among(events, "test"), now=NOW)
    assert sweeper.sweep(NOW + FIRST_LOOK_SECONDS - 1).total == 0
    assert sweeper.sweep(NOW + FIRST_LOOK_SECONDS).posts == 8
    assert shown(redis_client, namespace) == set("03568")
    assert PaneReader(redis_client, namespace).totals()["Acme"].negative == 9, "counts stay"
    assert redis_client.zcard(ErasureKeys(namespace).posts) == 2 * 4, "a post that is not ours leaves no trace"


def test_post_counted_after_the_first_look_is_removed_by_the_second(
    store: RedisPartitionStore, sweeper: DeletionSweeper, redis_client: redis.Redis, namespace: str
) -> None:
    status = begun(store)
    queue_deletions(redis_client, namespace, [Deletion("test", "7")], now=NOW)
    sweeper.sweep(NOW + FIRST_LOOK_SECONDS)
    assert store.apply([change_of(store, status, posts())]) == [Applied()]
    assert sweeper.sweep(NOW + FIRST_LOOK_SECONDS + 1).total == 0
    assert sweeper.sweep(NOW + FIRST_LOOK_SECONDS + SECOND_LOOK_SECONDS).posts == 2
    assert "7" not in shown(redis_client, namespace)
    assert redis_client.zcard(SourceKeys(namespace).deletions) == 0


def test_counted_post_that_is_not_stored_any_more_is_kept_off_a_replay(
    store: RedisPartitionStore, sweeper: DeletionSweeper, redis_client: redis.Redis, namespace: str
) -> None:
    assert store.apply([change_of(store, begun(store), [a_scored("7", "neutral", NOON_MS)])]) == [Applied()]
    for key in redis_client.scan_iter(match=f"*{namespace}*:ko:*"):
        redis_client.delete(key)
    queue_deletions(redis_client, namespace, [Deletion("test", "7")], now=NOW)
    sweeper.sweep(NOW + FIRST_LOOK_SECONDS)
    assert redis_client.zcard(ErasureKeys(namespace).posts) == 2


def test_deletion_read_again_is_not_postponed(redis_client: redis.Redis, namespace: str) -> None:
    for now in (NOW, NOW + 50):
        queue_deletions(redis_client, namespace, [Deletion("test", "7")], now=now)
    assert redis_client.zcount(SourceKeys(namespace).deletions, 0, NOW + FIRST_LOOK_SECONDS) == 1
    assert redis_client.zcard(SourceKeys(namespace).deletions) == 1

"""Lists of partitions and brands, in a cluster on another server than the state, are restored when lost."""

import redis

from brandpulse.state.keys import NamespaceKeys
from brandpulse.state.pane_reader import PaneReader
from stream_workers.state_store.redis_store import RedisPartitionStore
from tests.contract.test_partition_store import RETENTION, begun, change_of
from tests.support.builders import a_scored


def test_lost_list_of_partitions_is_restored_by_the_next_heartbeat(redis_client: redis.Redis, namespace: str) -> None:
    store = RedisPartitionStore(redis_client, namespace, RETENTION)
    status = begun(store)
    redis_client.delete(NamespaceKeys(namespace).partitions)
    assert PaneReader(redis_client, namespace).partitions() == []
    assert store.touch(status)
    assert [found.partition for found in PaneReader(redis_client, namespace).partitions()] == [status.partition]


def test_lost_list_of_brands_is_restored_within_some_batches(redis_client: redis.Redis, namespace: str) -> None:
    store = RedisPartitionStore(redis_client, namespace, RETENTION, drop_every=2)
    status = begun(store)
    for offset in range(4):
        change = change_of(store, status, [a_scored(str(offset), "negative", offset=offset)])
        store.apply([change])
        status = change.status
        if offset == 0:
            redis_client.delete(NamespaceKeys(namespace).brands)
    assert PaneReader(redis_client, namespace).brands() == ["Acme"]

import threading
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import KafkaError, Producer

from brandpulse.errors import TransientError
from brandpulse.kafka.client import producer_config
from brandpulse.kafka.topics import Topic, ensure_topics
from brandpulse.runtime.metric_definitions import WORKER_METRICS
from brandpulse.runtime.metrics import Telemetry
from stream_workers.consumer.adaptive_batch_size import MIN_POSTS, AdaptiveBatchSize
from stream_workers.consumer.assigned_partition import AssignedPartition
from stream_workers.consumer.batches import ReadBatch
from stream_workers.consumer.dlq_limit import DlqLimit
from stream_workers.consumer.post_reader import PostReader, ReaderConfig
from stream_workers.settings import WorkerSettings
from stream_workers.state_store.memory_store import MemoryPartitionStore
from tests.support.builders import a_reader_config, a_status
from tests.support.patience import patience


def a_reader(config: ReaderConfig, store: MemoryPartitionStore | None = None) -> PostReader:
    def take(_batch: Any, _timeout_seconds: float) -> bool:
        return True

    return PostReader(
        config,
        store or MemoryPartitionStore(),
        take,
        Telemetry(WORKER_METRICS),
        on_other_log=lambda: None,
        wall_ms=lambda: 0,
    )


@pytest.fixture
def reader() -> PostReader:
    """Never connected: only its error handling is tested."""
    return a_reader(a_reader_config())


class OutOfRange:
    """What the client returns when a fetcher stops."""

    def partition(self) -> int:
        return 0


def test_offset_out_of_range_reloads_the_partition(reader: PostReader) -> None:
    held = AssignedPartition(a_status(7), 7, DlqLimit(run_limit=9, share_limit=0.5))
    reader._assignment.active[0] = held
    message: Any = OutOfRange()
    reader._handle_error(KafkaError(KafkaError._AUTO_OFFSET_RESET), message)
    assert held.released


def test_last_seen_covers_every_partition_of_the_topic(kafka: str, namespace: str) -> None:
    store = MemoryPartitionStore()
    one = a_reader(a_reader_config(namespace, kafka), store)
    with pytest.raises(TransientError):
        one._start_offsets.last_seen()
    ensure_topics(kafka, [Topic(namespace, 3)])
    status = replace(a_status(0), topic=namespace, partition=1)
    assert store.rebase(None, status)
    assert store.touch(replace(status, seen_wall_ms=77))
    assert one._start_offsets.last_seen() == {0: 0, 1: 77, 2: 0}
    one.close()


def test_read_returns_at_most_the_adaptive_batch_size(kafka: str, namespace: str) -> None:
    ensure_topics(kafka, [Topic(namespace, 1)])
    producer = Producer(producer_config(kafka))
    for number in range(90):
        producer.produce(namespace, str(number).encode())
    assert producer.flush(patience(30)) == 0
    store, batch_size, reads = MemoryPartitionStore(), AdaptiveBatchSize(50), list[int]()

    def take(batch: ReadBatch, _timeout_seconds: float) -> bool:
        reads.append(batch.posts)
        batch_size.observe(1_000, 50)  # twenty per second: reads have the minimum size
        if sum(reads) == 90:
            one.stop()
        return True

    one = PostReader(
        a_reader_config(namespace, kafka, batch_posts=50, batch_wait_seconds=1),
        store,
        take,
        Telemetry(WORKER_METRICS),
        on_other_log=lambda: None,
        wall_ms=lambda: 0,
        batch_size=batch_size,
    )
    too_late = threading.Timer(30, one.stop)
    too_late.start()
    one.run()
    too_late.cancel()
    one.close()
    assert (sum(reads), max(reads[1:])) == (90, MIN_POSTS)


def test_default_session_timeout_is_the_shortest_a_broker_allows() -> None:
    settings = WorkerSettings()
    assert (settings.group_protocol, settings.session_timeout_seconds) == ("classic", 6)

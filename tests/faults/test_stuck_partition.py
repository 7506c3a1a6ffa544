"""A partition that Kafka's client stops reading without an error."""

import threading
import time

import pytest
from confluent_kafka import Producer, TopicPartition

from brandpulse.kafka.client import producer_config
from brandpulse.kafka.topics import Topic, ensure_topics
from brandpulse.runtime.metric_definitions import WORKER_METRICS
from brandpulse.runtime.metrics import Telemetry
from stream_workers.consumer.batches import ReadBatch
from stream_workers.consumer.post_reader import PostReader
from stream_workers.state_store.memory_store import MemoryPartitionStore
from tests.support.builders import a_reader_config
from tests.support.kafka_broker import ApacheKafka, why_not
from tests.support.patience import patience

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

PATIENCE_SECONDS = 60.0


class Reading:
    """A reader in its thread, on two partitions; every batch that it returns counts as applied."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self.offsets: dict[int, list[int]] = {0: [], 1: []}
        self.leave_out: list[TopicPartition] = []
        """Pause the partition without the reader's knowledge, from the reading thread, which makes all client calls."""
        self.telemetry = Telemetry(WORKER_METRICS)
        self.reader = PostReader(
            a_reader_config(topic, bootstrap_servers, batch_posts=100),
            MemoryPartitionStore(),
            self._take,
            self.telemetry,
            on_other_log=lambda: None,
            wall_ms=lambda: 0,
        )
        self._thread = threading.Thread(target=self.reader.run, daemon=True)
        self._thread.start()

    def _take(self, batch: ReadBatch, _timeout_seconds: float) -> bool:
        for part in batch.parts:
            self.offsets[part.partition.status.partition] += [record.offset for record in part.records]
        if self.leave_out:
            self.reader._consumer.pause(self.leave_out)
            self.leave_out = []
        return True

    def await_read(self, partition: int, records: int) -> None:
        deadline = time.monotonic() + patience(PATIENCE_SECONDS)
        while len(set(self.offsets[partition])) < records:
            assert time.monotonic() < deadline, f"partition {partition}: {len(self.offsets[partition])} of {records}"
            time.sleep(0.05)

    def stop(self) -> None:
        self.reader.stop()
        self._thread.join(patience(30))
        self.reader.close()


def test_a_partition_that_the_client_stops_reading_is_restarted(apache_kafka: ApacheKafka, namespace: str) -> None:
    topic = f"{namespace}.posts"
    ensure_topics(apache_kafka.bootstrap_servers, [Topic(topic, 2)])
    producer = Producer(producer_config(apache_kafka.bootstrap_servers))

    def send(records: int) -> None:
        for number in range(records):
            producer.produce(topic, str(number).encode(), partition=number % 2)
        assert producer.flush(patience(30)) == 0

    send(20)
    reading = Reading(apache_kafka.bootstrap_servers, topic)
    try:
        for partition in (0, 1):
            reading.await_read(partition, 10)
        # As librdkafka did it by itself: with no error and no word.
        reading.leave_out = [TopicPartition(topic, 1)]
        send(2)
        reading.await_read(0, 11)
        send(18)
        for partition in (0, 1):
            reading.await_read(partition, 20)
    finally:
        reading.stop()
    assert sorted(set(reading.offsets[1])) == list(range(20))
    assert "brandpulse_stuck_partitions_total 1.0" in reading.telemetry.expose().decode()

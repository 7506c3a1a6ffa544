"""The worker's producer against a broker that pauses."""

import signal
import time
from pathlib import Path

import pytest

from brandpulse.devstack.embedded_servers import EmbeddedBroker
from brandpulse.errors import TransientError
from brandpulse.kafka.topics import Topic, ensure_topics
from stream_workers.decoding.post_decoder import DeadRecord
from stream_workers.decoding.records import Record
from stream_workers.pipeline.output_producer import KafkaOutputProducer
from tests.support.patience import patience


def test_records_are_accepted_after_a_pause_longer_than_their_wait(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path)
    ensure_topics(broker.bootstrap_servers, [Topic("dead", 1)])
    output = KafkaOutputProducer(
        broker.bootstrap_servers,
        posts_topic="posts",
        scored_topic=None,
        dlq_topic="dead",
        model="null",
        timeout_seconds=1.0,
    )

    def write() -> None:
        output.add_dead("topic-id", 0, [DeadRecord(Record(0, 0, None, b"broken"), "not_json", "it is not JSON")])
        output.flush()

    def write_until_accepted() -> None:
        limit = time.monotonic() + patience(30)
        while True:
            try:
                return write()
            except TransientError:
                assert time.monotonic() < limit, "the producer accepts nothing more"
                time.sleep(0.1)

    try:
        write_until_accepted()
        broker.child.signal(signal.SIGSTOP)
        for _ in range(2):  # the first wait ends before the producer gives its record up
            with pytest.raises(TransientError):
                write()
        broker.child.signal(signal.SIGCONT)
        write_until_accepted()
    finally:
        broker.stop()

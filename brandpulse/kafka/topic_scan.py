"""Reads a topic to its end, outside any group: for tools, and to find the real end of a log."""

import re
import time
from collections.abc import Iterator, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from brandpulse.errors import TransientError
from brandpulse.kafka.client import client_config
from brandpulse.kafka.error_hints import explain


def _reader(bootstrap_servers: str) -> Consumer:
    return Consumer(
        client_config(bootstrap_servers)
        | {
            "group.id": "brandpulse-scan",  # required by the client; it never commits or subscribes
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 100,
        }
    )


def log_end(bootstrap_servers: str, topic: str, partition: int, *, known: int, timeout_seconds: float = 10.0) -> int:
    """Offset after the last record, from a fetch that begins at *known*, an offset known to exist or to be next.

    The embedded broker answers ListOffsets with the *first* offset of its last batch plus one: 2,001 for 3,000 records
    in three batches. Its fetch responses are right. Raises TransientError.
    """
    consumer = _reader(bootstrap_servers)
    try:
        consumer.assign([TopicPartition(topic, partition, known)])
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            for message in consumer.consume(1_000, 0.2):
                error = message.error()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:
                    return int(message.offset())
    finally:
        consumer.close()
    raise TransientError(f"{topic}:{partition}: the end of the log was not found within {timeout_seconds:g} s")


_BROKER_END = re.compile(r"broker end offset is (-?\d+)")
"""librdkafka's message about an epoch's end; it has no field for it."""


def common_end(
    bootstrap_servers: str, topic: str, partition: int, *, at: int, epoch: int, timeout_seconds: float = 5.0
) -> int | None:
    """The offset up to which a log is still the one that was read to *at*, with its last record in epoch *epoch*.

    *at* itself, or less if the log's end was cut off since (an unclean election, a broker whose disk lost its last
    writes) and perhaps written again. None if the broker does not know. Raises TransientError, also without an answer.
    """
    if epoch < 0:
        return None
    consumer = _reader(bootstrap_servers)
    try:
        # The client asks the broker where that epoch ends (KIP-320) when it first learns the partition's leader: a
        # client with metadata before its assignment was seen to fetch without asking.
        consumer.assign([TopicPartition(topic, partition, at, leader_epoch=epoch)])
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            for message in consumer.consume(1, 0.2):
                error = message.error()
                if error is None or error.code() == KafkaError._PARTITION_EOF:
                    return at
                if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
                    end = _BROKER_END.search(error.str())
                    return int(end[1]) if end and 0 <= int(end[1]) < at else None
    except KafkaException as error:
        raise TransientError(f"{topic}:{partition} cannot be read: {explain(error.args[0])}") from error
    finally:
        consumer.close()
    raise TransientError(f"{topic}:{partition}: no answer whether its log is still the one that was read to {at}")


def read_to_end(
    bootstrap_servers: str, topic: str, *, start: Mapping[int, int] | None = None, silence_seconds: float = 15.0
) -> Iterator[Message]:
    """Every record of *topic* from *start* (partition -> offset), or its beginning, to the end when it is reached.

    A topic that does not exist has no records. Raises TransientError after *silence_seconds* without an answer.
    """
    consumer = _reader(bootstrap_servers)
    try:
        found = consumer.list_topics(topic, timeout=10).topics[topic]
        places = []
        for partition in found.partitions:
            low, _ = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            places.append(TopicPartition(topic, partition, max(low, (start or {}).get(partition, low))))
        consumer.assign(places)
        left = {place.partition for place in places}
        last_answer = time.monotonic()
        while left:
            for message in consumer.consume(1_000, 0.2):
                last_answer = time.monotonic()
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(message.partition())
                else:
                    raise TransientError(f"{topic}: {explain(error)}")
            if time.monotonic() - last_answer > silence_seconds:
                raise TransientError(f"{topic}: no answer about partitions {sorted(left)} for {silence_seconds:g} s")
    except KafkaException as error:
        raise TransientError(f"{topic} cannot be read: {explain(error.args[0])}") from error
    finally:
        consumer.close()

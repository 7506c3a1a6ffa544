"""Reading a topic back: its ends, and the posts between two offsets."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from brandpulse.errors import TransientError
from brandpulse.kafka.client import client_config
from brandpulse.kafka.error_hints import explain
from ingest.id_set import IdSet
from ingest.post_producer import NO_CLIENT_LOG

READ_TIMEOUT_SECONDS = 10.0
"""A broker that says nothing for so long while we read back is gone."""


@dataclass(frozen=True, slots=True)
class TopicPost:
    """A post as it lies in the topic."""

    partition: int
    offset: int
    id: str
    source: str


@dataclass(frozen=True, slots=True)
class LogEnds:
    """By partition, the first offset a topic still holds and the one behind its last."""

    low: dict[int, int]
    high: dict[int, int]


class TopicReader:
    """Reads back what a topic holds, without a consumer group."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._topic = topic
        self._consumer = Consumer(
            client_config(bootstrap_servers)
            | NO_CLIENT_LOG
            | {
                "group.id": "brandpulse-ingest",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "fetch.queue.backoff.ms": 2,
                # The end is told by an empty fetch, which waits this long for news; half a second by default.
                "fetch.wait.max.ms": 10,
            }
        )

    def __enter__(self) -> "TopicReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def ends(self) -> LogEnds:
        """Raises TransientError when the broker does not answer."""
        try:
            partitions = self._consumer.list_topics(self._topic, timeout=10).topics[self._topic].partitions
            listed = {
                partition: self._consumer.get_watermark_offsets(
                    TopicPartition(self._topic, partition), timeout=10, cached=False
                )
                for partition in sorted(partitions)
            }
        except KafkaException as error:
            raise TransientError(f"the ends of topic {self._topic} are unknown: {explain(error.args[0])}") from error
        # The embedded broker (Tansu 0.6) lists the first record of its last batch as the end: seen 5,011 where 7,515
        # records lay. Only the fetch knows, so we read on from there until it says that nothing follows.
        high: dict[int, int] = {}
        begin = {partition: max(low, last - 1) for partition, (low, last) in listed.items()}
        for message in self._read(begin):
            if message.error() is not None:
                high[message.partition()] = message.offset()
                if len(high) == len(begin):
                    break
        return LogEnds({partition: low for partition, (low, _) in listed.items()}, dict(sorted(high.items())))

    def posts_between(self, begin: Mapping[int, int], end: Mapping[int, int]) -> Iterator[TopicPost]:
        """The posts at offsets from *begin* to below *end*; records of other kinds are left out."""
        pending = {partition: begin.get(partition, 0) for partition, last in end.items()}
        pending = {partition: first for partition, first in pending.items() if first < end[partition]}
        if not pending:
            return
        decode = msgspec.json.Decoder(_Sourced).decode
        for message in self._read(dict(pending)):
            partition, offset = message.partition(), message.offset()
            at_end = message.error() is not None
            if not at_end and offset < end[partition]:
                with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                    post = decode(message.value() or b"")
                    yield TopicPost(partition, offset, post.id, post.source)
            if at_end or offset >= end[partition] - 1:
                pending.pop(partition, None)
                if not pending:
                    return

    def ids_between(self, begin: Mapping[int, int], end: Mapping[int, int], *, source: str | None) -> IdSet:
        """Ids of the posts of *source* at offsets from *begin* to below *end*. Raises TransientError on silence.

        With None, of all sources: each id behind its source and a NUL.
        """
        ids = IdSet()
        for post in self.posts_between(begin, end):
            if source is None:
                ids.add(f"{post.source}\0{post.id}")
            elif post.source == source:
                ids.add(post.id)
        return ids

    def _read(self, begin: Mapping[int, int]) -> Iterator[Any]:
        """Messages from *begin* on; at a partition's end comes one with an error, whose offset is the end."""
        self._consumer.assign([TopicPartition(self._topic, partition, offset) for partition, offset in begin.items()])
        try:
            while True:
                message = self._consumer.poll(READ_TIMEOUT_SECONDS)
                if message is None:
                    raise TransientError(f"topic {self._topic} could not be read back: the broker is silent")
                problem = message.error()
                if problem is not None and problem.code() != KafkaError._PARTITION_EOF:
                    raise TransientError(f"topic {self._topic} could not be read back: {explain(problem)}")
                yield message
        finally:
            self._consumer.unassign()


class _Sourced(msgspec.Struct, gc=False):
    id: str
    source: str

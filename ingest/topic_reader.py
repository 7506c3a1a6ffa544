"""Reads a topic back without a consumer group: its ends, and the posts between two offsets."""

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
"""After this long without a message a broker counts as unreachable."""


@dataclass(frozen=True, slots=True)
class TopicPost:
    """The position and identity of a post in the topic."""

    partition: int
    offset: int
    id: str
    source: str


@dataclass(frozen=True, slots=True)
class LogEnds:
    """By partition, the first offset that the topic still has and the offset after the last."""

    low: dict[int, int]
    high: dict[int, int]


class TopicReader:
    """Reads records of one topic. Use as a context manager."""

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
                # An empty fetch reports the end. It waits this long for new records; the default is half a second.
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
            raise TransientError(
                f"cannot read the end offsets of topic {self._topic}: {explain(error.args[0])}"
            ) from error
        # The embedded broker (Tansu 0.6) reports the first record of its last batch as the end: 5,011 instead of 7,515
        # in one case. Only a fetch finds the end, so the reader continues from there until an empty fetch.
        high: dict[int, int] = {}
        begin = {partition: max(low, last - 1) for partition, (low, last) in listed.items()}
        for message in self._read(begin):
            if message.error() is not None:
                high[message.partition()] = message.offset()
                if len(high) == len(begin):
                    break
        return LogEnds({partition: low for partition, (low, _) in listed.items()}, dict(sorted(high.items())))

    def posts_between(self, begin: Mapping[int, int], end: Mapping[int, int]) -> Iterator[TopicPost]:
        """The posts at offsets from *begin* to before *end*. Other records are skipped."""
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
        """Ids of the posts of *source* at offsets from *begin* to before *end*. Raises TransientError on a timeout.

        If *source* is None, ids of all sources, each as source, NUL, id.
        """
        ids = IdSet()
        for post in self.posts_between(begin, end):
            if source is None:
                ids.add(f"{post.source}\0{post.id}")
            elif post.source == source:
                ids.add(post.id)
        return ids

    def _read(self, begin: Mapping[int, int]) -> Iterator[Any]:
        """Messages from *begin* on. At a partition's end comes a message with an error, whose offset is the end."""
        self._consumer.assign([TopicPartition(self._topic, partition, offset) for partition, offset in begin.items()])
        try:
            while True:
                message = self._consumer.poll(READ_TIMEOUT_SECONDS)
                if message is None:
                    raise TransientError(
                        f"cannot read topic {self._topic} back: no answer for {READ_TIMEOUT_SECONDS:g} s"
                    )
                problem = message.error()
                if problem is not None and problem.code() != KafkaError._PARTITION_EOF:
                    raise TransientError(f"cannot read topic {self._topic} back: {explain(problem)}")
                yield message
        finally:
            self._consumer.unassign()


class _Sourced(msgspec.Struct, gc=False):
    id: str
    source: str

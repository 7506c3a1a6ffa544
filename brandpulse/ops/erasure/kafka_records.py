"""What Kafka holds of a post or an author, and until when. Blocking; every function may raise TransientError."""

import json
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from brandpulse.kafka.client import client_config
from brandpulse.kafka.confirmed_records import write_confirmed
from brandpulse.kafka.topic_scan import read_to_end
from brandpulse.ops.erasure.subject import Subject
from brandpulse.runtime.clock import rfc3339
from brandpulse.state.erasure.erased_posts import PostId

ANSWER_SECONDS = 10.0


@dataclass(slots=True)
class TopicTraces:
    """A subject's records in one topic."""

    topic: str
    records: int | None = None
    """None: the topic was not read."""
    newest_ms: int | None = None
    """Kafka's time of the newest one."""
    posts: set[PostId] = field(default_factory=set)
    keys: set[bytes] = field(default_factory=set)


def find_posts(bootstrap_servers: str, topic: str, subject: Subject) -> TopicTraces:
    """Reads the topic of posts to its end."""
    needle, escapes = subject.needle, not subject.id.isascii() or any(c in subject.id for c in '"\\/')

    def is_theirs(value: bytes) -> Any:
        # Decoding only the records that name the id makes the search ten times as fast.
        if not escapes and needle not in value and b"\\u" not in value:
            return None
        post = _json(value)
        return post if subject.owns(post) else None

    return _find(bootstrap_servers, topic, is_theirs)


def find_scored(bootstrap_servers: str, topic: str, subject: Subject) -> TopicTraces:
    """Reads the topic of scored posts to its end."""

    def is_theirs(value: bytes) -> Any:
        post = _json(value)
        return post if subject.owns_scored(post) else None

    return _find(bootstrap_servers, topic, is_theirs)


def _find(bootstrap_servers: str, topic: str, is_theirs: Any) -> TopicTraces:
    traces = TopicTraces(topic, records=0)
    for message in read_to_end(bootstrap_servers, topic):
        post = is_theirs(message.value() or b"")
        if post is None:
            continue
        traces.records = (traces.records or 0) + 1
        traces.newest_ms = max(traces.newest_ms or 0, message.timestamp()[1])
        traces.posts.add(PostId(str(post.get("source")), str(post.get("id"))))
        if message.key() is not None:
            traces.keys.add(message.key())
    return traces


def _json(value: bytes) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a topic keeps records."""

    policy: str = ""
    """`delete`, `compact` or both; empty: the broker does not say."""
    milliseconds: int | None = None
    """None: for ever, or not known."""
    segment_ms: int = 0

    @property
    def compacted(self) -> bool:
        return "compact" in self.policy

    def describe(self, newest_ms: int) -> str:
        """Until when a record of *newest_ms*, Kafka's time, is readable."""
        if not self.policy:
            return "until the broker stops or its retention ends (this broker does not say when)"
        if self.compacted and "delete" not in self.policy:
            return "until the topic is compacted, for keys with a tombstone; for ever otherwise"
        if self.milliseconds is None:
            return "for ever: the topic has no retention in time (retention.ms=-1)"
        until = rfc3339(newest_ms + self.milliseconds)
        days = self.segment_ms / 86_400_000
        return f"until {until}, or up to {days:g} days later, since Kafka deletes whole segments"


def retention_of(bootstrap_servers: str, topic: str) -> Retention:
    """Retention() if the broker does not answer the question."""
    try:
        admin = AdminClient(client_config(bootstrap_servers))
        [future] = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
        config = future.result(ANSWER_SECONDS)
        milliseconds = int(config["retention.ms"].value)
        return Retention(
            str(config["cleanup.policy"].value),
            milliseconds if milliseconds >= 0 else None,
            int(config["segment.ms"].value),
        )
    except (KafkaException, KeyError, ValueError, TypeError):
        return Retention()


def write_tombstones(bootstrap_servers: str, topic: str, keys: set[bytes]) -> int:
    """Write a record without value for each of *keys*, so that compaction removes their records; their number."""
    records = ({"topic": topic, "key": key, "value": None} for key in sorted(keys))
    return write_confirmed(bootstrap_servers, records, task=f"write tombstones to {topic}")

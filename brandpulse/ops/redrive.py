"""Sends dead letters again: the same key and value, to the partition they came from, under their first record id.

The worker stores that id in the call that counts the post: a letter that is sent twice counts once.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from brandpulse.config.settings import Settings
from brandpulse.errors import TransientError
from brandpulse.kafka.client import client_config
from brandpulse.kafka.confirmed_records import write_confirmed
from brandpulse.kafka.error_hints import explain
from brandpulse.kafka.topic_scan import read_to_end
from brandpulse.redis.client import connect
from brandpulse.redis.error_hints import OUTAGES, redis_outage
from brandpulse.schema.dead_letters import DeadLetter, dead_letters, record_id_headers
from brandpulse.schema.posts import POST_DECODER
from brandpulse.state.erasure.erased_posts import hidden_letters
from brandpulse.state.keys import PartitionKeys

CHUNK = 1_000
"""Record ids per round trip to Redis."""
FLUSH_SECONDS = 30.0
REMEDIES = (
    {
        "empty": "A tombstone, or a bug of its producer. There is nothing to repair.",
        "too_large": "Its producer must send less.",
        "not_json": "Fix the producer and let it send the post again under the same id.",
        "not_utf8": "Fix the producer and let it send the post again under the same id.",
        "wrong_field": "Fix the producer; or, if a newer brandpulse reads this version, redrive.",
        "unmatchable": "A bug of brandpulse: report it, and redrive after the upgrade that fixes it.",
        "unscorable": "The model fails on it: redrive after a change of model or engine.",
        "too_old": "Send the backfill to a namespace of its own; a redrive here fails again.",
        "from_the_future": "Redrive it after its time has come.",
    }
    | dict.fromkeys(
        ("no_id", "no_text", "no_author", "no_time", "bad_time", "bad_id", "too_long"),
        "From a Kafka source: compare the record with the source's mapping file, and correct one of them.",
    )
    | dict.fromkeys(
        ("not_avro", "bad_frame", "bad_schema", "unknown_schema", "other_schema_type"),
        "From a Kafka source: compare the record with its schema in the registry, and let its producer send it again.",
    )
    | dict.fromkeys(
        ("not_an_event", "other_event_format", "bad_base64"),
        "From a Kafka source: its producer must send valid CloudEvents, in binary mode or in JSON.",
    )
)
"""By the reason of a dead letter: what to do."""


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Selects dead letters. An empty field selects all."""

    ids: Collection[str] = ()
    """`partition:offset`, or `topic id:partition:offset`."""
    reasons: Collection[str] = ()
    partition: int | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    """Kafka's record times: from *since_ms* on, before *until_ms*."""
    text: str = ""
    """Part of the value or the error; upper and lower case are equal."""

    def matches(self, letter: DeadLetter) -> bool:
        return (
            (not self.ids or letter.id in self.ids or str(letter.origin) in self.ids)
            and (not self.reasons or letter.reason in self.reasons)
            and self.partition in (None, letter.origin.partition)
            and (self.since_ms is None or letter.record_ms >= self.since_ms)
            and (self.until_ms is None or letter.record_ms < self.until_ms)
            and (not self.text or self.text.casefold() in f"{readable(letter.value)}\n{letter.error}".casefold())
        )


@dataclass(frozen=True, slots=True)
class RedrivePlan:
    """Dead letters to send, and those to skip."""

    send: Sequence[DeadLetter]
    skip: Mapping[str, Sequence[DeadLetter]]
    """Reason -> letters."""


def readable(value: bytes | None) -> str:
    """*value* as text; bytes that are not UTF-8 become replacement characters."""
    return "" if value is None else value.decode(errors="replace")


def read_letters(settings: Settings) -> list[DeadLetter]:
    """All dead letters in the topic but erased ones, each record id once. Raises TransientError."""
    letters = dead_letters(read_to_end(settings.bootstrap_servers(), settings.dlq_topic))
    hidden = hidden_letters(connect(settings.redis_address(), timeout_seconds=5), settings.namespace)
    return [letter for letter in letters if str(letter.origin) not in hidden]


def find_redriven(client: redis.Redis, namespace: str, letters: Sequence[DeadLetter]) -> set[DeadLetter]:
    """Those of *letters* that were redriven and did not fail again. Raises TransientError."""
    found: set[DeadLetter] = set()
    by_partition: dict[tuple[str, int], list[DeadLetter]] = {}
    for letter in letters:
        by_partition.setdefault((letter.topic, letter.origin.partition), []).append(letter)
    try:
        for partition, members in by_partition.items():
            key = PartitionKeys(namespace, *partition).redriven
            for start in range(0, len(members), CHUNK):
                chunk = members[start : start + CHUNK]
                digests = [letter.origin.digest for letter in chunk]
                scores: Any = client.execute_command("ZMSCORE", key, *digests)  # type: ignore[no-untyped-call]
                found.update(letter for letter, score in zip(chunk, scores, strict=True) if score is not None)
    except (redis.RedisError, *OUTAGES) as error:
        raise redis_outage(error) from error
    return found


def find_counted(settings: Settings, letters: Sequence[DeadLetter]) -> set[DeadLetter]:
    """Those of *letters* whose producer sent the post again, and it was counted.

    The topic of scored posts names them: workers write to it before a post counts, while their dedup window covers only
    a few hours. Letters that cannot be decoded have no post id. Raises TransientError.
    """
    by_post: dict[tuple[str, str], list[DeadLetter]] = {}
    for letter in letters:
        if (post_id := _post_id(letter)) is not None:
            by_post.setdefault(post_id, []).append(letter)
    if not by_post:
        return set()
    found: set[DeadLetter] = set()
    decoder = msgspec.json.Decoder(_ScoredPostId)
    since = min((letter.record_ms for members in by_post.values() for letter in members), default=-1)
    for message in read_to_end(settings.bootstrap_servers(), settings.scored_topic):
        if message.timestamp()[1] < since:
            continue
        try:
            post = decoder.decode(message.value() or b"")
        except msgspec.DecodeError:
            continue
        found.update(by_post.get((post.source, post.id), ()))
    return found


class _ScoredPostId(msgspec.Struct, frozen=True):
    id: str
    source: str


def _post_id(letter: DeadLetter) -> tuple[str, str] | None:
    try:
        post = POST_DECODER.decode(letter.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return post.source, post.id


def plan_redrive(
    letters: Sequence[DeadLetter],
    *,
    topic: str,
    partitions: int,
    redriven: Collection[DeadLetter],
    counted: Collection[DeadLetter],
) -> RedrivePlan:
    """Which of *letters* to send to *topic*, which has *partitions* partitions now. Pure.

    *redriven* and *counted* are the letters that `find_redriven` and `find_counted` returned.
    """
    send: list[DeadLetter] = []
    skip: dict[str, list[DeadLetter]] = {}
    for letter in letters:
        reason = ""
        if letter in redriven:
            reason = "done: redriven before and counted"
        elif letter in counted:
            reason = "done: its producer sent it again and it was counted"
        elif letter.topic != topic:
            reason = f"of another topic: set BRANDPULSE_POSTS_TOPIC={letter.topic}"
        elif letter.cut is not None:
            reason = "truncated: larger than the broker accepts"
        elif letter.origin.partition >= partitions:
            reason = f"its partition no longer exists: the topic has {partitions}"
        if reason:
            skip.setdefault(reason, []).append(letter)
        else:
            send.append(letter)
    return RedrivePlan(send, skip)


def send_letters(settings: Settings, letters: Sequence[DeadLetter]) -> int:
    """Produce *letters* to their partitions of the posts topic; returns their number. Raises TransientError."""
    records = (
        {
            "topic": settings.posts_topic,
            "key": letter.key,
            "value": letter.value,
            "partition": letter.origin.partition,
            "headers": record_id_headers(letter.origin),
        }
        for letter in letters
    )
    return write_confirmed(settings.bootstrap_servers(), records, task=f"send letters to {settings.posts_topic}")


def partition_count(settings: Settings) -> int:
    """Number of partitions of the posts topic. Raises TransientError."""
    try:
        admin = AdminClient(client_config(settings.bootstrap_servers()))
        return len(admin.list_topics(settings.posts_topic, timeout=10).topics[settings.posts_topic].partitions)
    except KafkaException as error:
        raise TransientError(
            f"cannot read the partitions of topic {settings.posts_topic}: {explain(error.args[0])}"
        ) from error

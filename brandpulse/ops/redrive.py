"""Sends dead letters again: key and value as they were, to the partition they came from, under their first identity.

The worker remembers that identity in the same call that counts the post, so a letter may be sent twice.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import redis
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from brandpulse.config.settings import Settings
from brandpulse.errors import TransientError
from brandpulse.kafka.client import client_config, producer_config
from brandpulse.kafka.error_hints import explain
from brandpulse.kafka.topic_scan import read_to_end
from brandpulse.redis.error_hints import OUTAGES, redis_outage
from brandpulse.schema.dead_letters import Letter, letters_of, origin_headers
from brandpulse.schema.posts import POST_DECODER
from brandpulse.state.keys import PartitionKeys

CHUNK = 1_000
"""Identities asked of Redis in one round trip."""
FLUSH_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters a command speaks of; what is empty restricts nothing."""

    ids: Collection[str] = ()
    """partition:offset, or topic id:partition:offset."""
    reasons: Collection[str] = ()
    partition: int | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    """Kafka's timestamps of the records: from since, before until."""
    text: str = ""
    """Part of value or error, whatever the case."""

    def takes(self, letter: Letter) -> bool:
        return (
            (not self.ids or letter.id in self.ids or str(letter.origin) in self.ids)
            and (not self.reasons or letter.reason in self.reasons)
            and self.partition in (None, letter.origin.partition)
            and (self.since_ms is None or letter.record_ms >= self.since_ms)
            and (self.until_ms is None or letter.record_ms < self.until_ms)
            and (not self.text or self.text.casefold() in f"{shown(letter.value)}\n{letter.error}".casefold())
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What a redrive would do: letters to send, and why others stay."""

    send: Sequence[Letter]
    stay: Mapping[str, Sequence[Letter]]
    """Reason -> letters."""


def shown(value: bytes | None) -> str:
    return "" if value is None else value.decode(errors="replace")


def read_letters(settings: Settings) -> list[Letter]:
    """Every letter in the topic now, each once. Raises TransientError."""
    return letters_of(read_to_end(settings.bootstrap_servers(), settings.dlq_topic))


def done_again(client: redis.Redis, namespace: str, letters: Sequence[Letter]) -> set[Letter]:
    """Those of *letters* that were redriven and came to another end than death. Raises TransientError."""
    found: set[Letter] = set()
    places: dict[tuple[str, int], list[Letter]] = {}
    for letter in letters:
        places.setdefault((letter.topic, letter.origin.partition), []).append(letter)
    try:
        for place, mine in places.items():
            key = PartitionKeys(namespace, *place).redriven
            for start in range(0, len(mine), CHUNK):
                part = mine[start : start + CHUNK]
                digests = [one.origin.digest for one in part]
                scores: Any = client.execute_command("ZMSCORE", key, *digests)  # type: ignore[no-untyped-call]
                found.update(one for one, score in zip(part, scores, strict=True) if score is not None)
    except (redis.RedisError, *OUTAGES) as error:
        raise redis_outage(error) from error
    return found


def counted_meanwhile(settings: Settings, letters: Sequence[Letter]) -> set[Letter]:
    """Those of *letters* whose post was counted under its id since, for its producer sent it again.

    Looked up in the topic of scored posts, which is written before a post counts; a worker's own memory of ids reaches
    back a few hours only. Letters that cannot be read have no id. Raises TransientError.
    """
    named: dict[tuple[str, str], list[Letter]] = {}
    for letter in letters:
        if (name := _name_of(letter)) is not None:
            named.setdefault(name, []).append(letter)
    if not named:
        return set()
    found: set[Letter] = set()
    decoder = msgspec.json.Decoder(_ScoredName)
    since = min((letter.record_ms for mine in named.values() for letter in mine), default=-1)
    for message in read_to_end(settings.bootstrap_servers(), settings.scored_topic):
        if message.timestamp()[1] < since:
            continue
        try:
            post = decoder.decode(message.value() or b"")
        except msgspec.DecodeError:
            continue
        found.update(named.get((post.source, post.id), ()))
    return found


class _ScoredName(msgspec.Struct, frozen=True):
    id: str
    source: str


def _name_of(letter: Letter) -> tuple[str, str] | None:
    try:
        post = POST_DECODER.decode(letter.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return post.source, post.id


def plan_redrive(
    letters: Sequence[Letter],
    *,
    topic: str,
    partitions: int,
    done: Collection[Letter],
    counted: Collection[Letter],
) -> Plan:
    """What to send to *topic*, which has so many *partitions* now, and what not. Pure."""
    send: list[Letter] = []
    stay: dict[str, list[Letter]] = {}
    for letter in letters:
        why = ""
        if letter in done:
            why = "done: redriven before, and counted"
        elif letter in counted:
            why = "done: its producer sent it again, and it was counted"
        elif letter.topic != topic:
            why = f"of another topic: set BRANDPULSE_POSTS_TOPIC={letter.topic}"
        elif letter.cut is not None:
            why = "cut: larger than the broker takes back"
        elif letter.origin.partition >= partitions:
            why = f"its partition is gone: the topic has {partitions}"
        if why:
            stay.setdefault(why, []).append(letter)
        else:
            send.append(letter)
    return Plan(send, stay)


def send_again(settings: Settings, letters: Sequence[Letter]) -> int:
    """Produce *letters* to their partitions of the posts' topic; how many the broker took. Raises TransientError."""
    failed: list[str] = []
    producer = Producer(producer_config(settings.bootstrap_servers()) | {"message.max.bytes": 100_000_000})

    def delivered(error: Any, _message: Any) -> None:
        if error is not None:
            failed.append(error.str())

    try:
        for letter in letters:
            while True:
                try:
                    producer.produce(
                        settings.posts_topic,
                        key=letter.key,
                        value=letter.value,
                        partition=letter.origin.partition,
                        headers=origin_headers(letter.origin),
                        on_delivery=delivered,
                    )
                except BufferError:
                    producer.poll(0.1)
                else:
                    break
        left = producer.flush(FLUSH_SECONDS)
    except KafkaException as error:
        raise TransientError(f"Kafka does not take what is sent again: {explain(error.args[0])}") from error
    if left or failed:
        why = failed[0] if failed else f"no answer within {FLUSH_SECONDS:g} s"
        raise TransientError(f"{left + len(failed)} of {len(letters)} letters were not taken: {why}. Run it again")
    return len(letters)


def partitions_of(settings: Settings) -> int:
    """How many partitions the posts' topic has now. Raises TransientError."""
    try:
        admin = AdminClient(client_config(settings.bootstrap_servers()))
        return len(admin.list_topics(settings.posts_topic, timeout=10).topics[settings.posts_topic].partitions)
    except KafkaException as error:
        raise TransientError(f"topic {settings.posts_topic} is not listed: {explain(error.args[0])}") from error

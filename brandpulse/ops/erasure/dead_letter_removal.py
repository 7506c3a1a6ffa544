"""Removes the dead letters of a post or an author from their topic. Blocking.

Kafka can delete only the beginning of a partition. So the letters before the last one to erase are written again first,
with their headers: two records of one identity are one dead letter. A crash in between leaves copies, and loses none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from brandpulse.kafka.client import client_config
from brandpulse.kafka.confirmed_records import write_confirmed
from brandpulse.kafka.error_hints import explain
from brandpulse.kafka.topic_scan import read_to_end
from brandpulse.ops.erasure.subject import Subject
from brandpulse.schema.dead_letters import record_id_of

ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class LettersFound:
    """Dead letters to erase."""

    record_ids: frozenset[str] = frozenset()
    """Their identities, which the commands `brandpulse dlq` leave out."""
    last: Mapping[int, int] = field(default_factory=dict)
    """Partition -> offset of the last record to erase."""
    newest_ms: int = 0
    """Kafka's time of the newest one."""


def find_letters(bootstrap_servers: str, topic: str, subject: Subject) -> LettersFound:
    """Raises TransientError."""
    found: set[str] = set()
    last: dict[int, int] = {}
    newest_ms = 0
    for message in read_to_end(bootstrap_servers, topic):
        if not subject.owns_letter(message.key(), message.value()):
            continue
        origin = record_id_of(message.headers() or [])
        if origin is not None:
            found.add(str(origin))
        last[message.partition()] = message.offset()
        newest_ms = max(newest_ms, message.timestamp()[1])
    return LettersFound(frozenset(found), last, newest_ms)


def remove_letters(bootstrap_servers: str, topic: str, found: LettersFound, subject: Subject) -> str | None:
    """Delete the records; returns why the broker refused, or None. Raises TransientError if copying fails."""
    if not found.last:
        return None
    _copy_others(bootstrap_servers, topic, found, subject)
    return _delete(bootstrap_servers, [TopicPartition(topic, number, last + 1) for number, last in found.last.items()])


def can_delete(bootstrap_servers: str, topic: str, partition: int) -> str | None:
    """Why the broker does not delete records, or None. Deletes nothing: offset 0 is before each beginning."""
    return _delete(bootstrap_servers, [TopicPartition(topic, partition, 0)])


def _delete(bootstrap_servers: str, places: list[TopicPartition]) -> str | None:
    """Delete the records before *places*; returns why the broker refused, or None."""
    admin = AdminClient(client_config(bootstrap_servers) | {"log_level": 0})
    try:
        for future in admin.delete_records(places, request_timeout=ANSWER_SECONDS).values():
            future.result(ANSWER_SECONDS + 5)
    except KafkaException as error:
        return explain(error.args[0])
    return None


def _copy_others(bootstrap_servers: str, topic: str, found: LettersFound, subject: Subject) -> None:
    """Write those letters again that the deletion would take with it. Raises TransientError: nothing is deleted."""
    letters = (
        {
            "topic": topic,
            "key": message.key(),
            "value": message.value(),
            "partition": message.partition(),
            "headers": message.headers(),
            "timestamp": max(message.timestamp()[1], 0),
        }
        for message in read_to_end(bootstrap_servers, topic)
        if message.offset() <= found.last.get(message.partition(), -1)
        and not subject.owns_letter(message.key(), message.value())
    )
    write_confirmed(bootstrap_servers, letters, task=f"write letters to {topic} again; nothing was deleted")

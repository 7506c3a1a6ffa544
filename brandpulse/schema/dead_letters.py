"""The dead letter in Kafka: its headers, its identity, and the headers of a post that is sent again.

A dead letter has the record's key and value unchanged. The names of its headers begin with `brandpulse.`:

    topic, topic_id, partition, offset   position of the record when it first failed: the dead letter's identity
    record_ms, reason, error             Kafka's timestamp of that record, and why it failed
    cut                                  full length of a value that was too large for the broker
    again_at                             offset of the redriven record, if it failed again

A redriven post has the headers topic_id, partition and offset of its dead letter.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

HEADER = "brandpulse."
Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class RecordId:
    """Position of a record when it first failed."""

    topic_id: str
    partition: int
    offset: int

    @property
    def digest(self) -> bytes:
        """12 bytes, as the partition's memory of redriven posts holds it."""
        return hashlib.blake2b(f"{self.topic_id}\0{self.partition}\0{self.offset}".encode(), digest_size=12).digest()

    def __str__(self) -> str:
        return f"{self.topic_id}:{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record that failed; copies of it in the topic are one dead letter."""

    origin: RecordId
    topic: str
    record_ms: int
    """-1: the record had no timestamp."""
    reason: str
    error: str
    key: bytes | None
    value: bytes | None
    cut: int | None = None
    """Full length of the value, if it is cut off."""
    deaths: int = 1
    """How often it failed: more than once if it was redriven."""

    @property
    def id(self) -> str:
        """The argument of `brandpulse dlq show`: partition:offset, within one log."""
        return f"{self.origin.partition}:{self.origin.offset}"


def record_id_headers(origin: RecordId) -> list[tuple[str, bytes]]:
    """Headers of a redriven post."""
    facts = {"topic_id": origin.topic_id, "partition": origin.partition, "offset": origin.offset}
    return [(HEADER + name, str(value).encode()) for name, value in facts.items()]


def record_id_of(headers: Headers) -> RecordId | None:
    """The identity in a record's *headers*; None if it is missing or not valid."""
    found = _own_headers(headers)
    try:
        origin = RecordId(found["topic_id"], int(found["partition"]), int(found["offset"]))
    except (KeyError, ValueError):
        return None
    return origin if origin.topic_id and origin.partition >= 0 and origin.offset >= 0 else None


def dead_letters(messages: Iterable[Any]) -> list[DeadLetter]:
    """Each dead letter once, in the order of first failures, with its newest failure. Foreign records are left out.

    The topic is written at least once: records of the same identity are the same dead letter. It failed again only if
    a record has the header again_at.
    """
    found: dict[RecordId, dict[int, DeadLetter]] = {}
    for message in messages:
        headers = _own_headers(message.headers() or [])
        origin = record_id_of(message.headers() or [])
        if origin is None:
            continue
        deaths = found.setdefault(origin, {})
        deaths.setdefault(
            _number(headers, "again_at", -1), _dead_letter(origin, headers, message.key(), message.value())
        )
    return [_newest(deaths) for deaths in found.values()]


def _newest(deaths: dict[int, DeadLetter]) -> DeadLetter:
    newest = deaths[max(deaths)]
    return DeadLetter(
        newest.origin,
        newest.topic,
        deaths[min(deaths)].record_ms,
        newest.reason,
        newest.error,
        newest.key,
        newest.value,
        newest.cut,
        len(deaths),
    )


def _dead_letter(origin: RecordId, headers: dict[str, str], key: bytes | None, value: bytes | None) -> DeadLetter:
    cut = _number(headers, "cut", -1)
    return DeadLetter(
        origin,
        headers.get("topic", ""),
        _number(headers, "record_ms", -1),
        headers.get("reason", ""),
        headers.get("error", ""),
        key,
        value,
        None if cut < 0 else cut,
    )


def _own_headers(headers: Headers) -> dict[str, str]:
    return {
        name.removeprefix(HEADER): (value or b"").decode(errors="replace")
        for name, value in headers
        if name.startswith(HEADER)
    }


def _number(headers: dict[str, str], name: str, default: int) -> int:
    try:
        return int(headers.get(name, default))
    except ValueError:
        return default

"""The dead letter as it travels: its headers, its identity, and the headers of a post that is sent again.

A letter keeps key and value verbatim. Its headers are `brandpulse.` and

    topic, topic_id, partition, offset   where the record lay when it died first: the letter's identity
    record_ms, reason, error             Kafka's timestamp of that record, and why it died
    cut                                  full length of a value that the broker did not take whole
    again_at                             offset of the record sent again, where a redriven post died once more

A redriven post carries topic_id, partition and offset of its letter, and nothing else of ours.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

HEADER = "brandpulse."
Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record lay when it died first."""

    topic_id: str
    partition: int
    offset: int

    @property
    def digest(self) -> bytes:
        """What the partition's memory of redriven posts holds: 12 bytes."""
        return hashlib.blake2b(f"{self.topic_id}\0{self.partition}\0{self.offset}".encode(), digest_size=12).digest()

    def __str__(self) -> str:
        return f"{self.topic_id}:{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Letter:
    """One record that died, however often it was written."""

    origin: Origin
    topic: str
    record_ms: int
    """-1: the record had no timestamp."""
    reason: str
    error: str
    key: bytes | None
    value: bytes | None
    cut: int | None = None
    """Full length of the value, if only its head is here."""
    deaths: int = 1
    """More than one: it was redriven, and died again."""

    @property
    def id(self) -> str:
        """What `brandpulse dlq show` takes: partition:offset, within one log."""
        return f"{self.origin.partition}:{self.origin.offset}"


def origin_headers(origin: Origin) -> list[tuple[str, bytes]]:
    """What a redriven post carries."""
    facts = {"topic_id": origin.topic_id, "partition": origin.partition, "offset": origin.offset}
    return [(HEADER + name, str(value).encode()) for name, value in facts.items()]


def origin_of(headers: Headers) -> Origin | None:
    """The identity that a record's *headers* tell of; None if they tell of none, or of no possible one."""
    found = _ours(headers)
    try:
        origin = Origin(found["topic_id"], int(found["partition"]), int(found["offset"]))
    except (KeyError, ValueError):
        return None
    return origin if origin.topic_id and origin.partition >= 0 and origin.offset >= 0 else None


def letters_of(messages: Iterable[Any]) -> list[Letter]:
    """Each letter once, in the order of its first death, as its newest death tells it. Foreign records are left out.

    The topic is written at least once: what has the same identity is the same letter, and died again only if it says
    at which offset.
    """
    found: dict[Origin, dict[int, Letter]] = {}
    for message in messages:
        headers = _ours(message.headers() or [])
        origin = origin_of(message.headers() or [])
        if origin is None:
            continue
        deaths = found.setdefault(origin, {})
        deaths.setdefault(_number(headers, "again_at", -1), _letter(origin, headers, message.key(), message.value()))
    return [_newest(deaths) for deaths in found.values()]


def _newest(deaths: dict[int, Letter]) -> Letter:
    newest = deaths[max(deaths)]
    return Letter(
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


def _letter(origin: Origin, headers: dict[str, str], key: bytes | None, value: bytes | None) -> Letter:
    cut = _number(headers, "cut", -1)
    return Letter(
        origin,
        headers.get("topic", ""),
        _number(headers, "record_ms", -1),
        headers.get("reason", ""),
        headers.get("error", ""),
        key,
        value,
        None if cut < 0 else cut,
    )


def _ours(headers: Headers) -> dict[str, str]:
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

"""How far each log of a topic was applied: the current log and earlier ones.

A topic that is created again has another id and another log. The embedded broker creates its topics at each start, so
each partition lists the earlier logs and how many of their records were counted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import redis

from brandpulse.errors import StateError
from brandpulse.redis.error_hints import reaching_redis
from brandpulse.state.keys import PartitionKeys
from brandpulse.state.namespaces import live_namespace
from brandpulse.state.partition_state import PartitionStatus

KEPT_LOGS = 1_000
"""The newest earlier logs that a partition lists; 40 bytes each. A log of which no record was applied is left out."""


@dataclass(frozen=True, slots=True)
class LeftLog:
    """An earlier log of a partition, and the offset after the last record applied from it."""

    topic_id: str
    next: int

    @classmethod
    def decode(cls, stored: bytes) -> "LeftLog":
        """Raises StateError if *stored* is not an earlier log."""
        topic_id, _, offset = stored.decode(errors="replace").rpartition(" ")
        if not topic_id or not offset.isdecimal():
            raise StateError(f"an earlier log is stored as {stored!r}, not '<topic id> <next>'")
        return cls(topic_id, int(offset))


@dataclass(frozen=True, slots=True)
class AppliedLogs:
    """How far the workers of a namespace have applied one topic's logs."""

    statuses: Mapping[int, PartitionStatus] = field(default_factory=dict)
    """By partition; partitions without state are missing."""
    until: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """(topic id, partition) -> the offset after the last record applied."""

    def applied(self, topic_id: str, partition: int) -> int:
        return self.until.get((topic_id, partition), 0)

    def reads(self, topic_id: str) -> bool:
        """Whether a partition still reads that log, so that more of it may be applied."""
        return any(status.topic_id == topic_id for status in self.statuses.values())


def applied_logs(states: Iterable[tuple[PartitionStatus | None, Iterable[LeftLog]]]) -> AppliedLogs:
    """The sum over partitions, of several namespaces too. Pure."""
    until: dict[tuple[str, int], int] = {}
    statuses: dict[int, PartitionStatus] = {}
    for status, left in states:
        if status is None:
            continue
        statuses.setdefault(status.partition, status)
        for log in (*left, LeftLog(status.topic_id, status.next)):
            place = log.topic_id, status.partition
            until[place] = max(until.get(place, 0), log.next)
    return AppliedLogs(statuses, until)


def read_applied_logs(client: redis.Redis, namespace: str, topic: str, partitions: Iterable[int]) -> AppliedLogs:
    """The logs of *namespace*, and of the one that its readers follow. Raises TransientError, StateError."""
    wanted = [
        PartitionKeys(name, topic, partition)
        for name in dict.fromkeys((live_namespace(client, namespace), namespace))
        for partition in partitions
    ]
    with reaching_redis():
        pipeline = client.pipeline(transaction=False)
        for keys in wanted:
            # The state before the list: a log that becomes an earlier one in between is in both, or in the list.
            pipeline.hgetall(keys.state)
            pipeline.lrange(keys.logs, 0, -1)
        found: list[Any] = pipeline.execute()
    return applied_logs(
        (
            PartitionStatus.decode(keys.topic, keys.partition, state) if state else None,
            [LeftLog.decode(entry) for entry in left],
        )
        for keys, state, left in zip(wanted, found[::2], found[1::2], strict=True)
    )

"""The workers' state as a sender needs it: how far each log was applied, and which ids are remembered."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import redis

from brandpulse.redis.error_hints import reaching_redis
from brandpulse.schema.identity import post_digest
from brandpulse.state.applied_logs import AppliedLogs, read_applied_logs
from brandpulse.state.keys import PartitionKeys
from brandpulse.state.namespaces import live_namespace
from brandpulse.state.partition_state import NO_CLOCK, PartitionStatus


class WorkerStates(Protocol):
    """Every method raises TransientError if Redis does not answer."""

    def applied(self, partitions: Iterable[int]) -> AppliedLogs:
        """How far each log of the topic was applied."""
        ...

    def counted(self, posts: Sequence[tuple[str, str]], statuses: Iterable[PartitionStatus]) -> list[bool]:
        """For each (source, id), whether the duplicate window of any partition has it."""
        ...


def remembered_since_ms(statuses: Iterable[PartitionStatus]) -> int:
    """Event time since when every partition remembers each counted id; NO_CLOCK if none has forgotten any.

    A post is counted when the partition's clock is at its time or later, so its id is in the generation that started at
    that time, or in a later one.
    """
    oldest = [min(generation.began_ms for generation in s.generations) for s in statuses if s.generations]
    numbers = [min(generation.number for generation in s.generations) for s in statuses if s.generations]
    return max((began for began, number in zip(oldest, numbers, strict=True) if number > 0), default=NO_CLOCK)


@dataclass(frozen=True, slots=True)
class StreamClock:
    """Event time of the median partition, ms."""

    clock_ms: int
    watermark_ms: int


def stream_clock(applied: AppliedLogs) -> StreamClock | None:
    """The clock of the median partition; None before the first counted post."""
    counted = sorted((s.clock_ms, s.watermark_ms) for s in applied.statuses.values() if s.clock_ms != NO_CLOCK)
    return StreamClock(*counted[len(counted) // 2]) if counted else None


class RedisWorkerStates:
    """Reads the state from Redis. Key layout: `brandpulse/state/keys.py`."""

    def __init__(self, client: redis.Redis, namespace: str, topic: str) -> None:
        self._client = client
        self._namespace = namespace
        self._topic = topic

    def applied(self, partitions: Iterable[int]) -> AppliedLogs:
        return read_applied_logs(self._client, self._namespace, self._topic, partitions)

    def counted(self, posts: Sequence[tuple[str, str]], statuses: Iterable[PartitionStatus]) -> list[bool]:
        digests = [post_digest(source, post_id) for source, post_id in posts]
        live = live_namespace(self._client, self._namespace)
        sets = [
            PartitionKeys(live, self._topic, status.partition).ids(generation.number)
            for status in statuses
            for generation in status.generations
        ]
        found = [False] * len(posts)
        with reaching_redis():
            for begin in range(0, len(digests), 1_000):
                chunk = digests[begin : begin + 1_000]
                pipeline = self._client.pipeline(transaction=False)
                for key in sets:
                    pipeline.smismember(key, chunk)
                replies: list[Any] = pipeline.execute()
                for reply in replies:
                    for index, is_member in enumerate(reply, begin):
                        found[index] |= bool(is_member)
        return found


@dataclass(slots=True)
class MemoryWorkerStates:
    """In-memory implementation for tests."""

    statuses: dict[int, PartitionStatus] = field(default_factory=dict)
    until: dict[tuple[str, int], int] = field(default_factory=dict)
    remembered: set[tuple[str, str]] = field(default_factory=set)

    def applied(self, partitions: Iterable[int]) -> AppliedLogs:
        del partitions
        now: Mapping[tuple[str, int], int] = {(s.topic_id, s.partition): s.next for s in self.statuses.values()}
        return AppliedLogs(dict(self.statuses), {**self.until, **now})

    def counted(self, posts: Sequence[tuple[str, str]], statuses: Iterable[PartitionStatus]) -> list[bool]:
        del statuses
        return [post in self.remembered for post in posts]

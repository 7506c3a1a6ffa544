"""Detects partitions that are not read although records wait.

librdkafka (2.16) may stop fetching one partition for good, without an error or a log line: of four partitions under
steady load on a busy machine, one was not read for 52 minutes, until the next pause of all. Pure; for the reading
thread only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from stream_workers.consumer.assigned_partition import AssignedPartition

PATIENCE_SECONDS = 20.0
"""Seconds of unfilled reads: with room left in a read, nothing waited in the client, and the partition had its turn."""
QUEUED_RECORDS = 100_000
"""The client's `queued.min.messages`: it prefetches this many records per partition, plus one fetch."""
WAITING_RECORDS = 2
"""The end of a transaction takes an offset that is never read, so one waiting record may be that."""


@dataclass(frozen=True, slots=True)
class ReadStats:
    """What was read so far, of all partitions together."""

    unfilled_seconds: float = 0.0
    """Total duration of the reads that returned fewer records than they had room for."""
    records: int = 0


@dataclass(slots=True)
class _Observation:
    """The last progress of a partition."""

    partition: AssignedPartition
    position: int = -1
    eof_count: int = 0
    explained_end: int = -1
    """Log end for which the client later reported the end of the partition: offsets without records."""
    behind_since: ReadStats | None = None
    """None while no record waits."""


class StuckPartitionDetector:
    """Called about once a second with the assigned partitions."""

    def __init__(self) -> None:
        self._observations: dict[int, _Observation] = {}

    def stuck(
        self, partitions: Mapping[int, AssignedPartition], log_ends: Mapping[int, int], reads: ReadStats
    ) -> list[int]:
        """The stuck partitions. *log_ends*: offset after each log's last record, as its leader last reported it."""
        # Records queued before its own: in an overloaded worker no read has room left.
        queue_size = QUEUED_RECORDS * (len(partitions) + 1)
        return [
            number
            for number, partition in partitions.items()
            if self._is_stuck(number, partition, log_ends.get(number, -1), reads, queue_size)
        ]

    def is_behind(self, partition: int) -> bool:
        """Whether records waited for it at the last call."""
        observation = self._observations.get(partition)
        return observation is not None and observation.behind_since is not None

    def forget(self, partition: int) -> None:
        self._observations.pop(partition, None)

    def _is_stuck(self, number: int, partition: AssignedPartition, end: int, reads: ReadStats, queue_size: int) -> bool:
        observation = self._observations.get(number)
        if observation is None or observation.partition is not partition:
            observation = self._observations[number] = _Observation(partition)
        if partition.eof_count != observation.eof_count:
            # If the end was requested after that, its last offsets count as no records until the log grows again.
            observation.eof_count, observation.explained_end = partition.eof_count, end
        waiting = end - partition.position >= WAITING_RECORDS and end > observation.explained_end
        if not waiting or partition.position != observation.position or observation.behind_since is None:
            observation.position = partition.position
            observation.behind_since = reads if waiting else None
            return False
        since = observation.behind_since
        if (
            reads.unfilled_seconds - since.unfilled_seconds < PATIENCE_SECONDS
            and reads.records - since.records < queue_size
        ):
            return False
        observation.behind_since = reads
        return True

"""Which partitions are not read though records wait for them.

librdkafka (2.16) may leave one partition out for good, without an error or a line in its log: of four under steady load
on a busy machine one was not read for 52 minutes, until the next pause of all. Pure; for the reading thread alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from stream_workers.consumer.assigned_partition import HeldPartition

PATIENCE_SECONDS = 20.0
"""Of reads that found less than they had room for, so nothing waited in the client, and the partition had its turn."""
QUEUED_RECORDS = 100_000
"""The client's `queued.min.messages`: it fetches so many of each partition ahead, and an answer beyond."""
WAITING_RECORDS = 2
"""The end of a transaction takes an offset that is never read: one record alone may be that."""


@dataclass(frozen=True, slots=True)
class Reads:
    """What was read so far, of all partitions together."""

    roomy_seconds: float = 0.0
    """How long all reads took that found less than they had room for."""
    records: int = 0


@dataclass(slots=True)
class _Look:
    """A partition as it was last seen to move."""

    held: HeldPartition
    position: int = -1
    ends_told: int = 0
    explained: int = -1
    """Log's end of which the client said later that nothing follows: offsets without records."""
    behind_since: Reads | None = None
    """None while no record waits."""


class Standstills:
    """Looks at what is held once a second or so."""

    def __init__(self) -> None:
        self._looks: dict[int, _Look] = {}

    def look(self, partitions: Mapping[int, HeldPartition], ends: Mapping[int, int], reads: Reads) -> list[int]:
        """Those that stand still. *ends*: offset after each log's last record, as its leader told it lately."""
        # Whatever was queued before its records: in a worker with more to do than it can no read has room.
        queued = QUEUED_RECORDS * (len(partitions) + 1)
        return [
            partition
            for partition, held in partitions.items()
            if self._stands_still(partition, held, ends.get(partition, -1), reads, queued)
        ]

    def behind(self, partition: int) -> bool:
        """Whether records waited for it at the last look."""
        look = self._looks.get(partition)
        return look is not None and look.behind_since is not None

    def forget(self, partition: int) -> None:
        self._looks.pop(partition, None)

    def _stands_still(self, partition: int, held: HeldPartition, end: int, reads: Reads, queued: int) -> bool:
        look = self._looks.get(partition)
        if look is None or look.held is not held:
            look = self._looks[partition] = _Look(held)
        if held.ends_told != look.ends_told:
            # Where the end was asked for after that, its last records are taken for none until the log grows again.
            look.ends_told, look.explained = held.ends_told, end
        waits = end - held.position >= WAITING_RECORDS and end > look.explained
        if not waits or held.position != look.position or look.behind_since is None:
            look.position = held.position
            look.behind_since = reads if waits else None
            return False
        since = look.behind_since
        if reads.roomy_seconds - since.roomy_seconds < PATIENCE_SECONDS and reads.records - since.records < queued:
            return False
        look.behind_since = reads
        return True

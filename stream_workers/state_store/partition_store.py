"""The contract of the partition store: load state, read before a fold, apply a change.

Every method blocks and is called from one thread only. Implementations: `redis_store`, and `memory_store` for tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from brandpulse.errors import StateError
from brandpulse.state.applied_logs import LeftLog
from brandpulse.state.partition_state import PartitionStatus
from stream_workers.aggregation.seen_id_filter import IdLookup
from stream_workers.aggregation.types import Cell, Change, Stored


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What the fold of one partition's batch needs from the store."""

    status: PartitionStatus
    digests: Sequence[bytes]
    cells: Sequence[Cell]
    redriven_ids: Sequence[bytes] = ()
    """Original identities of redriven posts, which may already be finished."""
    lookups: Sequence[IdLookup] | None = None
    """Which of *digests* to look up in which generations; None: all of them in all of them."""

    @property
    def id_lookups(self) -> Sequence[IdLookup]:
        if self.lookups is not None:
            return self.lookups
        generations = self.status.generations
        return [IdLookup(generations, self.digests)] if generations and self.digests else []


@dataclass(frozen=True, slots=True)
class Applied:
    """The whole change is stored."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The stored `next` (-1: no state), life or writer differs: release the partition, load it, seek."""

    next: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A key has an unexpected type: stop the partition until an operator repairs it."""

    error: StateError


def left_log(stored: PartitionStatus | None, wanted: PartitionStatus) -> LeftLog | None:
    """What `rebase` records: how far a log was applied that the partition leaves, or in which it moves back."""
    if stored is None or stored.next <= 0 or not stored.topic_id:
        return None
    if stored.topic_id == wanted.topic_id and wanted.next >= stored.next:
        return None
    return LeftLog(stored.topic_id, stored.next)


class PartitionStore(Protocol):
    """Exactly-once state of partitions."""

    def load(self, topic: str, partition: int) -> PartitionStatus | None: ...

    def rebase(self, stored: PartitionStatus | None, wanted: PartitionStatus) -> bool:
        """Move `next` if the state is still *stored*. False: another worker moved it; load again."""
        ...

    def left_logs(self, topic: str, partition: int) -> list[LeftLog]:
        """The logs that the partition left, oldest first, and how far each was applied. `rebase` records them."""
        ...

    def origins(self, topic_id: str) -> tuple[int, ...] | None:
        """Where the namespace started to read each partition of that log; None: at its beginning."""
        ...

    def set_origins(self, topic_id: str, offsets: Sequence[int]) -> tuple[int, ...]:
        """Store the origins if there are none; returns the stored ones. All partitions at once: a worker may die."""
        ...

    def read(self, requests: Sequence[ReadRequest]) -> list[Stored]: ...

    def apply(self, changes: Sequence[Change]) -> list[Applied | Refused | Failed]:
        """Apply each change completely or not at all. Raises TransientError if the outcome of any is unknown."""
        ...

    def touch(self, status: PartitionStatus) -> bool:
        """The owner's heartbeat. False if the stored `next` is not that of *status*."""
        ...

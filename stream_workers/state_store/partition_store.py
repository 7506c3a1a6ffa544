"""The writing side of the partition state: load, read before a fold, apply a change. The contract.

Every method is blocking and made for one thread of its own. The real one: `redis_store.py`; its twin:
`memory_store.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from brandpulse.errors import StateError
from brandpulse.state.applied_logs import LeftLog
from brandpulse.state.partition_state import PartitionStatus
from stream_workers.aggregation.row_fold import Cell, Change, Stored
from stream_workers.aggregation.seen_id_filter import Question


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What one partition's batch asks before its fold."""

    status: PartitionStatus
    digests: Sequence[bytes]
    cells: Sequence[Cell]
    identities: Sequence[bytes] = ()
    """First identities of redriven posts, which may be done already."""
    questions: Sequence[Question] | None = None
    """Which of *digests* to look up in which generations; None: all of them in all of them."""

    @property
    def asked(self) -> Sequence[Question]:
        if self.questions is not None:
            return self.questions
        generations = self.status.generations
        return [Question(generations, self.digests)] if generations and self.digests else []


@dataclass(frozen=True, slots=True)
class Applied:
    """The change is in, whole."""


@dataclass(frozen=True, slots=True)
class Refused:
    """`next` stands elsewhere (-1: no state at all): forget what is held, load, seek."""

    next: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The script named a key of a shape we never wrote: stop the partition, a person must look."""

    error: StateError


def left_log(seen: PartitionStatus | None, wanted: PartitionStatus) -> LeftLog | None:
    """What `rebase` notes: how far a log was applied that the partition leaves, or in which it goes back."""
    if seen is None or seen.next <= 0 or not seen.topic_id:
        return None
    if seen.topic_id == wanted.topic_id and wanted.next >= seen.next:
        return None
    return LeftLog(seen.topic_id, seen.next)


class PartitionStore(Protocol):
    """Exactly-once state of partitions."""

    def load(self, topic: str, partition: int) -> PartitionStatus | None: ...

    def rebase(self, seen: PartitionStatus | None, wanted: PartitionStatus) -> bool:
        """Put `next` elsewhere, if the state is still as it was *seen*. False: somebody else moved it; load again."""
        ...

    def left_logs(self, topic: str, partition: int) -> list[LeftLog]:
        """The logs that the partition left, oldest first: how far each was applied. `rebase` notes them."""
        ...

    def origins(self, topic_id: str) -> tuple[int, ...] | None:
        """Where the namespace began to read each partition of that log; None: at its beginning."""
        ...

    def begin_at(self, topic_id: str, offsets: Sequence[int]) -> tuple[int, ...]:
        """Note the origins, if nobody did; what is noted then. All partitions at once: a worker may die between two."""
        ...

    def read(self, requests: Sequence[ReadRequest]) -> list[Stored]: ...

    def apply(self, changes: Sequence[Change]) -> list[Applied | Refused | Failed]:
        """Each change whole or not at all. Raises TransientError when the outcome of some is unknown."""
        ...

    def touch(self, status: PartitionStatus) -> bool:
        """The owner's sign of life; False when `next` is no longer where *status* says."""
        ...

"""Tracks dead letters that were sent again: each counts once, and increments the dead counter once. Pure.

The partition remembers the original identity of every redriven post that was finished without becoming a dead letter
again: it was counted, was a duplicate, or named no brand. So a dead letter may be redriven twice, in one batch or two.
"""

from collections.abc import Collection, Mapping, Sequence

from brandpulse.schema.dead_letters import RecordId
from stream_workers.decoding.post_decoder import DeadRecord


class RedriveTracker:
    """Follows the redriven posts of one batch, in offset order."""

    def __init__(self, origins: Mapping[int, RecordId], finished: Collection[bytes]) -> None:
        """*origins*: offset -> original identity; *finished*: digests of those that are already finished."""
        self._origins = origins
        self._finished = finished
        self._seen: dict[bytes, int] = {}
        """Digest -> offset of its newest copy in this batch that was not finished before."""

    def is_finished(self, offset: int, dead: Sequence[DeadRecord]) -> bool:
        """Whether the record at *offset* is a redriven post that is finished. *dead*: dead records so far."""
        origin = self._origins.get(offset)
        if origin is None:
            return False
        digest = origin.digest
        earlier = self._seen.get(digest)
        if digest in self._finished or (earlier is not None and earlier not in _offsets(dead)):
            return True
        self._seen[digest] = offset
        return False

    def repeated_deaths(self, dead: Sequence[DeadRecord]) -> int:
        """How many of *dead* were dead letters before: they are not counted again."""
        return sum(dead_record.record.offset in self._origins for dead_record in dead) if self._origins else 0

    def newly_finished(self, dead: Sequence[DeadRecord]) -> dict[bytes, int]:
        """What the store must remember: digest -> offset of the copy that was finished."""
        if not self._seen:
            return {}
        dead_offsets = _offsets(dead)
        return {digest: offset for digest, offset in self._seen.items() if offset not in dead_offsets}


def _offsets(dead: Sequence[DeadRecord]) -> set[int]:
    return {dead_record.record.offset for dead_record in dead}

"""Posts that died and were sent again: each is done once, and dies once in the counters. Pure.

The partition remembers the first identity of every redriven post that came to an end other than death: it was counted,
was a repeat, or named no brand. So a letter may be redriven twice, in one batch or in two.
"""

from collections.abc import Collection, Mapping, Sequence

from brandpulse.schema.dead_letters import RecordId
from stream_workers.decoding.post_decoder import Dead


class Redriven:
    """Follows the redriven posts of one batch, in offset order."""

    def __init__(self, origins: Mapping[int, RecordId], known: Collection[bytes]) -> None:
        """*origins*: offset -> first identity; *known*: digests of those that are done already."""
        self._origins = origins
        self._known = known
        self._seen: dict[bytes, int] = {}
        """Digest -> offset of its newest copy in this batch that was not done before."""

    def done(self, offset: int, dead: Sequence[Dead]) -> bool:
        """Whether the record at *offset* is a redriven post that is done; *dead*: what died in this batch so far."""
        origin = self._origins.get(offset)
        if origin is None:
            return False
        digest = origin.digest
        earlier = self._seen.get(digest)
        if digest in self._known or (earlier is not None and earlier not in _offsets(dead)):
            return True
        self._seen[digest] = offset
        return False

    def deaths(self, dead: Sequence[Dead]) -> int:
        """How many of *dead* died before: they are no new ones."""
        return sum(letter.record.offset in self._origins for letter in dead) if self._origins else 0

    def finished(self, dead: Sequence[Dead]) -> dict[bytes, int]:
        """What is to be remembered: digest -> offset of the copy that came to its end."""
        if not self._seen:
            return {}
        died = _offsets(dead)
        return {digest: offset for digest, offset in self._seen.items() if offset not in died}


def _offsets(dead: Sequence[Dead]) -> set[int]:
    return {letter.record.offset for letter in dead}

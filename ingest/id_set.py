"""Sets of ids in little memory."""

import array
from enum import Enum


class IdSet:
    """A set of ids as 64-bit digests: 16-32 bytes per id, a quarter of the memory of a Python set.

    The digests have a random key in each process. Two of n ids collide with probability n²/2⁶⁵: for ten million ids,
    one run in 370,000 would drop one new post as a duplicate.
    """

    def __init__(self) -> None:
        self._table = array.array("Q", bytes(8 * 1024))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, post_id: str) -> bool:
        """Add *post_id*; returns whether it is new."""
        digest = _digest(post_id)
        table = self._table
        mask = len(table) - 1
        slot = digest & mask
        while stored := table[slot]:
            if stored == digest:
                return False
            slot = (slot + 1) & mask
        table[slot] = digest
        self._count += 1
        if self._count * 2 > len(table):
            self._grow()
        return True

    def __contains__(self, post_id: str) -> bool:
        digest = _digest(post_id)
        mask = len(self._table) - 1
        slot = digest & mask
        while stored := self._table[slot]:
            if stored == digest:
                return True
            slot = (slot + 1) & mask
        return False

    def _grow(self) -> None:
        old = self._table
        table = array.array("Q", bytes(16 * len(old)))
        mask = len(table) - 1
        for digest in old:
            if digest:
                slot = digest & mask
                while table[slot]:
                    slot = (slot + 1) & mask
                table[slot] = digest
        self._table = table


class IdMatch(Enum):
    """How a post compares with those added before."""

    NEW = "new"
    DUPLICATE = "duplicate"
    CHANGED = "changed"
    """Its id was added with other content."""


class PostSet:
    """Ids as in `IdSet`, each with 32 bits of its first post's content: 24-48 bytes per id."""

    def __init__(self) -> None:
        self._ids = array.array("Q", bytes(8 * 1024))
        self._contents = array.array("I", bytes(4 * 1024))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, post_id: str, content: int) -> IdMatch:
        """Add the post unless its id is known."""
        digest = _digest(post_id)
        ids = self._ids
        mask = len(ids) - 1
        slot = digest & mask
        while stored := ids[slot]:
            if stored == digest:
                return IdMatch.DUPLICATE if self._contents[slot] == content & 0xFFFF_FFFF else IdMatch.CHANGED
            slot = (slot + 1) & mask
        ids[slot] = digest
        self._contents[slot] = content & 0xFFFF_FFFF
        self._count += 1
        if self._count * 2 > len(ids):
            self._grow()
        return IdMatch.NEW

    def _grow(self) -> None:
        ids = array.array("Q", bytes(16 * len(self._ids)))
        contents = array.array("I", bytes(8 * len(self._ids)))
        mask = len(ids) - 1
        for digest, content in zip(self._ids, self._contents, strict=True):
            if digest:
                slot = digest & mask
                while ids[slot]:
                    slot = (slot + 1) & mask
                ids[slot] = digest
                contents[slot] = content
        self._ids, self._contents = ids, contents


def _digest(post_id: str) -> int:
    # Zero marks an empty slot.
    return (hash(post_id) & 0xFFFF_FFFF_FFFF_FFFF) or 1

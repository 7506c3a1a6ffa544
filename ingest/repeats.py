"""Remembering which ids were seen, in little memory."""

import array


class IdMemory:
    """A set of ids as 64-bit digests: 16-32 bytes an id, a quarter of what a Python set takes.

    The digests are keyed anew in each process. Two of n ids share one with probability n²/2⁶⁵: for ten million ids,
    one run in 370,000 would take one new post for a repeat.
    """

    def __init__(self) -> None:
        self._table = array.array("Q", bytes(8 * 1024))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, post_id: str) -> bool:
        """Remember *post_id*; whether it is new."""
        digest = _digest(post_id)
        table = self._table
        mask = len(table) - 1
        slot = digest & mask
        while held := table[slot]:
            if held == digest:
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
        while held := self._table[slot]:
            if held == digest:
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


def _digest(post_id: str) -> int:
    # Zero marks a free slot.
    return (hash(post_id) & 0xFFFF_FFFF_FFFF_FFFF) or 1

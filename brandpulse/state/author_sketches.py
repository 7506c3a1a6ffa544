"""Sketches of a pane's authors, which count different people over any set of panes, and their stored form."""

from collections import deque
from collections.abc import Iterable, Sequence

import msgspec
from datasketches import hll_sketch, hll_union, tgt_hll_type

from brandpulse.errors import StateError

LG_K = 11
"""HyperLogLog with 2,048 registers: exact to about 100 authors, 2.3 % standard error above, at most 1,064 bytes."""


class Authors:
    """Two mergeable sketches: authors of relevant posts about the brand, and authors of negative ones.

    Mutable, unlike a Pane: it is big. An author of irrelevant posts only is in neither.

    Stored as the length of the first sketch in two bytes, then both sketches, in Apache DataSketches' compact form.
    """

    __slots__ = ("everyone", "negative")

    def __init__(self, everyone: hll_sketch | None = None, negative: hll_sketch | None = None) -> None:
        self.everyone = everyone or hll_sketch(LG_K, tgt_hll_type.HLL_4)
        self.negative = negative or hll_sketch(LG_K, tgt_hll_type.HLL_4)

    def add(self, author: int, *, negative: bool) -> None:
        """Count *author*, a keyed hash as a signed 64-bit number."""
        self.everyone.update(author)
        if negative:
            self.negative.update(author)

    def add_many(self, authors: Sequence[int], *, negative: Sequence[int]) -> None:
        """`add` each of *authors*; *negative*: those of them whose posts were negative, in the same order."""
        # No line of Python per author.
        deque(map(self.everyone.update, authors), maxlen=0)
        deque(map(self.negative.update, negative), maxlen=0)

    def encode(self) -> bytes:
        everyone = bytes(self.everyone.serialize_compact())
        return len(everyone).to_bytes(2, "big") + everyone + bytes(self.negative.serialize_compact())

    @classmethod
    def decode(cls, stored: bytes) -> "Authors":
        """Raises StateError if *stored* is not a pair of sketches."""
        try:
            size = int.from_bytes(stored[:2], "big")
            return cls(hll_sketch.deserialize(stored[2 : 2 + size]), hll_sketch.deserialize(stored[2 + size :]))
        except (ValueError, RuntimeError, IndexError) as error:
            raise StateError(f"not a pair of author sketches ({len(stored)} bytes): {error}") from error


class AuthorCounts(msgspec.Struct, frozen=True, gc=False):
    """Different people who wrote about the brand, and those of them who wrote something negative."""

    everyone: int = 0
    negative: int = 0


def count_authors(sketches: Iterable[Authors]) -> AuthorCounts:
    """Different authors over all *sketches*: an author of ten minutes counts once."""
    everyone, negative = hll_union(LG_K), hll_union(LG_K)
    for authors in sketches:
        everyone.update(authors.everyone)
        negative.update(authors.negative)
    return AuthorCounts(round(everyone.get_estimate()), round(negative.get_estimate()))

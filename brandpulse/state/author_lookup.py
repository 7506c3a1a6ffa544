"""Whether an account wrote about a brand before: asked of the author sketches that are kept anyway.

A sketch of fewer than 193 authors is a list of what DataSketches calls coupons, 32 bits of each author's hash: whether
an author is in it can be looked up. Two different authors share a coupon with a chance of some 10^-8. A larger sketch
has registers only, and cannot say.

Compact form (byte 0: ints of preamble, byte 7: mode in its two low bits): preamble, then the coupons, little-endian.
"""

from collections.abc import Iterable

import numpy as np
from datasketches import hll_sketch, tgt_hll_type

from brandpulse.state.author_sketches import LG_K

_REGISTERS = 2
_PREAMBLE_OF_LIST = 8


def coupon_of(author: int) -> int:
    """The coupon of *author*, a keyed hash as a signed 64-bit number."""
    sketch = hll_sketch(LG_K, tgt_hll_type.HLL_4)
    sketch.update(author)
    return int.from_bytes(bytes(sketch.serialize_compact())[_PREAMBLE_OF_LIST:], "little")


def coupons_in(stored: bytes) -> frozenset[int] | None:
    """Coupons of everyone in *stored*, an encoded `brandpulse.state.author_sketches.Authors`; None: it has registers only."""
    size = int.from_bytes(stored[:2], "big")
    everyone = stored[2 : 2 + size]
    if len(everyone) < _PREAMBLE_OF_LIST or everyone[7] & 3 == _REGISTERS:
        return None
    return frozenset(np.frombuffer(everyone, "<u4", offset=4 * everyone[0]).tolist())


def author_number(word: str) -> int:
    """The keyed hash that is stored as *word*, 16 hexadecimal digits."""
    number = int(word, 16)
    return number - 2**64 if number >= 2**63 else number


class KnownAuthors:
    """Who wrote about a brand before some moment."""

    def __init__(self, sketches: Iterable[bytes]) -> None:
        coupons: set[int] = set()
        self.complete = True
        """Whether all sketches could be asked; if not, an author who is not found may still be known."""
        self.any = False
        """Whether anybody wrote before, as far as is kept."""
        for stored in sketches:
            self.any = True
            found = coupons_in(stored)
            if found is None:
                self.complete = False
            else:
                coupons |= found
        self._coupons = coupons

    def new_among(self, authors: Iterable[str]) -> int | None:
        """How many of *authors* (16 hexadecimal digits each) wrote nothing before; None where that cannot be told."""
        if not self.any or not self.complete:
            return None
        return sum(coupon_of(author_number(author)) not in self._coupons for author in set(authors))

"""Whether an account wrote about a brand before, looked up in the author sketches of the panes.

A sketch of fewer than 193 authors is a list of coupons (a term of DataSketches), 32 bits of each author's hash: an
author can be looked up in it. Two different authors share a coupon with a probability of about 10^-8. A larger sketch
has registers only, so no author can be looked up.

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
    """Coupons of all authors in *stored*, an encoded `author_sketches.Authors`; None if it has registers only."""
    size = int.from_bytes(stored[:2], "big")
    everyone = stored[2 : 2 + size]
    if len(everyone) < _PREAMBLE_OF_LIST or everyone[7] & 3 == _REGISTERS:
        return None
    return frozenset(np.frombuffer(everyone, "<u4", offset=4 * everyone[0]).tolist())


def author_number(stored: str) -> int:
    """The keyed hash that is stored as 16 hexadecimal digits."""
    number = int(stored, 16)
    return number - 2**64 if number >= 2**63 else number


class KnownAuthors:
    """The authors who wrote about a brand before some time."""

    def __init__(self, sketches: Iterable[bytes]) -> None:
        coupons: set[int] = set()
        self.complete = True
        """Whether all sketches have coupons; if not, an author who is not found may still be known."""
        self.any = False
        """Whether there are earlier authors in the retained panes."""
        for stored in sketches:
            self.any = True
            found = coupons_in(stored)
            if found is None:
                self.complete = False
            else:
                coupons |= found
        self._coupons = coupons

    def new_among(self, authors: Iterable[str]) -> int | None:
        """How many of *authors* (16 hexadecimal digits each) wrote nothing before; None if that is not known."""
        if not self.any or not self.complete:
            return None
        return sum(coupon_of(author_number(author)) not in self._coupons for author in set(authors))

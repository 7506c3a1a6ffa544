"""Near misses: words almost like a brand's, in posts that name no brand. The stored form. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from brandpulse.errors import StateError

KEPT = 24
"""Words of a partition: a hint for a person, not a count."""
LONGEST = 40

NearMisses = tuple[tuple[str, int], ...]
"""(`WRITTEN for WORD`, sampled posts), the most frequent first."""


def with_near_misses(before: NearMisses, found: Mapping[str, int]) -> NearMisses:
    """Adds *found* by Space-Saving (Metwally et al. 2005): a new word replaces the rarest and takes over its number."""
    if not found:
        return before
    kept = dict(before)
    for word in sorted(found):
        if word not in kept and len(kept) >= KEPT:
            rarest = min(kept, key=lambda one: (kept[one], one))
            kept[word] = kept.pop(rarest)
        kept[word] = kept.get(word, 0) + found[word]
    return tuple(sorted(kept.items(), key=lambda one: (-one[1], one[0])))


def encode_near_misses(near_misses: NearMisses) -> bytes:
    return msgspec.json.encode(near_misses) if near_misses else b""


_DECODER: Any = msgspec.json.Decoder(tuple[tuple[str, int], ...])


def decode_near_misses(stored: bytes) -> NearMisses:
    """Raises StateError if *stored* is not a list of near misses."""
    if not stored:
        return ()
    try:
        found: NearMisses = _DECODER.decode(stored)
    except msgspec.MsgspecError as error:
        raise StateError(f"near misses: {error}") from None
    return found

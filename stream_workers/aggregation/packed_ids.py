"""Digests of posts in one byte string: a thousand objects of twelve bytes cost more than all other work on them."""

from collections.abc import Iterable, Iterator, Sequence

from brandpulse.schema.identity import DIGEST_BYTES
from stream_workers.decoding.lazy_sequence import LazySequence


class PackedIds(LazySequence[bytes]):
    """Digests of (source, id), in order."""

    __slots__ = ("_packed",)

    def __init__(self, packed: bytes | bytearray = b"") -> None:
        self._packed = bytearray(packed)

    @property
    def packed(self) -> bytes:
        return bytes(self._packed)

    def append(self, digest: bytes) -> None:
        self._packed += digest

    def extend(self, digests: "PackedIds") -> None:
        self._packed += digests._packed

    def subrange(self, start: int, end: int) -> "PackedIds":
        return PackedIds(self._packed[start * DIGEST_BYTES : end * DIGEST_BYTES])

    def __len__(self) -> int:
        return len(self._packed) // DIGEST_BYTES

    def _make(self, at: int) -> bytes:
        start = at * DIGEST_BYTES
        return bytes(self._packed[start : start + DIGEST_BYTES])

    def __iter__(self) -> Iterator[bytes]:
        pack = self.packed
        return (pack[at : at + DIGEST_BYTES] for at in range(0, len(pack), DIGEST_BYTES))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and not isinstance(other, bytes) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"PackedIds({list(self)!r})"


def pack(digests: Iterable[bytes]) -> bytes:
    """*digests*, concatenated."""
    return digests.packed if isinstance(digests, PackedIds) else b"".join(digests)

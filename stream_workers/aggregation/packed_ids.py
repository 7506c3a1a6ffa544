"""Ids of posts, one behind the other: a thousand objects of twelve bytes cost more than all that is done with them."""

from collections.abc import Iterable, Iterator, Sequence

from stream_workers.decoding.lazy_sequence import OnDemand
from stream_workers.decoding.post_decoder import DIGEST_BYTES


class Ids(OnDemand[bytes]):
    """Digests of (source, id), in order."""

    __slots__ = ("_packed",)

    def __init__(self, packed: bytes | bytearray = b"") -> None:
        self._packed = bytearray(packed)

    @property
    def packed(self) -> bytes:
        return bytes(self._packed)

    def append(self, digest: bytes) -> None:
        self._packed += digest

    def extend(self, digests: "Ids") -> None:
        self._packed += digests._packed

    def between(self, begin: int, end: int) -> "Ids":
        return Ids(self._packed[begin * DIGEST_BYTES : end * DIGEST_BYTES])

    def __len__(self) -> int:
        return len(self._packed) // DIGEST_BYTES

    def _make(self, at: int) -> bytes:
        place = at * DIGEST_BYTES
        return bytes(self._packed[place : place + DIGEST_BYTES])

    def __iter__(self) -> Iterator[bytes]:
        packed = self.packed
        return (packed[at : at + DIGEST_BYTES] for at in range(0, len(packed), DIGEST_BYTES))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and not isinstance(other, bytes) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"Ids({list(self)!r})"


def packed(digests: Iterable[bytes]) -> bytes:
    """*digests* in one piece."""
    return digests.packed if isinstance(digests, Ids) else b"".join(digests)

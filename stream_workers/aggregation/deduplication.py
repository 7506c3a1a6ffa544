"""The repeat memory of one partition: which (source, id) were counted lately. Pure.

Ids lie in generations, sets that are begun and forgotten one after the other as the partition's clock moves. Every
verdict depends only on the posts before it, not on where a batch was cut: a batch read again after a crash is cut anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from brandpulse.state.partition_state import Generation
from stream_workers.aggregation.packed_ids import Ids


@dataclass(frozen=True, slots=True)
class RepeatLimits:
    """How long (event time) and how much the memory of a partition holds."""

    memory_ms: int
    max_ids: int
    generations: int = 4


@dataclass(slots=True)
class _Growing:
    """A `Generation` while posts are added: a frozen one made anew for each cost more than the memory itself."""

    number: int
    began_ms: int
    size: int


class RepeatMemory:
    """Folds a batch's posts into the generations, one post at a time."""

    def __init__(self, generations: tuple[Generation, ...], found: Mapping[bytes, int], limits: RepeatLimits) -> None:
        self._generations = [_Growing(one.number, one.began_ms, one.size) for one in generations]
        self._where = dict(found)
        """Digest -> number of the newest generation that holds it."""
        self._limits = limits
        self.added: dict[int, Ids] = {}
        """New digests by generation, for the store."""
        self.dropped: list[int] = []

    @property
    def generations(self) -> tuple[Generation, ...]:
        return tuple(Generation(one.number, one.began_ms, one.size) for one in self._generations)

    def holds(self, digest: bytes) -> bool:
        number = self._where.get(digest)
        return number is not None and bool(self._generations) and number >= self._generations[0].number

    def add(self, digest: bytes, clock_ms: int) -> None:
        """Remember *digest*; *clock_ms* is the partition's clock after its post."""
        limits = self._limits
        newest = self._generations[-1] if self._generations else None
        if (
            newest is None
            or clock_ms - newest.began_ms >= limits.memory_ms // limits.generations
            or newest.size >= limits.max_ids // limits.generations
        ):
            newest = _Growing(newest.number + 1 if newest else 0, clock_ms, 1)
            self._generations.append(newest)
            self._forget(clock_ms)
        else:
            newest.size += 1
        self._where[digest] = newest.number
        self.added.setdefault(newest.number, Ids()).append(digest)

    def add_new(self, digests: Ids, clocks_ms: npt.NDArray[np.int64]) -> None:
        """`add` of each of *digests*, no two of which are the same and none of which is held; `holds` does not learn.

        *clocks_ms*: the partition's clock after each post; it never goes back.
        """
        span, most = (
            self._limits.memory_ms // self._limits.generations,
            self._limits.max_ids // self._limits.generations,
        )
        at = 0
        while at < len(digests):
            newest = self._generations[-1] if self._generations else None
            if newest is None or newest.size >= most or clocks_ms[at] - newest.began_ms >= span:
                self.add(digests[at], int(clocks_ms[at]))
                at += 1
                continue
            due = int(np.searchsorted(clocks_ms, newest.began_ms + span))
            end = min(len(digests), due, at + most - newest.size)
            newest.size += end - at
            self.added.setdefault(newest.number, Ids()).extend(digests.between(at, end))
            at = end

    def _forget(self, clock_ms: int) -> None:
        # A generation's last ids came just before the next one began.
        while len(self._generations) > 1 and (
            self._generations[1].began_ms < clock_ms - self._limits.memory_ms
            or sum(generation.size for generation in self._generations) > self._limits.max_ids
        ):
            gone = self._generations.pop(0).number
            self.added.pop(gone, None)
            self.dropped.append(gone)

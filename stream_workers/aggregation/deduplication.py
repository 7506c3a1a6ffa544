"""The dedup window of one partition: which (source, id) were counted recently. Pure.

Ids are stored in generations, sets that are started and dropped one after the other as the partition's clock advances.
Every result depends only on earlier posts, not on batch boundaries: after a crash the same posts are batched
differently.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from brandpulse.state.partition_state import Generation
from stream_workers.aggregation.packed_ids import PackedIds


@dataclass(frozen=True, slots=True)
class DedupLimits:
    """The event time that the window of a partition spans, and the ids that it holds at most."""

    memory_ms: int
    max_ids: int
    generations: int = 4


@dataclass(slots=True)
class _MutableGeneration:
    """A `Generation` while posts are added: building a frozen one per post cost more than the window itself."""

    number: int
    began_ms: int
    size: int


class DedupWindow:
    """Adds the posts of a batch to the generations."""

    def __init__(self, generations: tuple[Generation, ...], found: Mapping[bytes, int], limits: DedupLimits) -> None:
        """*found*: digests of the batch that the store holds -> number of the newest generation that holds them."""
        self._generations = [
            _MutableGeneration(generation.number, generation.began_ms, generation.size) for generation in generations
        ]
        self._generation_of = dict(found)
        self._limits = limits
        self.added: dict[int, PackedIds] = {}
        """New digests by generation, for the store."""
        self.dropped: list[int] = []

    @property
    def generations(self) -> tuple[Generation, ...]:
        return tuple(
            Generation(generation.number, generation.began_ms, generation.size) for generation in self._generations
        )

    def contains(self, digest: bytes) -> bool:
        number = self._generation_of.get(digest)
        return number is not None and bool(self._generations) and number >= self._generations[0].number

    def add(self, digest: bytes, clock_ms: int) -> None:
        """Remember *digest*. *clock_ms* is the partition's clock after its post."""
        limits = self._limits
        newest = self._generations[-1] if self._generations else None
        if (
            newest is None
            or clock_ms - newest.began_ms >= limits.memory_ms // limits.generations
            or newest.size >= limits.max_ids // limits.generations
        ):
            newest = _MutableGeneration(newest.number + 1 if newest else 0, clock_ms, 1)
            self._generations.append(newest)
            self._drop_expired(clock_ms)
        else:
            newest.size += 1
        self._generation_of[digest] = newest.number
        self.added.setdefault(newest.number, PackedIds()).append(digest)

    def add_new(self, digests: PackedIds, clocks_ms: npt.NDArray[np.int64]) -> None:
        """`add` each of *digests*. They are distinct and new; `contains` does not find them afterwards.

        *clocks_ms*: the partition's clock after each post, never decreasing.
        """
        span = self._limits.memory_ms // self._limits.generations
        max_size = self._limits.max_ids // self._limits.generations
        at = 0
        while at < len(digests):
            newest = self._generations[-1] if self._generations else None
            if newest is None or newest.size >= max_size or clocks_ms[at] - newest.began_ms >= span:
                self.add(digests[at], int(clocks_ms[at]))
                at += 1
                continue
            due = int(np.searchsorted(clocks_ms, newest.began_ms + span))
            end = min(len(digests), due, at + max_size - newest.size)
            newest.size += end - at
            self.added.setdefault(newest.number, PackedIds()).extend(digests.subrange(at, end))
            at = end

    def _drop_expired(self, clock_ms: int) -> None:
        # The last ids of a generation arrived just before the next generation began.
        while len(self._generations) > 1 and (
            self._generations[1].began_ms < clock_ms - self._limits.memory_ms
            or sum(generation.size for generation in self._generations) > self._limits.max_ids
        ):
            expired = self._generations.pop(0).number
            self.added.pop(expired, None)
            self.dropped.append(expired)

"""Answers from memory which ids of a batch are certainly not in the dedup window.

A worker has seen every id of the generations that it started. A filter per generation reports an id as certainly new or
as possibly known; only the latter is looked up in the store. Without filters the store looks up each id in every
generation, which costs it more than the rest of the batch.

Valid only while no other worker writes: each write stores a random token (`PartitionStatus.writer`). A worker that
finds another token is refused, and discards the filters with the partition.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from brandpulse.state.partition_state import Generation
from stream_workers.aggregation.packed_ids import pack
from stream_workers.aggregation.types import Change


class IdFilter(Protocol):
    """Takes concatenated ids of `brandpulse.schema.identity.DIGEST_BYTES` each."""

    def add(self, ids: bytes) -> None: ...

    def may_contain(self, ids: bytes) -> bytes:
        """One byte for each of *ids*: 0 if it was certainly never added."""
        ...


def native_filter(*, native: bool = True) -> Callable[[], IdFilter] | None:
    """The native filter; None if it is not built or *native* is false. A filter in Python would cost too much.

    Also None if it was built by an older version, with other methods: `make native` builds the one of this version.
    """
    if not native:
        return None
    try:
        from stream_workers._native import IdFilter as NativeIdFilter
    except ImportError:
        return None
    return NativeIdFilter if hasattr(NativeIdFilter, "may_contain") else None


class IdLookup(NamedTuple):
    """Ids to look up in some generations."""

    generations: tuple[Generation, ...]
    digests: Sequence[bytes]


class SeenIdFilter:
    """The filters of one assigned partition. Used by the storing thread only."""

    def __init__(self, new_filter: Callable[[], IdFilter] | None = None) -> None:
        """Without *new_filter*, every id is looked up in the store."""
        self._new_filter = new_filter
        self._filters: dict[int, IdFilter] = {}

    def lookups(self, generations: Sequence[Generation], digests: Sequence[bytes]) -> list[IdLookup]:
        """The lookups that decide which of *digests* are in the window of a partition with these *generations*."""
        unfiltered = tuple(generation for generation in generations if generation.number not in self._filters)
        lookups = [IdLookup(unfiltered, digests)] if unfiltered else []
        ids = pack(digests) if self._filters else b""
        for generation in generations:
            if (id_filter := self._filters.get(generation.number)) is None:
                continue
            if possible := np.flatnonzero(np.frombuffer(id_filter.may_contain(ids), np.uint8)).tolist():
                lookups.append(IdLookup((generation,), [digests[at] for at in possible]))
        return lookups

    def add_applied(self, before: Sequence[Generation], change: Change) -> None:
        """*change* was applied to a partition that had the generations *before*."""
        if self._new_filter is None:
            return
        started = change.new_ids.keys() - {generation.number for generation in before}
        for number, digests in change.new_ids.items():
            if number in started:
                self._filters[number] = self._new_filter()
            if (id_filter := self._filters.get(number)) is not None:
                id_filter.add(pack(digests))
        current = {generation.number for generation in change.status.generations}
        for number in self._filters.keys() - current:
            del self._filters[number]

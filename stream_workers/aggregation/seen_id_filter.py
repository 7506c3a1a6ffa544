"""What one holder of a partition knows of its repeat memory without asking the store.

Of the generations that it began itself it has seen every id. A filter a generation says of an id that it is surely
new, or that it may be known; only the latter is asked. Without this the store looks up each id of a post in every
generation, which costs it more than all the rest of a batch.

Sound only while nobody else writes: each write leaves its holder's word in the state (`PartitionStatus.writer`), and a
holder that finds another's is refused, and forgotten with all that it knew.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from brandpulse.state.partition_state import Generation
from stream_workers.aggregation.packed_ids import packed
from stream_workers.aggregation.row_fold import Change


class IdFilter(Protocol):
    """Ids one behind the other, `decode.DIGEST_BYTES` each."""

    def add(self, ids: bytes) -> None: ...

    def may_hold(self, ids: bytes) -> bytes:
        """A byte for each of *ids*: 0 where it was never added, for certain."""
        ...


def native_filter(*, native: bool = True) -> Callable[[], IdFilter] | None:
    """A filter in native code; None where there is none or none is wanted: one in Python costs more than it spares."""
    if not native:
        return None
    try:
        from stream_workers._native import IdFilter as NativeIdFilter
    except ImportError:
        return None
    return NativeIdFilter


class Question(NamedTuple):
    """Ids to look up in some generations."""

    generations: tuple[Generation, ...]
    digests: Sequence[bytes]


class KnownIds:
    """Of one holder; the settling thread's."""

    def __init__(self, new_filter: Callable[[], IdFilter] | None = None) -> None:
        """Without *new_filter* it knows nothing, and all is asked."""
        self._new_filter = new_filter
        self._filters: dict[int, IdFilter] = {}

    def questions(self, generations: Sequence[Generation], digests: Sequence[bytes]) -> list[Question]:
        """What must be asked to know which of *digests* a partition with these *generations* remembers."""
        foreign = tuple(one for one in generations if one.number not in self._filters)
        asked = [Question(foreign, digests)] if foreign else []
        ids = packed(digests) if self._filters else b""
        for one in generations:
            if (own := self._filters.get(one.number)) is None:
                continue
            if doubted := np.flatnonzero(np.frombuffer(own.may_hold(ids), np.uint8)).tolist():
                asked.append(Question((one,), [digests[place] for place in doubted]))
        return asked

    def take(self, before: Sequence[Generation], change: Change) -> None:
        """*change* was applied; *before* it the partition had these generations."""
        if self._new_filter is None:
            return
        begun = change.new_ids.keys() - {one.number for one in before}
        for number, digests in change.new_ids.items():
            if number in begun:
                self._filters[number] = self._new_filter()
            if (own := self._filters.get(number)) is not None:
                own.add(packed(digests))
        kept = {one.number for one in change.status.generations}
        for number in self._filters.keys() - kept:
            del self._filters[number]

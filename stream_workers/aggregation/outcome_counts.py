"""Counts what became of a batch's posts, by source, as `brandpulse.state.outcomes.post_outcomes` keeps it: row by row, or by columns. Pure.

A post belongs to the newest period that its partition's record times have reached, so nothing depends on where a batch
was cut.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from brandpulse.state.outcomes.post_outcomes import (
    FIRST_PLAUSIBLE_MS,
    LAST_PLAUSIBLE_MS,
    NO_OFFSET,
    OFFSET_EDGES,
    PERIOD_MS,
    Added,
    OutcomeKey,
    period_after,
)
from stream_workers.decoding.records import Integers

_EDGES = np.array(OFFSET_EDGES, np.int64)
_OFFSETS = len(OFFSET_EDGES) + 2
"""Offsets' numbers and `NO_OFFSET`."""


class OutcomeCounter:
    """Row by row."""

    def __init__(self, newest: int) -> None:
        """*newest*: the newest period before the batch."""
        self._newest = newest
        self.added: dict[int, dict[OutcomeKey, int]] = {}

    def moved(self, record_ms: int) -> None:
        """The next record; each is named once, before its outcome."""
        self._newest = period_after(self._newest, record_ms)

    def add(self, source: str, outcome: str, offset: int = NO_OFFSET) -> None:
        cells = self.added.setdefault(self._newest, {})
        cells[source, outcome, offset] = cells.get((source, outcome, offset), 0) + 1


def periods_of(newest: int, record_ms: Integers) -> Integers:
    """(n,): the newest period after each record."""
    plausible = (record_ms >= FIRST_PLAUSIBLE_MS) & (record_ms < LAST_PLAUSIBLE_MS)
    return np.maximum.accumulate(np.maximum(np.where(plausible, record_ms // PERIOD_MS, 0), newest))


def offsets_of(event_ms: Integers, record_ms: Integers) -> Integers:
    """(n,): as `offset_number`."""
    return np.where(record_ms < 0, NO_OFFSET, np.searchsorted(_EDGES, event_ms - record_ms, side="right"))


OutcomeRows = tuple[Integers, npt.NDArray[np.intp], npt.NDArray[np.intp], Integers | None]
"""(period, number of the source, number of the outcome, offset) by rows; offset None: `NO_OFFSET`."""


def count_columns(
    parts: Sequence[OutcomeRows],
    sources: Sequence[str],
    post_outcomes: Sequence[str],
) -> Added:
    """What rows add. *sources* and *post_outcomes*: the names behind the numbers."""
    added: dict[int, dict[OutcomeKey, int]] = {}
    for periods, source, outcome, offset in parts:
        if not len(periods):
            continue
        first = int(periods[0])
        numbers = ((periods - first) * len(sources) + source) * len(post_outcomes) + outcome
        numbers = numbers * _OFFSETS + (0 if offset is None else offset + 1)
        found, counts = np.unique(numbers, return_counts=True)
        for number, posts in zip(found.tolist(), counts.tolist(), strict=True):
            place, at_offset = divmod(number, _OFFSETS)
            place, at_outcome = divmod(place, len(post_outcomes))
            period, at_source = divmod(place, len(sources))
            met = sources[at_source], post_outcomes[at_outcome], at_offset - 1
            cells = added.setdefault(first + period, {})
            cells[met] = cells.get(met, 0) + posts
    return added

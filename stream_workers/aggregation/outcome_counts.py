"""Counts the outcomes of a batch's posts by source, as `brandpulse.state.outcomes.post_outcomes` stores them. Pure.

A post belongs to the newest period that the record times of its partition have reached, so batch boundaries change
nothing. `OutcomeCounter` counts row by row, `count_columns` by columns.
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
"""Number of offset classes, `NO_OFFSET` included."""


class OutcomeCounter:
    """Counts row by row."""

    def __init__(self, newest: int) -> None:
        """*newest*: the newest period before the batch."""
        self._newest = newest
        self._record_ms = -1
        self.added: dict[int, dict[OutcomeKey, int]] = {}

    def advance(self, record_ms: int) -> None:
        """Move to the next record. Called once for each record, before its outcome is added."""
        self._record_ms = record_ms

    def add(self, source: str, outcome: str, offset: int = NO_OFFSET) -> None:
        # Only a record with an outcome starts a period: the store does not remember one without, and batch boundaries
        # would change the counts.
        self._newest = period_after(self._newest, self._record_ms)
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
"""(period, source number, outcome number, offset class) of each row; offset None: `NO_OFFSET`."""


def count_columns(
    parts: Sequence[OutcomeRows],
    sources: Sequence[str],
    post_outcomes: Sequence[str],
) -> Added:
    """The counts of all rows of *parts*. *sources* and *post_outcomes*: the names of the numbers."""
    added: dict[int, dict[OutcomeKey, int]] = {}
    for periods, source, outcome, offset in parts:
        if not len(periods):
            continue
        first = int(periods[0])
        numbers = ((periods - first) * len(sources) + source) * len(post_outcomes) + outcome
        numbers = numbers * _OFFSETS + (0 if offset is None else offset + 1)
        found, counts = np.unique(numbers, return_counts=True)
        for number, posts in zip(found.tolist(), counts.tolist(), strict=True):
            rest, offset_class = divmod(number, _OFFSETS)
            rest, outcome_number = divmod(rest, len(post_outcomes))
            period, source_number = divmod(rest, len(sources))
            key = sources[source_number], post_outcomes[outcome_number], offset_class - 1
            cells = added.setdefault(first + period, {})
            cells[key] = cells.get(key, 0) + posts
    return added

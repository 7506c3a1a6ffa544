"""The newest minutes of all brands, cached in memory: each is read once, although three hours of windows use it.

Minutes below the watermark are final except for late posts, which never page. So an evaluation reads only new minutes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from datasketches import hll_union, tgt_hll_type

from brandpulse.state.author_sketches import LG_K, Authors
from brandpulse.state.pane_reader import Minutes
from brandpulse.state.panes import Pane


class MinuteSource(Protocol):
    """The part of PaneReader that is needed here."""

    def minutes(
        self, brands: Sequence[str], first_minute: int, last_minute: int, *, authors: bool = False
    ) -> dict[str, Minutes]: ...


class MinuteCache:
    """A rolling range of minutes by brand."""

    def __init__(self, source: MinuteSource) -> None:
        self._source = source
        self._panes: dict[str, dict[int, Pane]] = {}
        self._authors: dict[str, dict[int, Sequence[Authors]]] = {}
        self._first = 0
        self._last = -1
        """First and last cached minute, both included."""

    def read(self, brands: Sequence[str], first_minute: int, last_minute: int) -> dict[str, Minutes]:
        """The minutes from first to last, both included. Later calls must not go back."""
        if first_minute < self._first or first_minute > self._last:
            self._panes.clear()
            self._authors.clear()
        new = [brand for brand in brands if brand not in self._panes]
        known = [brand for brand in brands if brand in self._panes]
        self._add(new, first_minute, last_minute)
        self._add(known, self._last + 1, last_minute)
        for panes in self._panes.values():
            _forget_before(first_minute, panes)
        for authors in self._authors.values():
            _forget_before(first_minute, authors)
        self._first, self._last = first_minute, last_minute
        return {brand: Minutes(self._panes[brand], self._authors[brand]) for brand in brands}

    def _add(self, brands: Sequence[str], first_minute: int, last_minute: int) -> None:
        if not brands or first_minute > last_minute:
            return
        for brand, minutes in self._source.minutes(brands, first_minute, last_minute, authors=True).items():
            self._panes.setdefault(brand, {}).update(minutes.panes)
            self._authors.setdefault(brand, {}).update(
                (minute, [_merged(sketches)]) for minute, sketches in minutes.authors.items()
            )


def _merged(sketches: Sequence[Authors]) -> Authors:
    """One sketch for all partitions, so that windows need not merge them again."""
    if len(sketches) == 1:
        return sketches[0]
    everyone, negative = hll_union(LG_K), hll_union(LG_K)
    for authors in sketches:
        everyone.update(authors.everyone)
        negative.update(authors.negative)
    return Authors(everyone.get_result(tgt_hll_type.HLL_8), negative.get_result(tgt_hll_type.HLL_8))


def _forget_before(first_minute: int, minutes: dict[int, Any]) -> None:
    for minute in [minute for minute in minutes if minute < first_minute]:
        del minutes[minute]


def alive_at(read: Mapping[str, Minutes], minutes: Sequence[int], width: int) -> list[bool]:
    """Whether any brand had a post in the *width* minutes up to each minute."""
    busy = {minute for one in read.values() for minute, pane in one.panes.items() if pane.posts}
    alive, last, cursor = [], -(2**53), minutes[0] - width + 1
    for minute in minutes:
        while cursor <= minute:
            if cursor in busy:
                last = cursor
            cursor += 1
        alive.append(minute - last < width)
    return alive

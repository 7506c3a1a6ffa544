"""Finds copies of a text among recent ones: texts that share 90 % of their letters, or of their words, in order.

Three steps, each cheaper than the next: equal letters; MinHash signatures over sequences of five letters (Broder 1997),
which find candidates without a comparison of each pair; the edit distance of the candidates, which decides. The window
has a fixed number of texts, so memory is bounded. Results depend only on the order of the texts: the hash functions are
constants. Texts come as `near_duplicates.normal_words` returns them.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

LEAST_LETTERS = 30
"""Shorter texts are copies only if they are equal: in a few words, one word is the difference."""
LEAST_SIMILAR = 0.895
"""Smallest part of the letters, or of the words, that two copies share: 90 % rounded down."""
MOST_LETTERS = 500
"""Compared letters of a text: stored texts are cut off, and 500 letters distinguish long ones."""
SEQUENCE_LETTERS = 5
HASHES = 96
BAND = 2
"""Hashes that must agree in one band. Texts that share a quarter of their sequences are candidates in 95 % of cases,
texts that share a fiftieth in 2 %."""
LEAST_AGREEING = 10
"""Hashes of `HASHES` that agree for an edit distance to be worth its cost: 10 % of the sequences."""
CACHED_TEXTS = 8_192
"""Texts whose sketches are cached: about 16 megabytes."""
MAX_TEXTS = 5_000
"""Texts of one window: about eight megabytes."""

Signature = npt.NDArray[np.uint32]
_RANDOM = np.random.Generator(np.random.PCG64(20_260_821))
_MULTIPLIERS = _RANDOM.integers(1, 2**63, HASHES, dtype=np.uint64)[:, None] | np.uint64(1)
_ADDENDS = _RANDOM.integers(0, 2**63, HASHES, dtype=np.uint64)[:, None]
_OF_LETTER = np.array([np.uint64(pow(0x9E3779B97F4A7C15, power + 1, 2**64)) for power in range(SEQUENCE_LETTERS)])
_UPPER_HALF = np.uint64(32)
_PLACE_OF_BAND = 2 * _RANDOM.integers(0, 2**62, HASHES // BAND, dtype=np.uint64) + np.uint64(1)
"""Makes equal hashes in different bands different numbers."""


def signature(form: str) -> Signature:
    """(HASHES,): the smallest hash of the letter sequences of *form*, for each hash function.

    The part of equal hashes estimates the part of sequences that two texts share. *form* has at least five letters.
    """
    letters = np.frombuffer(form.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    sequences = np.lib.stride_tricks.sliding_window_view(letters, SEQUENCE_LETTERS) @ _OF_LETTER
    hashed = (np.unique(sequences) * _MULTIPLIERS + _ADDENDS) >> _UPPER_HALF
    smallest: Signature = hashed.min(axis=1).astype(np.uint32)
    return smallest


def edit_distance(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Letters, or words, to insert, delete or replace until *one* is *other*.

    Myers 1999, in Hyyrö's form: one step for each of *other*, whatever the length of *one*.
    """
    if not one:
        return len(other)
    places: dict[Hashable, int] = {}
    for place, letter in enumerate(one):
        places[letter] = places.get(letter, 0) | 1 << place
    last, everywhere = 1 << len(one) - 1, (1 << len(one)) - 1
    more, less, distance = everywhere, 0, len(one)
    for letter in other:
        equal = places.get(letter, 0)
        vertical = equal | less
        horizontal = (((equal & more) + more) ^ more) | equal
        rises = less | ~(horizontal | more)
        falls = more & horizontal
        distance += bool(rises & last) - bool(falls & last)
        rises = rises << 1 | 1
        more = (falls << 1 | ~(vertical | rises)) & everywhere
        less = rises & vertical & everywhere
    return distance


def similarity(one: Sequence[str], other: Sequence[str]) -> float:
    """The part of the words, or of the letters if that is larger, that need no edit, in [0, 1]."""
    of_words = _unedited(one, other)
    return of_words if of_words >= LEAST_SIMILAR else max(of_words, _unedited(_letters(one), _letters(other)))


def _unedited(one: Sequence[Hashable], other: Sequence[Hashable]) -> float:
    longest, shortest = max(len(one), len(other)), min(len(one), len(other))
    if shortest < LEAST_SIMILAR * longest:
        return 0.0
    return 1 - edit_distance(one, other) / longest if longest else 1.0


def _letters(words: Sequence[str]) -> str:
    return "".join(words)[:MOST_LETTERS]


class _Sketch(NamedTuple):
    """What near copies of a text are found by."""

    signature: Signature
    bands: tuple[int, ...]
    """One number for each `BAND` hashes. Two texts with an equal one are candidates."""


@lru_cache(maxsize=CACHED_TEXTS)
def _sketch(letters: str) -> _Sketch:
    """The same texts come again with each minute of a window."""
    own = signature(letters)
    pairs = own.view(np.uint64) * _PLACE_OF_BAND + _PLACE_OF_BAND
    return _Sketch(own, tuple(pairs.tolist()))


class _First(NamedTuple):
    """The first text of a group."""

    letters: str
    words: Sequence[str]
    sketch: _Sketch | None
    """None: too short for near copies."""


class CopyIndex:
    """The texts of a window and their groups. A group is named by its first text: every other is compared with that
    one, so a chain of small changes does not join two different texts."""

    def __init__(self, max_texts: int = MAX_TEXTS) -> None:
        """*max_texts*: different texts in the window. Beyond them the oldest is forgotten."""
        self._max_texts = max_texts
        self._group_of: OrderedDict[str, int] = OrderedDict()
        """Letters of a text -> group, the oldest first."""
        self._first: dict[int, _First] = {}
        self._bands: dict[int, list[int]] = {}
        self._next = 0

    def __len__(self) -> int:
        """Number of different texts in the window."""
        return len(self._group_of)

    def find(self, words: Sequence[str]) -> int | None:
        """The group that a text would join; None: it is a copy of no text in the window."""
        letters = _letters(words)
        if (known := self._group_of.get(letters)) is not None:
            return known
        return None if len(letters) < LEAST_LETTERS else self._closest(words, _sketch(letters))

    def add(self, words: Sequence[str]) -> int:
        """The group of a text, which is part of the window from now on."""
        letters = _letters(words)
        if (known := self._group_of.get(letters)) is not None:
            return known
        own = None if len(letters) < LEAST_LETTERS else _sketch(letters)
        group = None if own is None else self._closest(words, own)
        if group is None:
            group = self._next
            self._next += 1
            self._first[group] = _First(letters, words, own)
            for band in () if own is None else own.bands:
                self._bands.setdefault(band, []).append(group)
        self._group_of[letters] = group
        if len(self._group_of) > self._max_texts:
            self._forget_oldest()
        return group

    def _closest(self, words: Sequence[str], own: _Sketch) -> int | None:
        """The group whose first text is a near copy; of several, the one with most equal hashes."""
        lists = filter(None, map(self._bands.get, own.bands))
        candidates = set(chain.from_iterable(lists))
        for number, group in sorted((-self._agreeing(group, own), group) for group in candidates):
            if -number < LEAST_AGREEING:
                return None
            if similarity(self._first[group].words, words) >= LEAST_SIMILAR:
                return group
        return None

    def _agreeing(self, group: int, own: _Sketch) -> int:
        other = self._first[group].sketch
        return 0 if other is None else int(np.count_nonzero(other.signature == own.signature))

    def _forget_oldest(self) -> None:
        letters, group = self._group_of.popitem(last=False)
        first = self._first.get(group)
        if first is None or first.letters != letters:
            return
        # A later copy begins a group of its own: without its first text, a group accepts no more texts.
        del self._first[group]
        for band in () if first.sketch is None else first.sketch.bands:
            groups = [one for one in self._bands[band] if one != group]
            if groups:
                self._bands[band] = groups
            else:
                del self._bands[band]

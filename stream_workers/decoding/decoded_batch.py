"""What each record of a partition's batch says, by columns: how the lane carries posts from decoding to folding.

A whole batch is read at once, in native code where that is built (`native/`), else here. A row may be left to this file
by native code, which takes on only what it is certain to read as Python would; so both tell the same of every record.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from brandpulse.errors import InvalidPostError
from brandpulse.schema.posts import WirePost
from brandpulse.schema.unknown_authors import PREFIX, TRIMMED, UNKNOWN, is_unknown
from brandpulse.state.outcomes.post_outcomes import NO_SOURCE
from brandpulse.text.brand_matcher import NO_FACETS, BrandMatcher
from stream_workers.decoding.post_decoder import (
    DIGEST_BYTES,
    AuthorHasher,
    Dead,
    event_ms_of,
    post_digest,
    post_of,
    source_in,
)
from stream_workers.decoding.records import Integers, Records

log = logging.getLogger(__name__)

KNOWN_MEANINGS = 10_000
"""Sets of words met lately whose brands are remembered."""


class Meaning(NamedTuple):
    """What the words that stand in a text say."""

    brands: tuple[str, ...]
    """In the order of the brands file, each once."""
    worded: frozenset[int]
    """Facets of which it has a word, by their numbers."""


NOTHING = Meaning((), NO_FACETS)
UNKNOWN_AUTHOR_STATE = 2
"""As native code says it of a row that is read."""


class Rows:
    """n records by columns, in offset order. What is not said of a dead one is zero."""

    __slots__ = (
        "_posts",
        "authors",
        "dead",
        "digests",
        "event_ms",
        "meanings",
        "near_misses",
        "records",
        "source_names",
        "sources",
        "unknown",
        "unread",
        "which",
    )

    def __init__(  # noqa: PLR0917 - columns, each named where it is kept
        self,
        records: Records,
        event_ms: Integers,
        authors: Integers,
        digests: npt.NDArray[np.uint8],
        which: npt.NDArray[np.intp],
        meanings: Sequence[Meaning],
        dead: Mapping[int, Dead],
        posts: Mapping[int, WirePost],
        sources: npt.NDArray[np.intp],
        source_names: Sequence[str],
        unknown: npt.NDArray[np.bool_],
    ) -> None:
        self.records = records
        self.event_ms = event_ms
        """(n,)"""
        self.authors = authors
        """(n,): keyed hashes; only of rows that name a brand."""
        self.digests = digests
        """(n, 12): of (source, id), for the repeat memory; only of rows that name a brand."""
        self.which = which
        """(n,): number of its meaning in `meanings`."""
        self.meanings = meanings
        """The first is `NOTHING`."""
        self.dead = dict(dead)
        """Row -> why it is no post."""
        self._posts = dict(posts)
        self.sources = sources
        """(n,): number of its source in `source_names`, also of a dead row."""
        self.source_names = source_names
        """The first is `NO_SOURCE`."""
        self.unknown = unknown
        """(n,): whether its author is unknown (`brandpulse.schema.unknown_authors`); only of rows that name a brand."""
        self.unread = np.zeros(len(records), np.bool_)
        """(n,): whether it names a brand in a language that the model does not read. Such a row has no meaning."""
        self.near_misses: Mapping[str, int] = {}
        """Words near a brand's in a sample of the rows that name none -> rows."""

    def __len__(self) -> int:
        return len(self.records)

    @property
    def named(self) -> npt.NDArray[np.intp]:
        """The rows that name a brand, in order."""
        names = np.array([bool(meaning.brands) for meaning in self.meanings])
        return np.flatnonzero(names[self.which])

    def meaning(self, row: int) -> Meaning:
        return self.meanings[int(self.which[row])]

    def digest(self, row: int) -> bytes:
        return bytes(self.digests[row])

    def post(self, row: int) -> WirePost:
        """Decoded when it is first asked for: most are counted and never looked at. Not of a dead row."""
        if (post := self._posts.get(row)) is None:
            post = self._posts[row] = post_of(self.records.values[row])
        return post

    def keep(self, row: int, post: WirePost) -> None:
        """*post* is what `post(row)` will say: it need not be decoded twice."""
        self._posts[row] = post

    def bury(self, row: int, reason: str, message: str) -> None:
        """*row* is no post that can be counted."""
        self.dead[row] = Dead(self.records[row], reason, message, self.source_names[self.sources[row]])
        self.which[row] = 0

    def leave_unread(self, row: int) -> None:
        """The model does not read the language of *row*: it is counted apart, and counts for no brand."""
        self.unread[row] = True
        self.which[row] = 0

    def only(self, wanted: Callable[[int], bool]) -> "Rows":
        """The rows whose event time is *wanted*, and the dead ones."""
        kept = [row for row, at in enumerate(self.event_ms.tolist()) if row in self.dead or wanted(at)]
        return self if len(kept) == len(self) else self._at(kept)

    def _at(self, kept: Sequence[int]) -> "Rows":
        chosen = np.fromiter(kept, np.intp)
        return Rows(
            self.records.at(chosen),
            self.event_ms[chosen],
            self.authors[chosen],
            self.digests[chosen],
            self.which[chosen],
            self.meanings,
            {new: self.dead[old] for new, old in enumerate(kept) if old in self.dead},
            {new: self._posts[old] for new, old in enumerate(kept) if old in self._posts},
            self.sources[chosen],
            self.source_names,
            self.unknown[chosen],
        )

    @classmethod
    def joined(cls, parts: Sequence["Rows"]) -> "Rows":
        """*parts*, each of which follows on the one before, as one."""
        at = list(accumulate(map(len, parts), initial=0))
        meanings_at = list(accumulate((len(part.meanings) for part in parts), initial=0))
        sources_at = list(accumulate((len(part.source_names) for part in parts), initial=0))
        whole = cls(
            Records.joined([part.records for part in parts]),
            np.concatenate([part.event_ms for part in parts]),
            np.concatenate([part.authors for part in parts]),
            np.concatenate([part.digests for part in parts]),
            np.concatenate([part.which + first for part, first in zip(parts, meanings_at, strict=False)]),
            [meaning for part in parts for meaning in part.meanings],
            {row + first: letter for part, first in zip(parts, at, strict=False) for row, letter in part.dead.items()},
            {row + first: post for part, first in zip(parts, at, strict=False) for row, post in part._posts.items()},
            np.concatenate([part.sources + first for part, first in zip(parts, sources_at, strict=False)]),
            [name for part in parts for name in part.source_names],
            np.concatenate([part.unknown for part in parts]),
        )
        whole.unread = np.concatenate([part.unread for part in parts])
        whole.near_misses = sum((Counter(part.near_misses) for part in parts), Counter())
        return whole


class RowReader(Protocol):
    """Reads the records of one partition; called from one thread."""

    def read(self, records: Records) -> Rows: ...


class PythonRowReader:
    """Record by record: the reference."""

    def __init__(self, matcher: BrandMatcher, author_hash: AuthorHasher) -> None:
        self._matcher = matcher
        self._author_hash = author_hash

    def read(self, records: Records) -> Rows:
        n = len(records)
        rows = Rows(
            records,
            np.zeros(n, np.int64),
            np.zeros(n, np.int64),
            np.zeros((n, DIGEST_BYTES), np.uint8),
            np.zeros(n, np.intp),
            [NOTHING],
            {},
            {},
            np.zeros(n, np.intp),
            [NO_SOURCE],
            np.zeros(n, np.bool_),
        )
        self.fill(rows, range(n))
        return rows

    def fill(self, rows: Rows, wanted: Collection[int]) -> None:
        """What the *wanted* ones of *rows* say, which are empty so far."""
        meanings = list(rows.meanings)
        numbers = {meaning: number for number, meaning in enumerate(meanings)}
        names = list(rows.source_names)
        sources = {name: number for number, name in enumerate(names)}
        rows.source_names = names

        def number_of(source: str) -> int:
            if source not in sources:
                sources[source] = len(names)
                names.append(source)
            return sources[source]

        for row in wanted:
            try:
                post = post_of(rows.records.values[row])
            except InvalidPostError as error:
                rows.sources[row] = number_of(source_in(rows.records.values[row]))
                rows.bury(row, error.reason, str(error))
                continue
            rows.event_ms[row] = event_ms_of(post)
            rows.sources[row] = number_of(post.source)
            try:
                meaning = Meaning(*self._matcher.look(post.text))
            except Exception as error:
                # Catches everything: what nobody foresaw in a text is its end, not the worker's.
                rows.bury(row, "unmatchable", f"{type(error).__name__}: {error}")
                continue
            if not meaning.brands:
                continue
            if meaning not in numbers:
                numbers[meaning] = len(meanings)
                meanings.append(meaning)
            rows.keep(row, post)
            rows.which[row] = numbers[meaning]
            if is_unknown(post.author_id):
                rows.unknown[row] = True
                rows.authors[row] = self._author_hash.of_post(post.source, post.id)
            else:
                rows.authors[row] = self._author_hash(post.source, post.author_id)
            rows.digests[row] = np.frombuffer(post_digest(post.source, post.id), np.uint8)
        rows.meanings = meanings


class NativeRowReader:
    """A batch at a time in native code, which works while other threads run Python; the rows it leaves go to Python."""

    def __init__(self, matcher: BrandMatcher, author_hash: AuthorHasher) -> None:
        """Raises ImportError where the native module is not built."""
        from stream_workers._native import RowReader as Native

        self._native = Native(
            matcher.patterns, matcher.kinds, matcher.plain, author_hash.key, sorted(UNKNOWN), TRIMMED, PREFIX
        )
        self._python = PythonRowReader(matcher, author_hash)
        self._matcher = matcher
        self._known: dict[tuple[int, ...], Meaning] = {}

    def read(self, records: Records) -> Rows:
        try:
            status, event_ms, authors, digests, words, sets, sources, names = self._native.read(records.values)
        except RuntimeError:
            # A bug of ours, in what strangers wrote: else it would end one worker after the other on the same batch.
            log.exception(
                "native code breaks on a batch, Python reads it", extra={"first_offset": int(records.offsets[0])}
            )
            return self._python.read(records)
        meanings, number_of = self._meanings(sets)
        states = np.frombuffer(status, np.uint8)
        rows = Rows(
            records,
            np.frombuffer(event_ms, np.int64).copy(),
            np.frombuffer(authors, np.int64).copy(),
            np.frombuffer(digests, np.uint8).reshape(-1, DIGEST_BYTES).copy(),
            number_of[np.frombuffer(words, np.uint32)],
            meanings,
            {},
            {},
            np.frombuffer(sources, np.uint32).astype(np.intp),
            names,
            states == UNKNOWN_AUTHOR_STATE,
        )
        if left := np.flatnonzero(states == 0).tolist():
            self._python.fill(rows, left)
        return rows

    def _meanings(self, sets: Sequence[tuple[int, ...]]) -> tuple[list[Meaning], npt.NDArray[np.intp]]:
        """The distinct meanings of *sets* of words, and the number of each set's; who names no brand means nothing."""
        numbers: dict[Meaning, int] = {NOTHING: 0}
        number_of = np.zeros(len(sets), np.intp)
        for at, words in enumerate(sets):
            if (meaning := self._known.get(words)) is None:
                if len(self._known) >= KNOWN_MEANINGS:
                    self._known.clear()
                meaning = self._known[words] = Meaning(*self._matcher.meaning(frozenset(words)))
            number_of[at] = numbers.setdefault(meaning, len(numbers)) if meaning.brands else 0
        return list(numbers), number_of


def row_reader(matcher: BrandMatcher, author_hash: AuthorHasher, *, native: bool = True) -> RowReader:
    """The fastest there is. *native*: whether native code may be used where it is built."""
    if native:
        try:
            return NativeRowReader(matcher, author_hash)
        except ImportError:
            log.info("posts are read in Python: the native module is not built", extra={"remedy": "make native"})
    return PythonRowReader(matcher, author_hash)

"""The decoded records of one partition's batch in columns: how the pipeline carries posts from decoding to folding."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from brandpulse.schema.posts import WirePost
from brandpulse.text.brand_matcher import NO_FACETS
from stream_workers.decoding.post_decoder import DeadRecord, decode_post
from stream_workers.decoding.records import Integers, Records


class TextMatch(NamedTuple):
    """What the keywords of a text match."""

    brands: tuple[str, ...]
    """In the order of the brands file, each once."""
    facets: frozenset[int]
    """Numbers of the facets that have a keyword in the text."""


NO_MATCH = TextMatch((), NO_FACETS)


class DecodedBatch:
    """n records in columns, in offset order. Unset values of a dead row are zero."""

    __slots__ = (
        "_posts",
        "authors",
        "dead",
        "digests",
        "event_ms",
        "language_names",
        "languages",
        "match_numbers",
        "matches",
        "near_misses",
        "records",
        "source_names",
        "sources",
        "unknown_author",
        "unread",
        "unread_matches",
    )

    def __init__(  # noqa: PLR0917 - columns, each named where it is stored
        self,
        records: Records,
        event_ms: Integers,
        authors: Integers,
        digests: npt.NDArray[np.uint8],
        match_numbers: npt.NDArray[np.intp],
        matches: Sequence[TextMatch],
        dead: Mapping[int, DeadRecord],
        posts: Mapping[int, WirePost],
        sources: npt.NDArray[np.intp],
        source_names: Sequence[str],
        unknown_author: npt.NDArray[np.bool_],
    ) -> None:
        self.records = records
        self.event_ms = event_ms
        """(n,)"""
        self.authors = authors
        """(n,): keyed hashes; only of rows that name a brand."""
        self.digests = digests
        """(n, 12): of (source, id), for deduplication; only of rows that name a brand."""
        self.match_numbers = match_numbers
        """(n,): index into `matches`."""
        self.matches = matches
        """The first is `NO_MATCH`."""
        self.dead = dict(dead)
        """Row -> why it is not a post."""
        self._posts = dict(posts)
        self.sources = sources
        """(n,): index into `source_names`, also of a dead row."""
        self.source_names = source_names
        """The first is `NO_SOURCE`."""
        self.unknown_author = unknown_author
        """(n,): whether the author is unknown (`brandpulse.schema.unknown_authors`); only of rows that name a brand."""
        self.unread = np.zeros(len(records), np.bool_)
        """(n,): whether it names a brand in a language that the model does not read. Such a row has `NO_MATCH`."""
        self.unread_matches = np.zeros(len(records), np.intp)
        """(n,): of an unread row, what `match_numbers` was before."""
        self.languages = np.zeros(len(records), np.intp)
        """(n,): index into `language_names`; only of rows that name a brand."""
        self.language_names: Sequence[str] = ()
        """As `brandpulse.text.languages.LanguageIdentifier.names`; empty: languages are not identified."""
        self.near_misses: Mapping[str, int] = {}
        """Near misses of brand keywords in a sample of the unmatched rows -> number of rows."""

    def __len__(self) -> int:
        return len(self.records)

    @property
    def matched(self) -> npt.NDArray[np.intp]:
        """The rows that name a brand, in order."""
        return np.flatnonzero(self._has_brands[self.match_numbers])

    @property
    def unmatched(self) -> npt.NDArray[np.intp]:
        """The rows that name no brand, dead ones included, in order."""
        return np.flatnonzero(~(self._has_brands[self.match_numbers] | self.unread))

    @property
    def _has_brands(self) -> npt.NDArray[np.bool_]:
        return np.array([bool(match.brands) for match in self.matches])

    def match(self, row: int) -> TextMatch:
        return self.matches[int(self.match_numbers[row])]

    def language(self, row: int) -> str:
        """Of a *row* that names a brand; empty if languages are not identified."""
        return self.language_names[int(self.languages[row])] if self.language_names else ""

    def digest(self, row: int) -> bytes:
        return bytes(self.digests[row])

    def post(self, row: int) -> WirePost:
        """The post of *row*, which is not dead. Decoded on first access: most posts are counted and never accessed."""
        if (post := self._posts.get(row)) is None:
            post = self._posts[row] = decode_post(self.records.values[row])
        return post

    def cache_post(self, row: int, post: WirePost) -> None:
        """Store the decoded *post* of *row*, so that `post(row)` does not decode it again."""
        self._posts[row] = post

    def mark_dead(self, row: int, reason: str, message: str) -> None:
        """*row* cannot be counted and becomes a dead letter."""
        self.dead[row] = DeadRecord(self.records[row], reason, message, self.source_names[self.sources[row]])
        self.match_numbers[row] = 0

    def mark_unread(self, row: int) -> None:
        """The model does not read the language of *row*: it is counted as unread, and for no brand."""
        self.unread[row] = True
        self.unread_matches[row] = self.match_numbers[row]
        self.match_numbers[row] = 0

    def filter_by_time(self, wanted: Callable[[int], bool]) -> "DecodedBatch":
        """The rows whose event time is *wanted*, and the dead ones."""
        rows = [row for row, at in enumerate(self.event_ms.tolist()) if row in self.dead or wanted(at)]
        return self if len(rows) == len(self) else self._select(rows)

    def _select(self, rows: Sequence[int]) -> "DecodedBatch":
        chosen = np.fromiter(rows, np.intp)
        return DecodedBatch(
            self.records.select(chosen),
            self.event_ms[chosen],
            self.authors[chosen],
            self.digests[chosen],
            self.match_numbers[chosen],
            self.matches,
            {new: self.dead[old] for new, old in enumerate(rows) if old in self.dead},
            {new: self._posts[old] for new, old in enumerate(rows) if old in self._posts},
            self.sources[chosen],
            self.source_names,
            self.unknown_author[chosen],
        )

    @classmethod
    def concatenate(cls, parts: Sequence["DecodedBatch"]) -> "DecodedBatch":
        """*parts*, which follow each other in the log, as one."""
        first_row = list(accumulate(map(len, parts), initial=0))
        first_match = list(accumulate((len(part.matches) for part in parts), initial=0))
        first_source = list(accumulate((len(part.source_names) for part in parts), initial=0))
        whole = cls(
            Records.concatenate([part.records for part in parts]),
            np.concatenate([part.event_ms for part in parts]),
            np.concatenate([part.authors for part in parts]),
            np.concatenate([part.digests for part in parts]),
            np.concatenate([part.match_numbers + first for part, first in zip(parts, first_match, strict=False)]),
            [match for part in parts for match in part.matches],
            {
                row + first: dead
                for part, first in zip(parts, first_row, strict=False)
                for row, dead in part.dead.items()
            },
            {
                row + first: post
                for part, first in zip(parts, first_row, strict=False)
                for row, post in part._posts.items()
            },
            np.concatenate([part.sources + first for part, first in zip(parts, first_source, strict=False)]),
            [name for part in parts for name in part.source_names],
            np.concatenate([part.unknown_author for part in parts]),
        )
        whole.unread = np.concatenate([part.unread for part in parts])
        whole.unread_matches = np.concatenate(
            [part.unread_matches + first for part, first in zip(parts, first_match, strict=False)]
        )
        whole.languages = np.concatenate([part.languages for part in parts])
        # One pipeline identifies languages in all its batches, or in none.
        whole.language_names = parts[0].language_names
        whole.near_misses = sum((Counter(part.near_misses) for part in parts), Counter())
        return whole

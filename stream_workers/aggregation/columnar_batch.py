"""The scored posts of one partition's batch in columns: what `fold_columns` folds without creating an object per post.

A pair is a row and a series that it counts in: a brand that it names, or one of that brand's facets.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from brandpulse.state.keys import MINUTE_MS
from stream_workers.aggregation.types import HOUR_MINUTES, Cell, Outcome, Scored, Span, Unmatched, build_scored
from stream_workers.decoding.decoded_batch import DecodedBatch
from stream_workers.decoding.lazy_sequence import LazySequence
from stream_workers.decoding.post_decoder import DecodedPost
from stream_workers.decoding.records import Integers
from stream_workers.scoring.facet_matcher import FacetMatcher
from stream_workers.scoring.post_scores import PostScores

Indexes = npt.NDArray[np.intp]
_labels, _micros = attrgetter("labels"), attrgetter("score_micros")


class Pairs(NamedTuple):
    """p pairs, in the order of their rows."""

    row: Indexes
    series: Indexes
    """Index of the series in `ColumnarBatch.series`."""
    label: Integers
    """As `BrandScore.label`."""
    micros: Integers
    """As `BrandScore.score_micros`."""

    @classmethod
    def from_tuples(cls, pairs: Sequence[tuple[int, int, int, int]]) -> "Pairs":
        table = np.array(pairs, np.int64).reshape(-1, 4)
        return cls(table[:, 0], table[:, 1], table[:, 2], table[:, 3])

    def select(self, chosen: npt.NDArray[np.bool_] | Indexes) -> "Pairs":
        return Pairs(self.row[chosen], self.series[chosen], self.label[chosen], self.micros[chosen])

    def concatenated(self, others: "Pairs") -> "Pairs":
        return Pairs(*map(np.concatenate, zip(self, others, strict=True))) if len(others.row) else self


class Cells(NamedTuple):
    """The panes of one span that pairs count in."""

    cells: list[Cell]
    of_pair: Indexes
    """(p,): index of each pair's cell."""

    @classmethod
    def build(cls, span: Span, names: Sequence[str], series: Indexes, bucket: Integers) -> "Cells":
        """*series* and *bucket*: (p,) each."""
        if not len(series):
            return cls([], np.zeros(0, np.intp))
        first = int(bucket.min())
        buckets = int(bucket.max()) - first + 1
        numbers, of_pair = np.unique(series * buckets + (bucket - first), return_inverse=True)
        return cls(
            [Cell(span, names[number // buckets], number % buckets + first) for number in numbers.tolist()], of_pair
        )


class ColumnarBatch:
    """n rows, none of them dead, and the brands and facets that they count for."""

    def __init__(
        self, rows: DecodedBatch, series: Sequence[str], *, brands: Pairs, facets: Pairs, posts: "ScoredPosts"
    ) -> None:
        self.rows = rows
        self.matched = rows.matched
        """The rows that name a brand, in order; the others count as unmatched."""
        self.series = series
        self.brands = brands
        self.facets = facets
        self.pairs = brands.concatenated(facets)
        """Both."""
        self.posts = posts
        """The matched rows as single posts, for code that needs them."""
        minute = rows.event_ms[self.pairs.row] // MINUTE_MS
        self.minutes = Cells.build("minute", series, self.pairs.series, minute)
        self.hours = Cells.build("hour", series, self.pairs.series, minute // HOUR_MINUTES)


class ScoredPosts(LazySequence[Scored]):
    """Matched rows as single posts, each built on access: most are counted and never accessed."""

    def __init__(
        self,
        rows: DecodedBatch,
        scores: Sequence[PostScores],
        mask: Callable[[str], str],
        facets: FacetMatcher | None,
    ) -> None:
        """*scores*: of each matched row, in order."""
        self._rows = rows
        self._matched = rows.matched
        self._scores = scores
        self._mask = mask
        self._facets = facets

    def __len__(self) -> int:
        return len(self._matched)

    def _make(self, at: int) -> Scored:
        rows, row = self._rows, int(self._matched[at])
        brands, facets_with_keyword = rows.match(row)
        return build_scored(
            decoded_post(rows, row),
            brands,
            self._scores[at],
            author=int(rows.authors[row]),
            mask=self._mask,
            facets=self._facets,
            facets_with_keyword=facets_with_keyword,
            digest=rows.digest(row),
            language=rows.language(row),
        )

    def of_row(self, row: int) -> Scored:
        """The matched *row*."""
        return self[int(np.searchsorted(self._matched, row))]


def decoded_post(rows: DecodedBatch, row: int) -> DecodedPost:
    return DecodedPost(rows.records[row], rows.post(row), int(rows.event_ms[row]))


def row_outcomes(rows: DecodedBatch, posts: ScoredPosts) -> list[Outcome]:
    """The outcomes that `fold_rows` takes, row by row."""
    matched = iter(posts)
    has_brands = [bool(match.brands) for match in rows.matches]
    return [
        dead_record
        if (dead_record := rows.dead.get(row)) is not None
        else (next(matched) if has_brands[number] else _unmatched(rows, row))
        for row, number in enumerate(rows.match_numbers.tolist())
    ]


def _unmatched(rows: DecodedBatch, row: int) -> Unmatched:
    unread = bool(rows.unread[row])
    brands = rows.matches[int(rows.unread_matches[row])].brands if unread else ()
    return Unmatched(decoded_post(rows, row), unread, brands)


def build_columnar_batch(
    rows: DecodedBatch, scores: Sequence[PostScores], posts: ScoredPosts, facets: FacetMatcher | None
) -> ColumnarBatch:
    """*rows*, none of them dead, with *scores* of each matched row, in order."""
    matched = rows.matched
    series: dict[str, int] = {}
    numbers = [[series.setdefault(brand, len(series)) for brand in brands] for brands, _ in rows.matches]
    sizes = np.array([len(one) for one in numbers])
    starts = np.cumsum(sizes) - sizes
    match_numbers = rows.match_numbers[matched]
    pair_counts = sizes[match_numbers]
    row = np.repeat(matched, pair_counts)
    position = np.arange(len(row)) - np.repeat(np.cumsum(pair_counts) - pair_counts, pair_counts)
    flat = np.array(list(chain.from_iterable(numbers)), np.intp)
    brands = Pairs(
        row,
        flat[np.repeat(starts[match_numbers], pair_counts) + position],
        np.fromiter(chain.from_iterable(map(_labels, scores)), np.int64),
        np.fromiter(chain.from_iterable(map(_micros, scores)), np.int64),
    )
    if len(brands.label) != len(row):
        raise ValueError(f"the model returned {len(brands.label)} scores for {len(row)} brand mentions")
    facet_pairs = [] if facets is None else _facet_pairs(rows, matched, posts, facets, series)
    return ColumnarBatch(rows, list(series), brands=brands, facets=Pairs.from_tuples(facet_pairs), posts=posts)


def _facet_pairs(
    rows: DecodedBatch, matched: Indexes, posts: ScoredPosts, facets: FacetMatcher, series: dict[str, int]
) -> list[tuple[int, int, int, int]]:
    """If all facets need keywords, a post without any is skipped."""
    has_keyword = [bool(match.facets) for match in rows.matches]
    match_numbers = rows.match_numbers
    return [
        (row, series.setdefault(name, len(series)), score.label, score.score_micros)
        for at, row in enumerate(matched.tolist())
        if has_keyword[match_numbers[row]] or not facets.all_need_keywords
        for name, score in posts[at].facets
    ]

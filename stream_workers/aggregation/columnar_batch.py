"""The posts of one partition's batch after the model, by columns: what `fold_columns` folds without looking at a post.

A pair is a row and a series that it counts in: a brand that it names, or one of that brand's facets.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from brandpulse.state.keys import MINUTE_MS
from stream_workers.aggregation.row_fold import HOUR_MINUTES, Cell, Outcome, Scored, Span, Unmatched, scored
from stream_workers.decoding.decoded_batch import Rows
from stream_workers.decoding.lazy_sequence import OnDemand
from stream_workers.decoding.post_decoder import Decoded
from stream_workers.decoding.records import Integers
from stream_workers.scoring.facet_matcher import Facets
from stream_workers.scoring.post_scores import Judged

Indexes = npt.NDArray[np.intp]
_labels, _micros = attrgetter("labels"), attrgetter("score_micros")


class Pairs(NamedTuple):
    """p pairs, in the order of their rows."""

    row: Indexes
    series: Indexes
    """Number of its series in `Columns.series`."""
    label: Integers
    """As `Towards.label`."""
    micros: Integers
    """As `Towards.score_micros`."""

    @classmethod
    def of(cls, found: Sequence[tuple[int, int, int, int]]) -> "Pairs":
        table = np.array(found, np.int64).reshape(-1, 4)
        return cls(table[:, 0], table[:, 1], table[:, 2], table[:, 3])

    def at(self, chosen: npt.NDArray[np.bool_] | Indexes) -> "Pairs":
        return Pairs(self.row[chosen], self.series[chosen], self.label[chosen], self.micros[chosen])

    def and_these(self, others: "Pairs") -> "Pairs":
        return Pairs(*map(np.concatenate, zip(self, others, strict=True))) if len(others.row) else self


class Cells(NamedTuple):
    """The panes of one span that pairs count in."""

    cells: list[Cell]
    of_pair: Indexes
    """(p,): the number of each pair's cell."""

    @classmethod
    def of(cls, span: Span, names: Sequence[str], series: Indexes, bucket: Integers) -> "Cells":
        """*series* and *bucket*: (p,) each."""
        if not len(series):
            return cls([], np.zeros(0, np.intp))
        first = int(bucket.min())
        buckets = int(bucket.max()) - first + 1
        places, of_pair = np.unique(series * buckets + (bucket - first), return_inverse=True)
        return cls([Cell(span, names[at // buckets], at % buckets + first) for at in places.tolist()], of_pair)


class Columns:
    """n rows, none of which is dead, and what they say of brands and facets."""

    def __init__(self, rows: Rows, series: Sequence[str], *, brands: Pairs, facets: Pairs, posts: "ScoredRows") -> None:
        self.rows = rows
        self.named = rows.named
        """The rows that name a brand, in order; the others count as unmatched."""
        self.series = series
        self.brands = brands
        self.facets = facets
        self.pairs = brands.and_these(facets)
        """Both."""
        self.posts = posts
        """The named rows one by one, for whom it must be a post."""
        minute = rows.event_ms[self.pairs.row] // MINUTE_MS
        self.minutes = Cells.of("minute", series, self.pairs.series, minute)
        self.hours = Cells.of("hour", series, self.pairs.series, minute // HOUR_MINUTES)


class ScoredRows(OnDemand[Scored]):
    """Named rows as posts, each made when it is asked for: most are counted and never looked at."""

    def __init__(
        self, rows: Rows, verdicts: Sequence[Judged], mask: Callable[[str], str], facets: Facets | None
    ) -> None:
        """*verdicts*: of each named row, in order."""
        self._rows = rows
        self._named = rows.named
        self._verdicts = verdicts
        self._mask = mask
        self._facets = facets

    def __len__(self) -> int:
        return len(self._named)

    def _make(self, at: int) -> Scored:
        rows, row = self._rows, int(self._named[at])
        brands, worded = rows.meaning(row)
        return scored(
            decoded_at(rows, row),
            brands,
            self._verdicts[at],
            author=int(rows.authors[row]),
            mask=self._mask,
            facets=self._facets,
            worded=worded,
            digest=rows.digest(row),
        )

    def of_row(self, row: int) -> Scored:
        """The named *row*."""
        return self[int(np.searchsorted(self._named, row))]


def decoded_at(rows: Rows, row: int) -> Decoded:
    return Decoded(rows.records[row], rows.post(row), int(rows.event_ms[row]))


def outcomes_of(rows: Rows, posts: ScoredRows) -> list[Outcome]:
    """Row by row what `fold` takes."""
    named = iter(posts)
    brands = [bool(meaning.brands) for meaning in rows.meanings]
    return [
        letter
        if (letter := rows.dead.get(row)) is not None
        else (next(named) if brands[number] else Unmatched(decoded_at(rows, row), bool(rows.unread[row])))
        for row, number in enumerate(rows.which.tolist())
    ]


def columns_of(rows: Rows, verdicts: Sequence[Judged], posts: ScoredRows, facets: Facets | None) -> Columns:
    """Of *rows* none of which is dead. *verdicts*: of each row that names a brand, in order."""
    named = rows.named
    series: dict[str, int] = {}
    numbers = [[series.setdefault(brand, len(series)) for brand in brands] for brands, _ in rows.meanings]
    sizes = np.array([len(one) for one in numbers])
    starts = np.cumsum(sizes) - sizes
    which = rows.which[named]
    pairs_of = sizes[which]
    row = np.repeat(named, pairs_of)
    place = np.arange(len(row)) - np.repeat(np.cumsum(pairs_of) - pairs_of, pairs_of)
    flat = np.array(list(chain.from_iterable(numbers)), np.intp)
    brands = Pairs(
        row,
        flat[np.repeat(starts[which], pairs_of) + place],
        np.fromiter(chain.from_iterable(map(_labels, verdicts)), np.int64),
        np.fromiter(chain.from_iterable(map(_micros, verdicts)), np.int64),
    )
    if len(brands.label) != len(row):
        raise ValueError(f"{len(brands.label)} verdicts on {len(row)} brands")
    found = [] if facets is None else _in_facets(rows, named, posts, facets, series)
    return Columns(rows, list(series), brands=brands, facets=Pairs.of(found), posts=posts)


def _in_facets(
    rows: Rows, named: Indexes, posts: ScoredRows, facets: Facets, series: dict[str, int]
) -> list[tuple[int, int, int, int]]:
    """Pairs of facets. Where all facets want words, a post without any needs no look."""
    worded = [bool(meaning.worded) for meaning in rows.meanings]
    which = rows.which
    return [
        (row, series.setdefault(name, len(series)), said.label, said.score_micros)
        for at, row in enumerate(named.tolist())
        if worded[which[row]] or not facets.all_want_words
        for name, said in posts[at].facets
    ]

"""Counts the posts of a batch by brand and language, as `brandpulse.state.outcomes.language_counts` stores them. Pure.

A post counts once for each brand that it names, if it is counted; in an unsupported language it counts as `OTHER`.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from brandpulse.state.outcomes.language_counts import AddedLanguages
from brandpulse.text.languages import OTHER
from stream_workers.aggregation.columnar_batch import ColumnarBatch
from stream_workers.aggregation.types import Scored, Unmatched


def count_rows(counted: Sequence[Scored], uncounted: Sequence[Unmatched]) -> AddedLanguages:
    """Of posts one by one; of *uncounted* those that are unread."""
    added = Counter((score.brand, post.language) for post in counted if post.language for score in post.brands)
    added.update((brand, OTHER) for post in uncounted for brand in post.brands)
    return added


def count_columns(columns: ColumnarBatch) -> AddedLanguages:
    """Of a batch without duplicates."""
    rows, names, pairs = columns.rows, columns.rows.language_names, columns.brands
    added = Counter[tuple[str, str]]()
    if names:
        numbers, counts = np.unique(pairs.series * len(names) + rows.languages[pairs.row], return_counts=True)
        for number, posts in zip(numbers.tolist(), counts.tolist(), strict=True):
            added[columns.series[number // len(names)], names[number % len(names)]] += posts
    if rows.unread.any():
        matches, counts = np.unique(rows.unread_matches[rows.unread], return_counts=True)
        for number, posts in zip(matches.tolist(), counts.tolist(), strict=True):
            added.update({(brand, OTHER): posts for brand in rows.matches[number].brands})
    return added

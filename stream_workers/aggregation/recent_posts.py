"""Posts that are kept beside the counts: the newest negative ones, for people to read."""

from collections.abc import Sequence
from heapq import nlargest
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import numpy as np

from brandpulse.state.stored_posts import NegativePost
from stream_workers.decoding.post_decoder import author_word
from stream_workers.scoring.post_scores import NEGATIVE, Towards

if TYPE_CHECKING:
    from stream_workers.aggregation.columnar_batch import Columns
    from stream_workers.aggregation.row_fold import Scored

KEPT_NEGATIVES = 20
"""Newest negative posts kept per brand and partition, for people to read."""


def newest_negatives(counted: Sequence["Scored"]) -> dict[str, list[NegativePost]]:
    """The newest of *counted* by event time, of each brand and each facet's series, in any order of arrival."""
    by_brand: dict[str, list[tuple[Scored, Towards]]] = {}
    for post in counted:
        for said in post.brands:
            if said.negative:
                by_brand.setdefault(said.brand, []).append((post, said))
        for series, said in post.facets:
            by_brand.setdefault(series, []).append((post, said))
    return {
        brand: [_negative_post(*post) for post in nlargest(KEPT_NEGATIVES, posts, key=_event_ms)]
        for brand, posts in by_brand.items()
    }


def newest_in(columns: "Columns") -> dict[str, list[NegativePost]]:
    """`newest_negatives` of all of *columns*."""
    pairs = columns.brands.at(columns.brands.label == NEGATIVE).and_these(columns.facets)
    order = np.lexsort((-columns.rows.event_ms[pairs.row], pairs.series))
    series, rows = pairs.series[order], pairs.row[order].tolist()
    begins = np.flatnonzero(np.diff(series, prepend=-1)).tolist()
    found = {}
    for begin, end in pairwise([*begins, len(rows)]):
        name = columns.series[series[begin]]
        posts = [columns.posts.of_row(row) for row in rows[begin : min(end, begin + KEPT_NEGATIVES)]]
        found[name] = [_negative_post(post, _said_of(post, name)) for post in posts]
    return found


def _said_of(post: "Scored", series: str) -> Towards:
    return next(
        said for name, said in chain(((said.brand, said) for said in post.brands), post.facets) if name == series
    )


def _event_ms(post: tuple["Scored", Towards]) -> int:
    return post[0].decoded.event_ms


def _negative_post(judged: "Scored", said: Towards) -> NegativePost:
    post = judged.decoded.post
    return NegativePost(
        id=post.id,
        source=post.source,
        text=judged.masked_text,
        created_ms=judged.decoded.event_ms,
        author=author_word(judged.author),
        negative=round(said.probabilities[NEGATIVE], 4),
    )

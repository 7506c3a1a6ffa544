"""The newest negative posts of each series, stored next to the counts for people to read."""

from collections.abc import Sequence
from heapq import nlargest
from itertools import chain, pairwise

import numpy as np

from brandpulse.schema.identity import author_hex
from brandpulse.state.stored_posts import NegativePost
from stream_workers.aggregation.columnar_batch import ColumnarBatch
from stream_workers.aggregation.types import Scored
from stream_workers.scoring.post_scores import NEGATIVE, BrandScore

KEPT_NEGATIVES = 20
"""Negative posts kept per brand and partition."""


def newest_negatives_from_rows(counted: Sequence[Scored]) -> dict[str, list[NegativePost]]:
    """The newest posts of *counted* by event time, of each brand and each facet's series, in any order of arrival."""
    by_series: dict[str, list[tuple[Scored, BrandScore]]] = {}
    for post in counted:
        for score in post.brands:
            if score.negative:
                by_series.setdefault(score.brand, []).append((post, score))
        for series, score in post.facets:
            by_series.setdefault(series, []).append((post, score))
    return {
        series: [_negative_post(*post) for post in nlargest(KEPT_NEGATIVES, posts, key=_event_ms)]
        for series, posts in by_series.items()
    }


def newest_negatives_from_columns(columns: ColumnarBatch) -> dict[str, list[NegativePost]]:
    """`newest_negatives_from_rows` of all of *columns*."""
    pairs = columns.brands.select(columns.brands.label == NEGATIVE).concatenated(columns.facets)
    order = np.lexsort((-columns.rows.event_ms[pairs.row], pairs.series))
    series, rows = pairs.series[order], pairs.row[order].tolist()
    starts = np.flatnonzero(np.diff(series, prepend=-1)).tolist()
    found = {}
    for start, end in pairwise([*starts, len(rows)]):
        name = columns.series[series[start]]
        posts = [columns.posts.of_row(row) for row in rows[start : min(end, start + KEPT_NEGATIVES)]]
        found[name] = [_negative_post(post, _score_in(post, name)) for post in posts]
    return found


def _score_in(post: Scored, series: str) -> BrandScore:
    return next(
        score for name, score in chain(((score.brand, score) for score in post.brands), post.facets) if name == series
    )


def _event_ms(post: tuple[Scored, BrandScore]) -> int:
    return post[0].decoded.event_ms


def _negative_post(scored: Scored, score: BrandScore) -> NegativePost:
    post = scored.decoded.post
    return NegativePost(
        id=post.id,
        source=post.source,
        text=scored.masked_text,
        created_ms=scored.decoded.event_ms,
        author=author_hex(scored.author),
        negative=round(score.probabilities[NEGATIVE], 4),
    )

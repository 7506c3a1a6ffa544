"""Posts of each event-time hour, stored for people to read next to an alert: negative ones and others separately.

Per series (a brand, or a facet of one), hour and partition the posts with the smallest digests are kept. Below the
limit these are all relevant posts, so counts of copies are exact; above it they are a uniform sample. A reader compares
their number with the panes' to tell which. The same posts leave the same sample in any order and any batches, unless a
worker exceeds its `PostBudget`: then some are missing. Texts are masked, then truncated.
"""

from collections.abc import Iterable, Iterator, Sequence
from heapq import nlargest, nsmallest
from itertools import chain, pairwise
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from brandpulse.schema.identity import author_hex
from brandpulse.state.keys import HOUR_MS
from brandpulse.state.panes import IRRELEVANT
from brandpulse.state.stored_posts import MOST_TEXT_CHARS, HourPost
from stream_workers.aggregation.columnar_batch import ColumnarBatch
from stream_workers.aggregation.types import HourPosts, OfferedPost, PostHour, Scored
from stream_workers.scoring.post_scores import NEGATIVE, BrandScore

HEAD_BYTES = 8
"""Leading bytes of a digest that numpy sorts."""
TRACKED_DIGESTS = 40_000
"""Digests tracked per partition for the bounds of full hours: two megabytes. Losing a bound costs needless offers."""


class HourBounds:
    """Digests too large for a full hour, learnt from what the current owner of the partition applied.

    It starts empty, which is safe: a store drops what it is offered needlessly.
    """

    def __init__(self) -> None:
        self._smallest: dict[PostHour, list[bytes]] = {}
        self._bounds: dict[PostHour, bytes] = {}
        self._tracked = 0

    def bound(self, hour: PostHour) -> bytes | None:
        """No post with this digest or a larger one is kept; None while *hour* is not known to be full."""
        return self._bounds.get(hour)

    def add(self, offered: HourPosts) -> None:
        """*offered* are in the store now."""
        if self._tracked + sum(map(len, offered.values())) > TRACKED_DIGESTS:
            self._smallest.clear()
            self._bounds.clear()
            self._tracked = 0
        for hour, posts in offered.items():
            before = self._smallest.get(hour, [])
            smallest = nsmallest(hour.size, {*before, *(post.digest for post in posts)})
            self._smallest[hour] = smallest
            self._tracked += len(smallest) - len(before)
            if len(smallest) == hour.size:
                self._bounds[hour] = smallest[-1]


class PostAllowance(NamedTuple):
    """How many posts a fold may prepare for storage, about 25 us each."""

    negative: int
    others: int


PER_SECOND = PostAllowance(1_000, 200)
"""Of one worker: at most 3 % of a core at rates that only a GPU scores; of 1,000 posts a second all negative ones and
some others. Alerts on shares show negative posts, those on volume all."""
BURST = PostAllowance(10_000, 1_500)
"""After a quiet period: a file of a few thousand posts is kept completely."""


class PostBudget:
    """Limits how many posts a worker prepares: a rate per second, and a burst after a quiet period."""

    def __init__(self, *, per_second: PostAllowance = PER_SECOND, burst: PostAllowance = BURST) -> None:
        self._per_second = per_second
        self._burst = burst
        self._left: Sequence[float] = burst
        self._refilled_at: float | None = None

    def available(self, now: float) -> PostAllowance:
        """*now*: monotonic seconds."""
        if self._refilled_at is not None:
            elapsed = now - self._refilled_at
            refilled = (left + elapsed * rate for left, rate in zip(self._left, self._per_second, strict=True))
            self._left = [min(limit, left) for limit, left in zip(self._burst, refilled, strict=True)]
        self._refilled_at = now
        return PostAllowance(*(max(0, int(left)) for left in self._left))

    def spend(self, offered: HourPosts) -> None:
        negative = sum(len(posts) for hour, posts in offered.items() if hour.negative)
        others = sum(map(len, offered.values())) - negative
        self._left = [self._left[0] - negative, self._left[1] - others]


def hour_posts_from_rows(
    counted: Sequence[Scored], bounds: HourBounds, *, watermark_ms: int, allowance: PostAllowance
) -> dict[PostHour, list[OfferedPost]]:
    """The posts of *counted* to offer to the store, about as many as *allowance*; none for hours that expired."""
    every = [
        (post.digest, series, post, score)
        for post in counted
        for series, score in _scores_by_series(post)
        if score.relevant
    ]
    relevant = []
    for negative, allowed in ((True, allowance.negative), (False, allowance.others)):
        some = [one for one in every if one[3].relevant and one[3].negative == negative]
        if len(some) > allowed:
            heads = nsmallest(allowed, (digest[:HEAD_BYTES] for digest, *_ in some))
            some = [one for one in some if heads and one[0][:HEAD_BYTES] <= heads[-1]]
        relevant += some
    found: dict[PostHour, list[tuple[bytes, Scored, BrandScore]]] = {}
    for digest, series, post, score in relevant:
        hour = PostHour(series, post.decoded.event_ms // HOUR_MS, score.negative)
        if hour.accepts(watermark_ms) and ((bound := bounds.bound(hour)) is None or digest < bound):
            found.setdefault(hour, []).append((digest, post, score))
    return {
        hour: [_offered(*one) for one in nsmallest(hour.size, posts, key=itemgetter(0))]
        for hour, posts in found.items()
    }


def hour_posts_from_columns(
    columns: ColumnarBatch, bounds: HourBounds, *, watermark_ms: int, allowance: PostAllowance
) -> dict[PostHour, list[OfferedPost]]:
    """`hour_posts_from_rows` of all of *columns*."""
    rows, label = columns.rows, columns.pairs.label
    negative = np.flatnonzero(label == NEGATIVE)
    others = np.flatnonzero((label != NEGATIVE) & (label != IRRELEVANT))
    relevant = np.concatenate(
        [
            some if len(some) <= allowed else _smallest(columns, some, allowed)
            for some, allowed in ((negative, allowance.negative), (others, allowance.others))
        ]
    )
    if not len(relevant):
        return {}
    heads = _heads(columns, relevant)
    pairs = columns.pairs.select(relevant)
    hours = rows.event_ms[pairs.row] // HOUR_MS
    first, span = int(hours.min()), int(hours.max() - hours.min()) + 1
    numbers = (pairs.series * span + (hours - first)) * 2 + (pairs.label == NEGATIVE)
    distinct, hour_of = np.unique(numbers, return_inverse=True)
    post_hours = [
        PostHour(columns.series[number // 2 // span], number // 2 % span + first, bool(number % 2))
        for number in distinct.tolist()
    ]
    hour_bounds = [bounds.bound(hour) for hour in post_hours]
    # Where an hour is full, eight of twelve bytes reject almost every post.
    largest = np.array(
        [2**64 - 1 if bound is None else int.from_bytes(bound[:HEAD_BYTES], "big") for bound in hour_bounds],
        np.uint64,
    )
    open_hours = np.array([hour.accepts(watermark_ms) for hour in post_hours])
    admitted = np.flatnonzero((heads <= largest[hour_of]) & open_hours[hour_of])
    tails = np.ascontiguousarray(rows.digests[pairs.row[admitted], HEAD_BYTES:]).view(">u4")[:, 0].astype(np.uint32)
    order = admitted[np.lexsort((tails, heads[admitted], hour_of[admitted]))]
    starts = np.flatnonzero(np.diff(hour_of[order], prepend=-1)).tolist()
    found = {}
    for start, end in pairwise([*starts, len(order)]):
        hour, bound = post_hours[hour_of[order[start]]], hour_bounds[hour_of[order[start]]]
        some = [(rows.digest(row), row) for row in pairs.row[order[start : min(end, start + hour.size)]].tolist()]
        posts = [(digest, columns.posts.of_row(row)) for digest, row in some if bound is None or digest < bound]
        if posts:
            found[hour] = [_offered(digest, post, _score_in(post, hour.series)) for digest, post in posts]
    return found


def with_offered(hour: PostHour, kept: Iterable[OfferedPost], offered: Iterable[OfferedPost]) -> list[OfferedPost]:
    """The posts of *hour* after some were *offered*, as the stores keep them."""
    return nlargest(hour.size, {post.digest: post for post in (*kept, *offered)}.values(), key=lambda post: post.score)


def _heads(columns: ColumnarBatch, pairs: npt.NDArray[np.intp]) -> npt.NDArray[np.uint64]:
    digests = columns.rows.digests[columns.pairs.row[pairs], :HEAD_BYTES]
    return np.ascontiguousarray(digests).view(">u8")[:, 0].astype(np.uint64)


def _smallest(columns: ColumnarBatch, pairs: npt.NDArray[np.intp], number: int) -> npt.NDArray[np.intp]:
    """The *number* of *pairs* with the smallest digests, and all others that share the largest of these heads."""
    if not number:
        return pairs[:0]
    heads = _heads(columns, pairs)
    return pairs[np.flatnonzero(heads <= np.partition(heads, number - 1)[number - 1])]


def _scores_by_series(post: Scored) -> Iterator[tuple[str, BrandScore]]:
    return chain(((score.brand, score) for score in post.brands), post.facets)


def _score_in(post: Scored, series: str) -> BrandScore:
    return next(score for name, score in _scores_by_series(post) if name == series)


def _offered(digest: bytes, scored: Scored, score: BrandScore) -> OfferedPost:
    post = scored.decoded.post
    text = scored.masked_text
    return OfferedPost(
        digest,
        HourPost(
            id=post.id,
            source=post.source,
            text=text if len(text) <= MOST_TEXT_CHARS else text[: MOST_TEXT_CHARS - 1] + "…",
            created_ms=scored.decoded.event_ms,
            author=author_hex(scored.author),
            negative=round(score.probabilities[NEGATIVE], 4),
        ),
    )

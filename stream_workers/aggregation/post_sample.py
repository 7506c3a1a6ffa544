"""A small uniform sample of each brand's posts per day: the usual terms, to which an alert's terms are compared.

Of a brand's relevant posts of one event-time day, a partition keeps the `SAMPLE_SIZE` with the smallest digests.
Digests are hashes of (source, id), so the sample is uniform in any order of arrival; the same posts leave the same
sample in any batches and after any retries. Only the terms of a post are kept, sorted.
"""

from collections.abc import Iterable, Sequence
from heapq import nlargest, nsmallest
from operator import itemgetter

import numpy as np

from brandpulse.state.keys import DAY_MS
from brandpulse.state.panes import IRRELEVANT
from brandpulse.state.stored_posts import SampledPost
from brandpulse.text.terms import terms_of
from stream_workers.aggregation.columnar_batch import ColumnarBatch
from stream_workers.aggregation.hour_posts import HourBounds
from stream_workers.aggregation.types import SCORE_BYTES, Sampled, SampleDay, Samples, Scored
from stream_workers.scoring.post_scores import NEGATIVE

SAMPLE_SIZE = 30
"""Posts per brand, day and partition: four partitions and a week give about 800, a quarter of them negative."""
TRACKED_DAYS = 2_000
"""Brands times days whose bound is tracked: a megabyte. Losing a bound costs some needless offers."""


class SampleBounds:
    """Digests too large for a full sample, learnt from what the current owner of the partition applied.

    It starts empty, which is safe: a store drops what it is offered needlessly.
    """

    def __init__(self) -> None:
        self._smallest: dict[SampleDay, list[bytes]] = {}
        self._bounds: dict[tuple[str, int], bytes] = {}
        """The largest digest of each full sample."""
        self.hours = HourBounds()
        """The same for the posts of each hour."""

    def bound(self, brand: str, day: int) -> bytes | None:
        """No post with this digest or a larger one is in the sample; None while it is not known to be full."""
        return self._bounds.get((brand, day))

    def add(self, samples: Samples) -> None:
        """*samples* are in the store now."""
        if len(self._smallest) + len(samples) > TRACKED_DAYS:
            self._smallest.clear()
            self._bounds.clear()
        for day, posts in samples.items():
            digests = {*self._smallest.get(day, ()), *(post.digest for post in posts)}
            smallest = self._smallest[day] = nsmallest(SAMPLE_SIZE, digests)
            if len(smallest) == SAMPLE_SIZE:
                self._bounds[day] = smallest[-1]


def samples_from_rows(
    counted: Sequence[Scored], bounds: SampleBounds, *, watermark_ms: int
) -> dict[SampleDay, list[Sampled]]:
    """The posts of *counted* that may belong to a sample; none for days that expired before *watermark_ms*."""
    admitted: dict[SampleDay, list[tuple[bytes, bool, Scored]]] = {}
    bound_of = bounds.bound
    for post in counted:
        day, digest = post.decoded.event_ms // DAY_MS, post.digest
        for score in post.brands:
            # This rejects almost every post, and runs for each.
            if (bound := bound_of(score.brand, day)) is not None and digest >= bound:
                continue
            sample_day = SampleDay(score.brand, day)
            if score.relevant and sample_day.keep_until_ms > watermark_ms:
                admitted.setdefault(sample_day, []).append((digest, score.negative, post))
    return {
        day: [_sampled(*one) for one in nsmallest(SAMPLE_SIZE, found, key=_digest)] for day, found in admitted.items()
    }


def samples_from_columns(
    columns: ColumnarBatch, bounds: SampleBounds, *, watermark_ms: int
) -> dict[SampleDay, list[Sampled]]:
    """`samples_from_rows` of all of *columns*."""
    relevant = columns.brands.select(columns.brands.label != IRRELEVANT)
    if not len(relevant.row):
        return {}
    rows = columns.rows
    days = rows.event_ms[relevant.row] // DAY_MS
    first, span = int(days.min()), int(days.max() - days.min()) + 1
    distinct, day_of = np.unique(relevant.series * span + (days - first), return_inverse=True)
    sample_days = [SampleDay(columns.series[number // span], number % span + first) for number in distinct.tolist()]
    day_bounds = [bounds.bound(*day) for day in sample_days]
    # Eight of twelve bytes reject almost every post; the few others are tested one by one.
    heads = np.ascontiguousarray(rows.digests[relevant.row, :8]).view(">u8")[:, 0]
    largest = np.array(
        [2**64 - 1 if bound is None else int.from_bytes(bound[:8], "big") for bound in day_bounds], np.uint64
    )
    open_days = np.array([day.keep_until_ms > watermark_ms for day in sample_days])
    admitted: dict[SampleDay, list[tuple[bytes, bool, int]]] = {}
    for at in np.flatnonzero((heads <= largest[day_of]) & open_days[day_of]).tolist():
        row, day, bound = int(relevant.row[at]), sample_days[day_of[at]], day_bounds[day_of[at]]
        digest = rows.digest(row)
        if bound is None or digest < bound:
            admitted.setdefault(day, []).append((digest, bool(relevant.label[at] == NEGATIVE), row))
    return {
        day: [
            _sampled(digest, negative, columns.posts.of_row(row))
            for digest, negative, row in nsmallest(SAMPLE_SIZE, found, key=itemgetter(0))
        ]
        for day, found in admitted.items()
    }


def with_sampled(kept: Iterable[Sampled], offered: Iterable[Sampled]) -> list[Sampled]:
    """A sample after posts were *offered* to it, as the stores keep it."""
    return nlargest(
        SAMPLE_SIZE, {post.digest: post for post in (*kept, *offered)}.values(), key=lambda post: post.score
    )


def _digest(found: tuple[bytes, bool, Scored]) -> bytes:
    return found[0]


def _sampled(digest: bytes, negative: bool, post: Scored) -> Sampled:
    terms = tuple(sorted(terms_of(post.masked_text)))
    return Sampled(digest, SampledPost(digest[:SCORE_BYTES].hex(), negative, terms))

"""A small uniform sample of each brand's posts, day by day: what is usual, for an alert's terms to be held against.

Of a brand's relevant posts of one event-time day a partition keeps the `KEPT` with the smallest digests. Digests are
hashes of (source, id), so that is a uniform sample, whatever the order of arrival; the same posts leave the same
sample however batches are cut and however often one is tried again. Only the terms of a post are kept, in no order.
"""

from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest, nsmallest
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from brandpulse.state.keys import DAY_MS
from brandpulse.state.panes import IRRELEVANT
from brandpulse.state.stored_posts import SAMPLE_DAYS, SampledPost
from brandpulse.text.terms import terms_of
from stream_workers.aggregation.hour_posts import HourBounds
from stream_workers.scoring.post_scores import NEGATIVE

if TYPE_CHECKING:
    from stream_workers.aggregation.columnar_batch import Columns
    from stream_workers.aggregation.row_fold import Scored

KEPT = 30
"""Posts of a brand, day and partition: four partitions and a week are some 800, a quarter of them negative."""
SCORED_BYTES = 6
"""Of a digest, as the number that Redis sorts by: a double holds 48 bits exactly."""
KNOWN_DAYS = 2_000
"""Brands times days whose bound is remembered: a megabyte. A forgotten one costs some posts that need not have gone."""


class SampleDay(NamedTuple):
    """Address of one sample: a brand's day, counted since 1970."""

    brand: str
    day: int

    @property
    def keep_until_ms(self) -> int:
        """Event time from which it may be dropped."""
        return (self.day + 1 + SAMPLE_DAYS) * DAY_MS


class Sampled(NamedTuple):
    """A post of a sample, and its place in it."""

    digest: bytes
    post: SampledPost

    @property
    def score(self) -> int:
        """The greater, the sooner it stays: stores keep the highest."""
        return -int.from_bytes(self.digest[:SCORED_BYTES], "big")


Samples = Mapping[SampleDay, Sequence[Sampled]]


class SampleBounds:
    """Which digests are too large to be in a sample, from what one holder of the partition has had applied.

    It begins with knowing nothing, which is never wrong: what a store is offered needlessly falls out there.
    """

    def __init__(self) -> None:
        self._lowest: dict[SampleDay, list[bytes]] = {}
        self._full: dict[tuple[str, int], bytes] = {}
        """The largest digest of each sample that is full."""
        self.hours = HourBounds()
        """Likewise, of the posts that are kept of each hour."""

    def bound(self, brand: str, day: int) -> bytes | None:
        """No post with this digest or a larger one is in the sample; None while it is not known to be full."""
        return self._full.get((brand, day))

    def take(self, samples: Samples) -> None:
        """*samples* are in the store now."""
        if len(self._lowest) + len(samples) > KNOWN_DAYS:
            self._lowest.clear()
            self._full.clear()
        for place, found in samples.items():
            known = {*self._lowest.get(place, ()), *(one.digest for one in found)}
            lowest = self._lowest[place] = nsmallest(KEPT, known)
            if len(lowest) == KEPT:
                self._full[place] = lowest[-1]


def samples_of(
    counted: Sequence["Scored"], bounds: SampleBounds, *, watermark_ms: int
) -> dict[SampleDay, list[Sampled]]:
    """What of *counted* may be in a sample; days that are past their time by *watermark_ms* have none."""
    admitted: dict[SampleDay, list[tuple[bytes, bool, Scored]]] = {}
    bound_of = bounds.bound
    for post in counted:
        day, digest = post.decoded.event_ms // DAY_MS, post.digest
        for said in post.brands:
            # Nearly all end here: it runs for each post.
            if (bound := bound_of(said.brand, day)) is not None and digest >= bound:
                continue
            place = SampleDay(said.brand, day)
            if said.relevant and place.keep_until_ms > watermark_ms:
                admitted.setdefault(place, []).append((digest, said.negative, post))
    return {place: [_sampled(*one) for one in nsmallest(KEPT, found, key=_digest)] for place, found in admitted.items()}


def samples_in(columns: "Columns", bounds: SampleBounds, *, watermark_ms: int) -> dict[SampleDay, list[Sampled]]:
    """`samples_of` all of *columns*."""
    relevant = columns.brands.at(columns.brands.label != IRRELEVANT)
    if not len(relevant.row):
        return {}
    rows = columns.rows
    days = rows.event_ms[relevant.row] // DAY_MS
    first, span = int(days.min()), int(days.max() - days.min()) + 1
    places, which = np.unique(relevant.series * span + (days - first), return_inverse=True)
    named = [SampleDay(columns.series[place // span], place % span + first) for place in places.tolist()]
    full = [bounds.bound(*place) for place in named]
    # By eight of twelve bytes nearly all are told to be too large; the few others are looked at one by one.
    heads = np.ascontiguousarray(rows.digests[relevant.row, :8]).view(">u8")[:, 0]
    largest = np.array([2**64 - 1 if bound is None else int.from_bytes(bound[:8], "big") for bound in full], np.uint64)
    alive = np.array([place.keep_until_ms > watermark_ms for place in named])
    admitted: dict[SampleDay, list[tuple[bytes, bool, int]]] = {}
    for at in np.flatnonzero((heads <= largest[which]) & alive[which]).tolist():
        row, place, bound = int(relevant.row[at]), named[which[at]], full[which[at]]
        digest = rows.digest(row)
        if bound is None or digest < bound:
            admitted.setdefault(place, []).append((digest, bool(relevant.label[at] == NEGATIVE), row))
    return {
        place: [
            _sampled(digest, negative, columns.posts.of_row(row))
            for digest, negative, row in nsmallest(KEPT, found, key=itemgetter(0))
        ]
        for place, found in admitted.items()
    }


def with_sampled(kept: Iterable[Sampled], offered: Iterable[Sampled]) -> list[Sampled]:
    """A sample after posts were *offered* to it, as the stores keep it."""
    return nlargest(KEPT, {one.digest: one for one in (*kept, *offered)}.values(), key=lambda one: one.score)


def _digest(found: tuple[bytes, bool, "Scored"]) -> bytes:
    return found[0]


def _sampled(digest: bytes, negative: bool, post: "Scored") -> Sampled:
    terms = tuple(sorted(terms_of(post.masked_text)))
    return Sampled(digest, SampledPost(digest[:SCORED_BYTES].hex(), negative, terms))

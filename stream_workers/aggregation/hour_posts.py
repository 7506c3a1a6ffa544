"""Posts of each event-time hour, kept for people to read beside an alert: negative ones and others apart.

Of a series (a brand, or a facet of one), an hour and a partition the posts with the smallest digests are kept. Below
the bound that is every relevant post, so numbers of copies are exact; above it is a uniform sample. A reader compares
their number with the panes' and knows which. The same posts leave the same sample in any order, however batches are
cut, unless a worker has more to make ready than `PostBudget` allows: then some are missing. Texts are masked, and cut.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import nlargest, nsmallest
from itertools import chain, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from brandpulse.state.keys import DAY_MS, HOUR_MS
from brandpulse.state.panes import IRRELEVANT
from brandpulse.state.stored_posts import MOST_NEGATIVE, MOST_OTHERS, MOST_TEXT_CHARS, RETAINED_HOURS, HourPost
from stream_workers.decoding.post_decoder import author_word
from stream_workers.scoring.post_scores import NEGATIVE, Towards

if TYPE_CHECKING:
    from stream_workers.aggregation.columnar_batch import Columns
    from stream_workers.aggregation.row_fold import Scored

HEAD_BYTES = 8
"""Of a digest, as numpy sorts it."""
SCORED_BYTES = 6
"""Of a digest, as the number that Redis sorts by: a double holds 48 bits exactly."""
KNOWN_DIGESTS = 40_000
"""Of hours whose bound is remembered, by partition: two megabytes. A forgotten one costs needless offers."""
WAIT_FOR_ALERTER_MS = DAY_MS
"""Past their own keeping time posts wait for the alerter, and no longer than this: they are larger than panes."""


class PostHour(NamedTuple):
    """Address of one sample."""

    series: str
    hour: int
    """Since 1970."""
    negative: bool

    @property
    def keep_until_ms(self) -> int:
        """Event time from which it may be dropped."""
        return (self.hour + 1 + RETAINED_HOURS) * HOUR_MS

    def takes(self, watermark_ms: int) -> bool:
        """Whether a post is still wanted: an alerter that is behind may ask for it."""
        return self.keep_until_ms + WAIT_FOR_ALERTER_MS > watermark_ms

    @property
    def size(self) -> int:
        return MOST_NEGATIVE if self.negative else MOST_OTHERS


class Offered(NamedTuple):
    """A post for a sample, and its place in it."""

    digest: bytes
    post: HourPost

    @property
    def score(self) -> int:
        """The greater, the sooner it stays: stores keep the highest."""
        return -int.from_bytes(self.digest[:SCORED_BYTES], "big")

    def encode(self) -> bytes:
        return msgspec.json.encode(self.post)


HourPosts = Mapping[PostHour, Sequence[Offered]]


class HourBounds:
    """Which digests are too large for a sample, from what one holder of the partition has had applied.

    It begins with knowing nothing, which is never wrong: what a store is offered needlessly falls out there.
    """

    def __init__(self) -> None:
        self._lowest: dict[PostHour, list[bytes]] = {}
        self._full: dict[PostHour, bytes] = {}
        self._known = 0

    def bound(self, place: PostHour) -> bytes | None:
        """No post with this digest or a larger one is in the sample; None while it is not known to be full."""
        return self._full.get(place)

    def take(self, offered: HourPosts) -> None:
        """*offered* are in the store now."""
        if self._known + sum(map(len, offered.values())) > KNOWN_DIGESTS:
            self._lowest.clear()
            self._full.clear()
            self._known = 0
        for place, found in offered.items():
            before = self._lowest.get(place, [])
            lowest = nsmallest(place.size, {*before, *(one.digest for one in found)})
            self._lowest[place] = lowest
            self._known += len(lowest) - len(before)
            if len(lowest) == place.size:
                self._full[place] = lowest[-1]


class Allowed(NamedTuple):
    """How many posts a fold may make ready to be kept, some 25 us each."""

    negative: int
    others: int


A_SECOND = Allowed(1_000, 200)
"""Of a worker: at most 3 % of a core, where posts come as fast as only a GPU can judge them; of 1,000 posts a second
all negative ones and some others. Alerts of shares show negative posts, those of volume all."""
AT_ONCE = Allowed(10_000, 1_500)
"""After a while in which there were fewer: a file of some thousand posts is kept whole."""


class PostBudget:
    """How many posts a worker may make ready now: so many a second, and some more after a pause."""

    def __init__(self, *, a_second: Allowed = A_SECOND, most: Allowed = AT_ONCE) -> None:
        self._a_second = a_second
        self._most = most
        self._left: Sequence[float] = most
        self._seen: float | None = None

    def left(self, now: float) -> Allowed:
        """*now*: seconds of a clock that never goes back."""
        if self._seen is not None:
            gone = now - self._seen
            refilled = (left + gone * rate for left, rate in zip(self._left, self._a_second, strict=True))
            self._left = [min(most, left) for most, left in zip(self._most, refilled, strict=True)]
        self._seen = now
        return Allowed(*(max(0, int(left)) for left in self._left))

    def spend(self, offered: HourPosts) -> None:
        negative = sum(len(posts) for hour, posts in offered.items() if hour.negative)
        others = sum(map(len, offered.values())) - negative
        self._left = [self._left[0] - negative, self._left[1] - others]


def hour_posts_of(
    counted: Sequence["Scored"], bounds: HourBounds, *, watermark_ms: int, most: Allowed
) -> dict[PostHour, list[Offered]]:
    """What of *counted* may be in a sample, about *most* posts; hours past their time by *watermark_ms* have none."""
    every = [
        (post.digest, series, post, said) for post in counted for series, said in _series_of(post) if said.relevant
    ]
    relevant = []
    for negative, allowed in ((True, most.negative), (False, most.others)):
        some = [one for one in every if one[3].relevant and one[3].negative == negative]
        if len(some) > allowed:
            heads = nsmallest(allowed, (digest[:HEAD_BYTES] for digest, *_ in some))
            some = [one for one in some if heads and one[0][:HEAD_BYTES] <= heads[-1]]
        relevant += some
    found: dict[PostHour, list[tuple[bytes, Scored, Towards]]] = {}
    for digest, series, post, said in relevant:
        place = PostHour(series, post.decoded.event_ms // HOUR_MS, said.negative)
        if place.takes(watermark_ms) and ((bound := bounds.bound(place)) is None or digest < bound):
            found.setdefault(place, []).append((digest, post, said))
    return {
        place: [_offered(*one) for one in nsmallest(place.size, posts, key=itemgetter(0))]
        for place, posts in found.items()
    }


def hour_posts_in(
    columns: "Columns", bounds: HourBounds, *, watermark_ms: int, most: Allowed
) -> dict[PostHour, list[Offered]]:
    """`hour_posts_of` all of *columns*."""
    rows, label = columns.rows, columns.pairs.label
    negative = np.flatnonzero(label == NEGATIVE)
    others = np.flatnonzero((label != NEGATIVE) & (label != IRRELEVANT))
    relevant = np.concatenate(
        [
            some if len(some) <= allowed else _smallest(columns, some, allowed)
            for some, allowed in ((negative, most.negative), (others, most.others))
        ]
    )
    if not len(relevant):
        return {}
    heads = _heads(columns, relevant)
    pairs = columns.pairs.at(relevant)
    hours = rows.event_ms[pairs.row] // HOUR_MS
    first, span = int(hours.min()), int(hours.max() - hours.min()) + 1
    numbers = (pairs.series * span + (hours - first)) * 2 + (pairs.label == NEGATIVE)
    places, which = np.unique(numbers, return_inverse=True)
    named = [
        PostHour(columns.series[place // 2 // span], place // 2 % span + first, bool(place % 2))
        for place in places.tolist()
    ]
    full = [bounds.bound(place) for place in named]
    # Where a sample is full, nearly all fall out by eight of twelve bytes.
    largest = np.array(
        [2**64 - 1 if bound is None else int.from_bytes(bound[:HEAD_BYTES], "big") for bound in full], np.uint64
    )
    alive = np.array([place.takes(watermark_ms) for place in named])
    admitted = np.flatnonzero((heads <= largest[which]) & alive[which])
    tails = np.ascontiguousarray(rows.digests[pairs.row[admitted], HEAD_BYTES:]).view(">u4")[:, 0].astype(np.uint32)
    order = admitted[np.lexsort((tails, heads[admitted], which[admitted]))]
    begins = np.flatnonzero(np.diff(which[order], prepend=-1)).tolist()
    found = {}
    for begin, end in pairwise([*begins, len(order)]):
        place, bound = named[which[order[begin]]], full[which[order[begin]]]
        some = [(rows.digest(row), row) for row in pairs.row[order[begin : min(end, begin + place.size)]].tolist()]
        posts = [(digest, columns.posts.of_row(row)) for digest, row in some if bound is None or digest < bound]
        if posts:
            found[place] = [_offered(digest, post, _said_of(post, place.series)) for digest, post in posts]
    return found


def with_offered(hour: PostHour, kept: Iterable[Offered], offered: Iterable[Offered]) -> list[Offered]:
    """The posts of *hour* after some were *offered*, as the stores keep them."""
    return nlargest(hour.size, {one.digest: one for one in (*kept, *offered)}.values(), key=lambda one: one.score)


def _heads(columns: "Columns", pairs: npt.NDArray[np.intp]) -> npt.NDArray[np.uint64]:
    digests = columns.rows.digests[columns.pairs.row[pairs], :HEAD_BYTES]
    return np.ascontiguousarray(digests).view(">u8")[:, 0].astype(np.uint64)


def _smallest(columns: "Columns", pairs: npt.NDArray[np.intp], most: int) -> npt.NDArray[np.intp]:
    """Of *pairs* the *most* with the smallest digests; all that share the largest head among them."""
    if not most:
        return pairs[:0]
    heads = _heads(columns, pairs)
    return pairs[np.flatnonzero(heads <= np.partition(heads, most - 1)[most - 1])]


def _series_of(post: "Scored") -> Iterator[tuple[str, Towards]]:
    return chain(((said.brand, said) for said in post.brands), post.facets)


def _said_of(post: "Scored", series: str) -> Towards:
    return next(said for name, said in _series_of(post) if name == series)


def _offered(digest: bytes, judged: "Scored", said: Towards) -> Offered:
    post = judged.decoded.post
    text = judged.masked_text
    return Offered(
        digest,
        HourPost(
            id=post.id,
            source=post.source,
            text=text if len(text) <= MOST_TEXT_CHARS else text[: MOST_TEXT_CHARS - 1] + "…",
            created_ms=judged.decoded.event_ms,
            author=author_word(judged.author),
            negative=round(said.probabilities[NEGATIVE], 4),
        ),
    )

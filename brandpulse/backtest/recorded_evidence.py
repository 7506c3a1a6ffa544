"""What the posts of a backtest's episodes show: sources and terms, from a second look at the recording.

The first look keeps no text. As in life, terms are held against a sample of the week before, and posts are those that
the alerter would have kept: the newest of a window.
"""

import hashlib
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from heapq import heappush, heappushpop

from msgspec.structs import replace as replace_text

from alerting.detection.share_detector import WindowCounts
from alerting.episodes.example_posts import PostEvidenceReader
from brandpulse.backtest.backtest import PastEpisode
from brandpulse.backtest.recorded_panes import JudgedPost
from brandpulse.masking.mask import Mask
from brandpulse.schema.episodes import Evidence
from brandpulse.state.keys import DAY_MS, MINUTE_MS, facet_series
from brandpulse.state.panes import IRRELEVANT, counted_as
from brandpulse.state.stored_posts import SAMPLE_DAYS, HourPost, SampledPost, WindowPosts
from brandpulse.text.terms import terms_of

_MASK = Mask()
"""Keeps no brand's handle: no term is a handle."""
SAMPLED = 120
"""Of a brand and day: what four partitions keep."""
KEPT = 300
"""Posts of a window, the newest."""
NEGATIVE = 0


def with_posts(episodes: Sequence[PastEpisode], posts: Iterable[JudgedPost]) -> list[PastEpisode]:
    """*episodes*, the evidence that fired each with what *posts* (all of the recording, with their texts) show."""
    if not episodes:
        return []
    looked = [_Looked(one.episode.brand, one.episode.first) for one in episodes]
    samples = _Samples({(one.brand, day) for one in looked for day in one.days})
    by_brand: dict[str, list[_Looked]] = defaultdict(list)
    for one in looked:
        by_brand[one.brand].append(one)
    for post in posts:
        for number, brand in enumerate(post.brands):
            if brand not in by_brand:
                continue
            label, _ = counted_as(post.probabilities[number])
            if label == IRRELEVANT:
                continue
            samples.offer(brand, post, negative=label == NEGATIVE)
            for one in by_brand[brand]:
                one.look(post, number, negative=label == NEGATIVE)
    return [
        replace(past, episode=past.episode.model_copy(update={"first": one.shown(samples)}))
        for past, one in zip(episodes, looked, strict=True)
    ]


class _Looked:
    """One episode's evidence, and its window's posts."""

    def __init__(self, brand: str, first: Evidence) -> None:
        self.brand = brand
        self._first = first
        self._begin_ms, self._end_ms = _ms(first.window_start), _ms(first.window_end)
        self._posts: deque[HourPost] = deque(maxlen=KEPT)
        self.days = range(self._begin_ms // DAY_MS - SAMPLE_DAYS + 1, self._begin_ms // DAY_MS)

    def look(self, post: JudgedPost, number: int, *, negative: bool) -> None:
        if not self._begin_ms <= post.event_ms < self._end_ms:
            return
        facet = self._first.facet
        volume = self._first.usual_authors is not None
        if (negative or volume) if facet is None else (post.facets and facet in post.facets[number]):
            self._posts.append(
                HourPost(
                    id=post.id,
                    source=post.source,
                    text=post.text,
                    created_ms=post.event_ms,
                    author=str(post.author),
                    negative=post.probabilities[number][NEGATIVE],
                )
            )

    def shown(self, samples: "_Samples") -> Evidence:
        series = self.brand if self._first.facet is None else facet_series(self.brand, self._first.facet)
        masked = [replace_text(post, text=_MASK(post.text)) for post in self._posts]
        shelf = PostEvidenceReader(samples.of, lambda _series, _first, _end: WindowPosts(masked))
        last, first = self._end_ms // MINUTE_MS - 1, self._begin_ms // MINUTE_MS
        window = WindowCounts(last, last - first + 1)
        found = shelf.read(series, window, negative=self._first.usual_authors is None)
        # No examples: nothing took the names of people out of these texts.
        return self._first.model_copy(
            update={
                "sources": list(found.sources),
                "terms": list(found.terms),
                "terms_missing": found.terms_missing,
                "kept_posts": found.kept,
            }
        )


class _Samples:
    """Bottom-k of each wanted brand and day, as workers keep it (`stream_workers/aggregation/post_sample.py`)."""

    def __init__(self, wanted: set[tuple[str, int]]) -> None:
        self._heaps: dict[tuple[str, int], list[tuple[int, str, bool]]] = {place: [] for place in wanted}

    def offer(self, brand: str, post: JudgedPost, *, negative: bool) -> None:
        heap = self._heaps.get((brand, post.event_ms // DAY_MS))
        if heap is None:
            return
        digest = hashlib.blake2b(f"{post.source}\0{post.id}".encode(), digest_size=8).digest()
        offered = -int.from_bytes(digest, "big"), post.text, negative
        if len(heap) < SAMPLED:
            heappush(heap, offered)
        elif offered > heap[0]:
            heappushpop(heap, offered)

    def of(self, brand: str, first_day: int, last_day: int) -> Mapping[int, Sequence[SampledPost]]:
        return {day: list(self._posts(brand, day)) for day in range(first_day, last_day + 1)}

    def _posts(self, brand: str, day: int) -> Iterator[SampledPost]:
        # A post that was sent twice is there twice, and counts once: texts that hold the same terms do.
        for digest, text, negative in self._heaps.get((brand, day), ()):
            yield SampledPost(f"{-digest:016x}", negative, tuple(sorted(terms_of(_MASK(text)))))


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1_000)

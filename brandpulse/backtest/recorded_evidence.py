"""Sources and terms of a backtest's episodes, from a second pass over the recording.

The first pass keeps no text. The second keeps the posts that workers would have kept of the episodes' windows, and of
the days before them for comparison, and shows them as the alerter does.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime
from itertools import islice

from alerting.detection.share_detector import WindowCounts
from alerting.episodes.example_posts import PostEvidenceReader
from brandpulse.backtest.backtest import PastEpisode
from brandpulse.backtest.recorded_post import RecordedPost, outcome_of
from brandpulse.masking.mask import Mask
from brandpulse.schema.episodes import Evidence
from brandpulse.state.keys import DAY_MS, HOUR_MS, MINUTE_MS, facet_series
from brandpulse.state.partition_state import NO_CLOCK
from brandpulse.state.stored_posts import SAMPLE_DAYS, HourPost, SampledPost, WindowPosts
from stream_workers.aggregation.hour_posts import PostAllowance, hour_posts_from_rows, with_offered
from stream_workers.aggregation.post_sample import SampleBounds, samples_from_rows, with_sampled
from stream_workers.aggregation.types import OfferedPost, PostHour, Sampled, SampleDay, Scored

PARTITIONS = 4
"""Default number of partitions of the posts topic. Workers keep posts per partition."""
BATCH_POSTS = 4_096
NO_LIMIT = PostAllowance(sys.maxsize, sys.maxsize)
"""A worker limits the posts that it prepares per second; a backtest has no rate."""


def with_evidence(
    episodes: Sequence[PastEpisode],
    posts: Iterable[RecordedPost],
    *,
    dropped: Set[int] = frozenset(),
    partitions: int = PARTITIONS,
) -> list[PastEpisode]:
    """*episodes*, each with the sources and terms of the window that fired it.

    *posts*: the whole recording. *dropped*: numbers of the posts that did not count (`RecordedPanes.dropped`).
    """
    if not episodes:
        return []
    windows = [
        (one.episode.brand, _ms(one.episode.first.window_start), _ms(one.episode.first.window_end)) for one in episodes
    ]
    kept = KeptPosts(windows, partitions)
    counted = (post for number, post in enumerate(posts) if number not in dropped)
    while batch := list(islice(counted, BATCH_POSTS)):
        kept.add(batch)
    return [
        replace(past, episode=past.episode.model_copy(update={"first": _evidence_of(past.episode.brand, first, kept)}))
        for past in episodes
        for first in [past.episode.first]
    ]


def _evidence_of(brand: str, first: Evidence, kept: "KeptPosts") -> Evidence:
    series = brand if first.facet is None else facet_series(brand, first.facet)
    first_minute, end_minute = (_ms(at) // MINUTE_MS for at in (first.window_start, first.window_end))
    # `posts` stays 0: then no group of copies is reported as incomplete, and examples are not shown anyway.
    window = WindowCounts(end_minute - 1, end_minute - first_minute)
    found = PostEvidenceReader(kept.samples, kept.of_window).read(series, window, negative=first.usual_authors is None)
    # No examples: the mask does not know the brands' handles.
    return first.model_copy(
        update={
            "sources": list(found.sources),
            "terms": list(found.terms),
            "terms_missing": found.terms_missing,
            "kept_posts": found.kept,
            "one_text_accounts": found.one_text_accounts,
            "new_accounts": found.new_accounts,
            "shown_accounts": found.accounts,
        }
    )


class KeptPosts:
    """The posts that workers keep of some windows, and of the days before them."""

    def __init__(self, windows: Sequence[tuple[str, int, int]], partitions: int) -> None:
        """*windows*: brand, begin and end in event time (ms)."""
        self._hours: set[tuple[str, int]] = set()
        self._days: set[tuple[str, int]] = set()
        for brand, begin_ms, end_ms in windows:
            day = begin_ms // DAY_MS
            self._hours |= {(brand, hour) for hour in range(begin_ms // HOUR_MS, (end_ms - 1) // HOUR_MS + 1)}
            self._days |= {(brand, earlier) for earlier in range(day - SAMPLE_DAYS + 1, day)}
        self._mask = Mask()
        self._partitions = [_Partition() for _ in range(partitions)]

    def add(self, posts: Sequence[RecordedPost]) -> None:
        in_hours: dict[int, list[Scored]] = defaultdict(list)
        in_days: dict[int, list[Scored]] = defaultdict(list)
        for post in posts:
            hour, day = post.event_ms // HOUR_MS, post.event_ms // DAY_MS
            is_in_hour = any((brand, hour) in self._hours for brand in post.brands)
            is_in_day = any((brand, day) in self._days for brand in post.brands)
            if not (is_in_hour or is_in_day):
                continue
            outcome = outcome_of(post, mask=self._mask)
            if isinstance(outcome, Scored):
                number = outcome.digest[-1] % len(self._partitions)
                if is_in_hour:
                    in_hours[number].append(outcome)
                if is_in_day:
                    in_days[number].append(outcome)
        for number, partition in enumerate(self._partitions):
            partition.add(in_hours=in_hours[number], in_days=in_days[number])

    def samples(self, brand: str, first_day: int, last_day: int) -> Mapping[int, Sequence[SampledPost]]:
        """As `PaneReader.samples`."""
        return {
            day: [
                one.post for partition in self._partitions for one in partition.samples.get(SampleDay(brand, day), ())
            ]
            for day in range(first_day, last_day + 1)
        }

    def of_window(self, series: str, first_ms: int, end_ms: int) -> WindowPosts:
        """As `PaneReader.window_posts`."""
        negative, others = (list(self._in(series, first_ms, end_ms, negative=one)) for one in (True, False))
        return WindowPosts(negative, others)

    def _in(self, series: str, first_ms: int, end_ms: int, *, negative: bool) -> Iterator[HourPost]:
        for partition in self._partitions:
            for hour in range(first_ms // HOUR_MS, (end_ms - 1) // HOUR_MS + 1):
                for one in partition.hour_posts.get(PostHour(series, hour, negative), ()):
                    if first_ms <= one.post.created_ms < end_ms:
                        yield one.post


class _Partition:
    """The posts that one partition keeps."""

    def __init__(self) -> None:
        self.samples: dict[SampleDay, list[Sampled]] = {}
        self.hour_posts: dict[PostHour, list[OfferedPost]] = {}
        self._bounds = SampleBounds()

    def add(self, *, in_hours: Sequence[Scored], in_days: Sequence[Scored]) -> None:
        # With no watermark nothing is past its retention: the recording was read to its end before.
        samples = samples_from_rows(in_days, self._bounds, watermark_ms=NO_CLOCK)
        hour_posts = hour_posts_from_rows(in_hours, self._bounds.hours, watermark_ms=NO_CLOCK, allowance=NO_LIMIT)
        for day, posts in samples.items():
            self.samples[day] = with_sampled(self.samples.get(day, ()), posts)
        for hour, offered in hour_posts.items():
            self.hour_posts[hour] = with_offered(hour, self.hour_posts.get(hour, ()), offered)
        self._bounds.add(samples)
        self._bounds.hours.add(hour_posts)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1_000)

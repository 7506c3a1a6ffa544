"""Prometheus metrics of each applied change."""

from collections import Counter
from collections.abc import Callable, Sequence

from brandpulse.runtime.metric_definitions import LABELLED_BRANDS, OTHER_BRANDS
from brandpulse.runtime.metrics import Telemetry
from brandpulse.schema.posts import BRAND_SENTIMENTS
from brandpulse.state.outcomes.post_outcomes import EXTRA_COUNTS, OTHER_SOURCES, SOURCES, shown_source
from brandpulse.state.partition_state import PartitionStatus
from stream_workers.aggregation.types import Change
from stream_workers.decoding.post_decoder import REASONS


class PipelineMetrics:
    """Called by the storing thread only."""

    def __init__(
        self, telemetry: Telemetry, brands: Sequence[str], wall_ms: Callable[[], int], languages: Sequence[str] = ()
    ) -> None:
        """*languages*: that posts may be counted in."""
        self._telemetry = telemetry
        self._wall_ms = wall_ms
        self._sources: dict[str, str] = {}
        self._labelled = frozenset(brands[:LABELLED_BRANDS])
        # A series that starts with its first event hides that event from rate() and increase().
        for language in languages:
            telemetry.counter("brandpulse_posts_language_total").labels(language)
        for reason in REASONS:
            telemetry.counter("brandpulse_posts_dead_total").labels(reason)
        for brand in (*self._labelled, OTHER_BRANDS) if len(brands) > LABELLED_BRANDS else self._labelled:
            for sentiment in BRAND_SENTIMENTS:
                telemetry.counter("brandpulse_posts_counted_total").labels(brand, sentiment)

    def count_applied(self, before: PartitionStatus, change: Change) -> None:
        """*change* is in the store; *before* is the previous status of its partition."""
        after, counter = change.status, self._telemetry.counter
        counter("brandpulse_posts_late_total").inc(after.late - before.late)
        counter("brandpulse_posts_repeated_total").inc(after.repeated - before.repeated)
        counter("brandpulse_posts_unmatched_total").inc(after.unmatched - before.unmatched)
        counter("brandpulse_posts_unread_total").inc(after.unread - before.unread)
        counter("brandpulse_posts_keyless_total").inc(after.keyless - before.keyless)
        for cells in change.post_outcomes.values():
            for (source, outcome, _), posts in cells.items():
                if outcome not in EXTRA_COUNTS:
                    counter("brandpulse_posts_fate_total").labels(self._source(source), outcome).inc(posts)
        for dead_record in change.dead:
            if dead_record.record.offset not in change.origins:
                counter("brandpulse_posts_dead_total").labels(dead_record.reason).inc()
        for (_, language), posts in change.languages.items():
            counter("brandpulse_posts_language_total").labels(language).inc(posts)
        for (brand, label), posts in change.label_counts.items():
            shown = brand if brand in self._labelled else OTHER_BRANDS
            counter("brandpulse_posts_counted_total").labels(shown, BRAND_SENTIMENTS[label]).inc(posts)
        if change.record_posts:
            now = self._wall_ms()
            latencies: Counter[float] = Counter()
            for record_ms, posts in change.record_posts.items():
                latencies[max(0.0, (now - record_ms) / 1_000)] += posts
            self._telemetry.weighted_histogram("brandpulse_visible_latency_seconds").observe_many(latencies)

    def _source(self, source: str) -> str:
        """The label of *source*. Producers choose the names, and Prometheus needs few."""
        if (label := self._sources.get(source)) is None:
            if len(self._sources) >= SOURCES:
                return OTHER_SOURCES
            label = self._sources[source] = shown_source(source)
        return label

"""Every metric of the project in one table: name, kind, unit in the name, meaning, and what to do when it looks bad."""

import platform
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from threading import Lock
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from brandpulse.version import VERSION

# Each counter and histogram would export a second series, `_created`, which no panel and no rule reads.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types for it

Kind = Literal["counter", "gauge", "histogram", "weighted_histogram"]
"""`weighted_histogram` is a histogram to Prometheus; the process adds many observations in one call."""
Service = Literal["worker", "alerter", "serve"]
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
LABELLED_BRANDS = 200
"""So many brands, the first of the brands file, are labels of metrics; all others share one label."""
OTHER_BRANDS = "(other)"
SIZE_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the table."""

    name: str
    kind: Kind
    meaning: str
    remedy: str
    """What the engineer on call does when it looks bad."""
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = LATENCY_BUCKETS


BUILD_INFO = Metric(
    "brandpulse_build_info",
    "gauge",
    "1 for each running process; the labels name its service and the versions of brandpulse and Python.",
    "Two versions: a rollout is under way. A service is missing: start it, and read its log.",
    ("service", "version", "python"),
)

WORKER_METRICS = (
    BUILD_INFO,
    Metric("brandpulse_posts_read_total", "counter", "Posts read from Kafka.", "Flat with lag: see the worker's log."),
    Metric(
        "brandpulse_posts_counted_total",
        "counter",
        "Posts counted for a brand, by sentiment towards it. A post of two brands counts for both.",
        "Flat while posts are read: check brands.yaml against what people write. Mostly irrelevant: its words mean "
        "other things too; see require and exclude.",
        ("brand", "sentiment"),
    ),
    Metric(
        "brandpulse_posts_unmatched_total", "counter", "Posts that name no brand.", "High share: check brands.yaml."
    ),
    Metric(
        "brandpulse_posts_unread_total",
        "counter",
        "Posts that name a brand in a language that the model does not read. They count for no brand.",
        "High share: use a model of these languages (BRANDPULSE_WORKER_WEIGHTS).",
    ),
    Metric(
        "brandpulse_posts_keyless_total",
        "counter",
        "Records without a Kafka key. The same post may lie in two partitions, and counts in each.",
        "Produce with the post's id as the record's key.",
    ),
    Metric(
        "brandpulse_posts_fate_total",
        "counter",
        "Posts by source and fate: on_time, late, repeated, unmatched, unread, or a dead letter's reason. The first 12 "
        "sources that a worker meets have a label of their own.",
        "`brandpulse doctor` names the source and the likely cause.",
        ("source", "fate"),
    ),
    Metric("brandpulse_posts_late_total", "counter", "Posts behind the watermark.", "A source lags; see it."),
    Metric("brandpulse_posts_repeated_total", "counter", "Posts seen before.", "A producer resends; harmless."),
    Metric(
        "brandpulse_posts_dead_total",
        "counter",
        "Posts sent to the dead-letter topic, by reason.",
        "`brandpulse dlq list` shows them; fix the producer.",
        ("reason",),
    ),
    Metric(
        "brandpulse_stage_seconds_total",
        "counter",
        "Seconds spent per stage: wait (for posts), read, decode, score (until the model takes more), answer (until it "
        "has said all), fold, hand_over, write.",
        "The largest but wait and answer is the bottleneck: score wants cores or a GPU, write a nearer Redis.",
        ("stage",),
    ),
    Metric(
        "brandpulse_batch_posts",
        "histogram",
        "Posts per batch.",
        "All small under lag: raise fetch sizes.",
        (),
        SIZE_BUCKETS,
    ),
    Metric(
        "brandpulse_visible_latency_seconds",
        "weighted_histogram",
        "From a post's Kafka timestamp to its count in Redis.",
        "Rising: lag. Add workers up to the number of partitions.",
    ),
    Metric(
        "brandpulse_partition_lag",
        "gauge",
        "Records not yet applied, per partition.",
        "Growing on all: add workers. On one: is it paused (doctor)?",
        ("partition",),
    ),
    Metric(
        "brandpulse_partition_watermark_seconds",
        "gauge",
        "Event-time watermark per partition, as Unix seconds.",
        "Standing still with lag: the worker hangs; it restarts itself after its watchdog time.",
        ("partition",),
    ),
    Metric(
        "brandpulse_partition_paused",
        "gauge",
        "1 while a partition waits for a person after too many invalid posts.",
        "`brandpulse dlq list`, then `brandpulse dlq allow`.",
        ("partition",),
    ),
    Metric(
        "brandpulse_writes_refused_total",
        "counter",
        "Batches the store refused because `next` had moved; each was reloaded and read again.",
        "A few at a rebalance are the fence at work. Steadily: two workers share a group id wrongly.",
    ),
    Metric(
        "brandpulse_partition_standstills_total",
        "counter",
        "Partitions that were not read for 20 s of reading though records waited; each was begun anew where it stood.",
        "Kafka's client lost sight of a partition, or a leader is very slow. Nothing is lost. Often: see the brokers.",
    ),
    Metric(
        "brandpulse_log_breaks_total",
        "counter",
        "Partitions whose log could not be read on where we stood: retention (it took records that nobody had read), "
        "cut (Kafka lost the log's end), another_log (the topic was made anew). The worker's log has the offsets.",
        "retention: keep the topic for longer, or add workers. cut: an unclean election, or a disk that lost writes; "
        "what was not read is gone. another_log: once when you make the topic anew; else ask who did.",
        ("why",),
    ),
    Metric("brandpulse_score_cache_hits_total", "counter", "Texts scored before.", "None: texts are all different."),
    Metric("brandpulse_score_cache_misses_total", "counter", "Texts sent through the model.", "See hits."),
    Metric(
        "brandpulse_posts_hurried_total",
        "counter",
        "Posts in doubt that kept the early layers' answer, because the worker was behind.",
        "Steadily: add workers, or raise BRANDPULSE_WORKER_HURRY_LAG.",
    ),
    Metric(
        "brandpulse_model_info",
        "gauge",
        "1; the labels name the model.",
        "Two versions: a rollout is under way.",
        ("name", "version"),
    ),
)

ALERTER_METRICS = (
    BUILD_INFO,
    Metric(
        "brandpulse_window_posts",
        "gauge",
        "Posts of the last hour of event time, by brand and sentiment towards it.",
        "Zero: the stream is silent, or the brand's words changed.",
        ("brand", "sentiment"),
    ),
    Metric(
        "brandpulse_window_negative_ratio",
        "gauge",
        "Negative authors over authors in the last hour of event time.",
        "High: read the newest negative posts on the live page.",
        ("brand",),
    ),
    Metric(
        "brandpulse_baseline_negative_ratio",
        "gauge",
        "The share that the brand's own past makes us expect.",
        "Drifts with the brand; a jump follows a long crisis.",
        ("brand",),
    ),
    Metric(
        "brandpulse_expected_delay_seconds",
        "gauge",
        "How long a rise by 25 points goes untold at the brand's usual volume; +Inf: more than a day.",
        "Statistics, not load: more posts about the brand, or a larger budget, shorten it.",
        ("brand",),
    ),
    Metric(
        "brandpulse_window_facet_ratio",
        "gauge",
        "People in the facet over the brand's people, in the alerter's first window of an hour or more (90 minutes "
        "unless set). Of facets that a rule watches.",
        "High: its episode on the live page shows posts in it, and words.",
        ("brand", "facet"),
    ),
    Metric(
        "brandpulse_baseline_facet_ratio",
        "gauge",
        "The share of the facet that the brand's own past makes us expect.",
        "Missing: the facet is learnt for a day first, or nobody was in it for three hours.",
        ("brand", "facet"),
    ),
    Metric("brandpulse_episodes_open", "gauge", "Episodes firing now.", "Read the live page.", ("brand", "rule")),
    Metric(
        "brandpulse_episode_transitions_total",
        "counter",
        "Episodes triggered, updated, resolved.",
        "Many triggers of one rule: it flaps; raise its evidence.",
        ("rule", "transition"),
    ),
    Metric(
        "brandpulse_deliveries_total",
        "counter",
        "Notifications by receiver and outcome: delivered, retried, quarantined.",
        "Retried: the receiver is down. Quarantined: it refused; read `brandpulse outbox`.",
        ("receiver", "outcome"),
    ),
    Metric("brandpulse_outbox_pending", "gauge", "Notifications not yet handed over.", "Growing: a receiver is down."),
    Metric(
        "brandpulse_outbox_quarantined", "gauge", "Notifications a receiver refused for good.", "Read its answer; mend."
    ),
    Metric(
        "brandpulse_decision_to_delivery_seconds",
        "histogram",
        "From a durable decision to the receiver's yes.",
        "High: a slow receiver, or retries.",
    ),
    Metric("brandpulse_alerter_leader", "gauge", "1 on the alerter that decides and sends.", "Sum not 1: see leases."),
    Metric(
        "brandpulse_alerter_clock_seconds",
        "gauge",
        "Event time evaluated so far, as Unix seconds.",
        "Standing still: a partition has no owner, or is stalled.",
    ),
    Metric(
        "brandpulse_notifications",
        "gauge",
        "Notifications since the state began, by receiver and fate: accepted, delivered, quarantined, or why one was "
        "not sent: silenced, quiet_hours, grouped, below_severity, acknowledged, no_news, never_told, other_rule. "
        "accepted = delivered + quarantined + brandpulse_outbox_pending.",
        "Many of one reason: a silence or rule hides more than was meant.",
        ("receiver", "fate"),
    ),
    Metric(
        "brandpulse_heartbeats_total",
        "counter",
        "Dead-man's beats by outcome: sent, withheld (something stands still), failed (the other side).",
        "Withheld: the log says what stands still. Failed: check BRANDPULSE_ALERTER_HEARTBEAT_URL.",
        ("outcome",),
    ),
    Metric("brandpulse_silences_active", "gauge", "Silences in force.", "`brandpulse silence list` shows them."),
    Metric(
        "brandpulse_rules_valid",
        "gauge",
        "1 while the rules in force are those of the rules file; 0 after a change that could not be read.",
        "`brandpulse rules check FILE` names the line. Until it is mended the rules before it hold.",
    ),
    Metric("brandpulse_tick_seconds", "histogram", "One evaluation of all brands.", "Near 60 s: too many brands."),
    Metric(
        "brandpulse_stream_silent", "gauge", "1 while no post has come for longer than usual.", "Check the sources."
    ),
    Metric(
        "brandpulse_stream_stalled",
        "gauge",
        "1 while a partition with lag makes no progress: its brand may burn unseen.",
        "Start a worker; `brandpulse doctor` names the partition.",
    ),
)


SERVE_METRICS = (
    BUILD_INFO,
    Metric(
        "brandpulse_serve_requests_total",
        "counter",
        "HTTP requests by path and status. 499: the client went away first.",
        "Many 503: the model is the bottleneck; add a process, or cores. 5xx else: see the log.",
        ("path", "status"),
    ),
    Metric(
        "brandpulse_serve_request_seconds",
        "histogram",
        "From a request's head to the end of its answer, by path.",
        "High with a full queue: too much is asked. High without: texts are long, or the machine is busy.",
        ("path",),
    ),
    Metric(
        "brandpulse_serve_batch_texts",
        "histogram",
        "Texts that went through the model together.",
        "Always 1 under load: clients wait for each answer before they ask again.",
        (),
        SIZE_BUCKETS,
    ),
    Metric(
        "brandpulse_serve_score_seconds",
        "histogram",
        "The model's time for one batch.",
        "Rising for the same batches: something else uses the cores.",
    ),
    Metric(
        "brandpulse_serve_waiting_texts",
        "gauge",
        "Texts that no batch has taken yet.",
        "Near BRANDPULSE_SERVE_MAX_WAITING_TEXTS: requests are refused with 503.",
    ),
    Metric(
        "brandpulse_serve_failed_texts_total",
        "counter",
        "Texts on which the model raised; their request got 500.",
        "Any is a bug: the log names the error.",
    ),
    *(
        metric
        for metric in WORKER_METRICS
        if metric.name.startswith(("brandpulse_model_", "brandpulse_score_cache_", "brandpulse_posts_hurried_"))
    ),
)


class WeightedHistogram(Collector):
    """A histogram that takes a batch's observations in one call, without a step for each of them.

    prometheus_client's own takes one value a call. Memory: a number per bucket. Safe to call from several threads.
    """

    def __init__(self, name: str, meaning: str, *, registry: CollectorRegistry, buckets: tuple[float, ...]) -> None:
        """*buckets*: upper bounds, rising, without +Inf."""
        self._name = name
        self._meaning = meaning
        self._bounds = buckets
        self._lock = Lock()
        self._counts = [0] * (len(buckets) + 1)
        self._sum = 0.0
        registry.register(self)

    def observe_many(self, counts: Mapping[float, int]) -> None:
        """Add each value of *counts* as often as it says."""
        with self._lock:
            for value, times in counts.items():
                self._counts[bisect_left(self._bounds, value)] += times
                self._sum += value * times

    def collect(self) -> Iterable[HistogramMetricFamily]:
        with self._lock:
            counts, total = list(self._counts), self._sum
        names = [*map(floatToGoString, self._bounds), "+Inf"]
        family = HistogramMetricFamily(self._name, self._meaning)
        family.add_metric([], list(zip(names, accumulate(counts), strict=True)), sum_value=total)
        yield family


class Telemetry:
    """The metrics of one process, made from the table. An unknown name raises KeyError."""

    def __init__(self, metrics: Iterable[Metric], *, service: Service | None = None) -> None:
        """*service*: what this process is. With it, the process's memory, processor time, open files, garbage
        collections and versions are exported too; without it (tests, benches) only *metrics* are."""
        self.registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        self._weighted: dict[str, WeightedHistogram] = {}
        for metric in metrics:
            if metric.kind == "counter":
                self._counters[metric.name] = Counter(
                    metric.name, metric.meaning, metric.labels, registry=self.registry
                )
            elif metric.kind == "gauge":
                self._gauges[metric.name] = Gauge(metric.name, metric.meaning, metric.labels, registry=self.registry)
            elif metric.kind == "weighted_histogram":
                self._weighted[metric.name] = WeightedHistogram(
                    metric.name, metric.meaning, registry=self.registry, buckets=metric.buckets
                )
            else:
                self._histograms[metric.name] = Histogram(
                    metric.name, metric.meaning, metric.labels, registry=self.registry, buckets=metric.buckets
                )
        if service is not None:
            ProcessCollector(registry=self.registry)
            GCCollector(registry=self.registry)
            self.gauge(BUILD_INFO.name).labels(service, VERSION, platform.python_version()).set(1)

    def counter(self, name: str) -> Counter:
        return self._counters[name]

    def gauge(self, name: str) -> Gauge:
        return self._gauges[name]

    def histogram(self, name: str) -> Histogram:
        return self._histograms[name]

    def weighted_histogram(self, name: str) -> WeightedHistogram:
        return self._weighted[name]

    def expose(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

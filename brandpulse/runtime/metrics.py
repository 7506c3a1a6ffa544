"""The metrics of one process, made from the table in `brandpulse.runtime.metric_definitions`."""

import platform
from bisect import bisect_left
from collections.abc import Iterable, Mapping
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
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from brandpulse.runtime.metric_definitions import BUILD_INFO, Metric
from brandpulse.version import VERSION

# Each counter and histogram would export a second series, `_created`, which no panel and no rule reads.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types for it

Service = Literal["worker", "alerter", "serve", "ingest"]
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class WeightedHistogram(Collector):
    """A histogram that takes a batch's observations in one call.

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
        """Add the observations of a batch: value -> how often."""
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


class DeprecatedCounter(Collector):
    """Exports *counter* under an older name too, with the same value."""

    def __init__(self, name: str, counter: Counter, *, registry: CollectorRegistry) -> None:
        self._name = name
        self._counter = counter
        registry.register(self)

    def collect(self) -> Iterable[CounterMetricFamily]:
        for family in self._counter.collect():
            renamed = CounterMetricFamily(self._name, f"Deprecated name of {family.name}_total.")
            for sample in family.samples:
                renamed.add_metric([], sample.value)
            yield renamed


class Telemetry:
    """The metrics of one process, made from the table. An unknown name raises KeyError."""

    def __init__(self, metrics: Iterable[Metric], *, service: Service | None = None) -> None:
        """*service*: with it, the process's memory, processor time, open files, garbage collections and versions are
        exported too; without it (tests, benches) only *metrics*."""
        self.registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        self._weighted: dict[str, WeightedHistogram] = {}
        for metric in metrics:
            if metric.kind == "counter":
                counter = Counter(metric.name, metric.meaning, metric.labels, registry=self.registry)
                self._counters[metric.name] = counter
                if metric.deprecated_name:
                    DeprecatedCounter(metric.deprecated_name, counter, registry=self.registry)
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

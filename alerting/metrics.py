"""Metrics of one evaluation."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from prometheus_client import Gauge

from alerting.detection.expected_delay import expected_delay
from alerting.episodes.lifecycle import ALL_BRANDS
from alerting.evaluation.evaluator import EvaluationReport
from alerting.evaluation.rule_evaluator import FacetView
from alerting.rules.models import STORM, STREAM_RULES, RuleSet
from alerting.store.alert_store import Tally
from brandpulse.runtime.metric_definitions import LABELLED_BRANDS, OTHER_BRANDS
from brandpulse.runtime.metrics import Telemetry
from brandpulse.schema.posts import BRAND_SENTIMENTS
from brandpulse.state.keys import brand_of, facet_of

OWN_RULES = (*STREAM_RULES, STORM)
TRANSITIONS = ("triggered", "updated", "acknowledged", "resolved")
OUTCOMES = ("delivered", "retried", "quarantined")


def start_counters(telemetry: Telemetry, receivers: Iterable[str], rules: RuleSet) -> None:
    """Set every counter to zero: otherwise rate() and increase() miss the first event of a series."""
    start_rule_counters(telemetry, rules)
    for receiver in receivers:
        for outcome in OUTCOMES:
            telemetry.counter("brandpulse_deliveries_total").labels(receiver, outcome)


def start_rule_counters(telemetry: Telemetry, rules: RuleSet) -> None:
    """The same for *rules* and the built-in rules. Existing counts stay."""
    for rule in (*(rule.name for rule in rules.rules), *OWN_RULES):
        for transition in TRANSITIONS:
            telemetry.counter("brandpulse_episode_transitions_total").labels(rule, transition)


def record_tally(telemetry: Telemetry, tally: Tally) -> None:
    """The state of all notifications at one moment, so that the numbers of one scrape are consistent."""
    telemetry.gauge("brandpulse_outbox_pending").set(tally.waiting)
    telemetry.gauge("brandpulse_outbox_quarantined").set(tally.quarantined)
    fates = telemetry.gauge("brandpulse_notifications")
    for (receiver, fate), number in tally.counts.items():
        fates.labels(receiver, fate).set(number)


def record_evaluation(
    telemetry: Telemetry, report: EvaluationReport, *, seconds: float, brands: Sequence[str] | None = None
) -> None:
    """Set every metric of *report*.

    *brands*: the names of the brands file, in its order; None if it cannot be read. The first 200 are labels; the
    posts and episodes of all others share the label `(other)`. A brand that left the file loses its series.
    """
    telemetry.histogram("brandpulse_tick_seconds").observe(seconds)
    if report.evaluated_until_ms is not None:
        telemetry.gauge("brandpulse_alerter_clock_seconds").set(report.evaluated_until_ms / 1_000)
    for gauge, state in (("brandpulse_stream_stalled", report.stalled), ("brandpulse_stream_silent", report.silent)):
        if state != "unknown":
            telemetry.gauge(gauge).set(state == "yes")
    for episode, transition, _ in report.transitions:
        telemetry.counter("brandpulse_episode_transitions_total").labels(episode.rule, transition).inc()
    telemetry.gauge("brandpulse_silences_active").set(report.silences)
    if brands is None:
        brands = sorted({*report.views, *map(brand_of, report.facets)})
    labels = _BrandLabels(brands)
    _replace(
        telemetry.gauge("brandpulse_episodes_open"),
        Counter((labels.of(episode.brand), episode.rule) for episode in report.open),
    )
    if report.views:
        _show_brands(telemetry, report, labels)
        _show_facets(telemetry, report.facets, labels)


class _BrandLabels:
    """The brands that are labels. Their number is bounded, because Prometheus keeps a series of each for weeks."""

    def __init__(self, brands: Sequence[str]) -> None:
        self._labelled = frozenset(brands[:LABELLED_BRANDS])

    def of(self, brand: str) -> str:
        # Episodes about the whole stream, or about many brands, keep their own label.
        return brand if brand == ALL_BRANDS or brand in self._labelled else OTHER_BRANDS

    def has(self, brand: str) -> bool:
        return brand in self._labelled


def _replace(gauge: Gauge, values: Mapping[tuple[str, ...], float]) -> None:
    """Replace all series of *gauge* with *values*."""
    gauge.clear()
    for labels, value in values.items():
        gauge.labels(*labels).set(value)


def _show_brands(telemetry: Telemetry, report: EvaluationReport, labels: _BrandLabels) -> None:
    posts: Counter[tuple[str, ...]] = Counter()
    shares: dict[tuple[str, ...], float] = {}
    usual: dict[tuple[str, ...], float] = {}
    without: dict[tuple[str, ...], float] = {}
    for brand, view in report.views.items():
        label = labels.of(brand)
        for sentiment in BRAND_SENTIMENTS:
            posts[label, sentiment] += getattr(view.pane, sentiment)
        if label == brand:
            shares[label,] = view.hour.share if view.hour else 0.0
            if (learnt := view.finding.learnt) is not None:
                usual[label,] = learnt.share
            window = view.finding.window
            if window is not None and window.copied is not None and window.excluded is not None:
                without[label, "copied"] = window.copied
                without[label, "excluded"] = window.excluded
    _replace(telemetry.gauge("brandpulse_window_posts"), posts)
    _replace(telemetry.gauge("brandpulse_window_negative_ratio"), shares)
    _replace(telemetry.gauge("brandpulse_baseline_negative_ratio"), usual)
    _replace(telemetry.gauge("brandpulse_window_people_without_vote"), without)
    _replace(
        telemetry.gauge("brandpulse_expected_delay_seconds"),
        {(brand,): delay for brand, delay in detection_delays(report).items() if labels.has(brand)},
    )


def _show_facets(telemetry: Telemetry, facets: Mapping[str, FacetView], labels: _BrandLabels) -> None:
    labelled = {
        (brand_of(series), facet_of(series)): view for series, view in facets.items() if labels.has(brand_of(series))
    }
    _replace(telemetry.gauge("brandpulse_window_facet_ratio"), {key: view.share for key, view in labelled.items()})
    _replace(
        telemetry.gauge("brandpulse_baseline_facet_ratio"),
        {key: view.usual for key, view in labelled.items() if view.usual is not None},
    )


def detection_delays(report: EvaluationReport) -> dict[str, float]:
    """By brand: seconds until a rise by 25 points pages, if the brand's past is known; inf: more than a day."""
    found = {}
    for brand, view in report.views.items():
        if (usual := view.finding.learnt) is not None:
            # The delay hardly depends on small changes of the usual share: rounding lets the result be cached.
            rounded = replace(usual, share=round(usual.share, 2), rho=round(usual.rho, 3), weight=None, weight_rho=0.0)
            delay = expected_delay(rounded, view.finding.policy)
            found[brand] = math.inf if delay is None else delay * 60
    return found

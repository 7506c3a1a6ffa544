"""A tick's report, as metrics."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from alerting.expected_delay import expected_delay
from alerting.facet_rules import FacetView
from alerting.rules import STORM, STREAM_RULES, RuleSet
from alerting.store import Tally
from alerting.tick import TickReport
from brandpulse.keys import brand_of, facet_of
from brandpulse.telemetry import Telemetry

OWN_RULES = (*STREAM_RULES, STORM)
TRANSITIONS = ("triggered", "updated", "acknowledged", "resolved")
OUTCOMES = ("delivered", "retried", "quarantined")


def begin(telemetry: Telemetry, receivers: Iterable[str], rules: RuleSet) -> None:
    """Every counter at zero: a series that begins with its first event hides that event from rate() and increase()."""
    begin_rules(telemetry, rules)
    for receiver in receivers:
        for outcome in OUTCOMES:
            telemetry.counter("brandpulse_deliveries_total").labels(receiver, outcome)


def begin_rules(telemetry: Telemetry, rules: RuleSet) -> None:
    """As `begin`, for each of *rules* and the alerter's own; what was counted already stands."""
    for rule in (*(rule.name for rule in rules.rules), *OWN_RULES):
        for transition in TRANSITIONS:
            telemetry.counter("brandpulse_episode_transitions_total").labels(rule, transition)


def show_tally(telemetry: Telemetry, tally: Tally) -> None:
    """Where all notifications are, as they were at one moment: the numbers of one scrape agree."""
    telemetry.gauge("brandpulse_outbox_pending").set(tally.waiting)
    telemetry.gauge("brandpulse_outbox_quarantined").set(tally.set_aside)
    fates = telemetry.gauge("brandpulse_notifications")
    for (receiver, fate), number in tally.counts.items():
        fates.labels(receiver, fate).set(number)


def show(telemetry: Telemetry, report: TickReport, *, seconds: float) -> None:
    """Set every metric that a tick knows of."""
    telemetry.histogram("brandpulse_tick_seconds").observe(seconds)
    if report.evaluated_until_ms is not None:
        telemetry.gauge("brandpulse_alerter_clock_seconds").set(report.evaluated_until_ms / 1_000)
    for rule, holds in (("brandpulse_stream_stalled", report.stalled), ("brandpulse_stream_silent", report.silent)):
        if holds != "unknown":
            telemetry.gauge(rule).set(holds == "yes")
    for episode, transition, _ in report.transitions:
        telemetry.counter("brandpulse_episode_transitions_total").labels(episode.rule, transition).inc()
    telemetry.gauge("brandpulse_silences_active").set(report.silences)
    opened = telemetry.gauge("brandpulse_episodes_open")
    opened.clear()
    for (brand, rule), number in Counter((episode.brand, episode.rule) for episode in report.open).items():
        opened.labels(brand, rule).set(number)
    for brand, view in report.views.items():
        posts = telemetry.gauge("brandpulse_window_posts")
        posts.labels(brand, "negative").set(view.pane.negative)
        posts.labels(brand, "neutral").set(view.pane.neutral)
        posts.labels(brand, "positive").set(view.pane.positive)
        posts.labels(brand, "irrelevant").set(view.pane.irrelevant)
        telemetry.gauge("brandpulse_window_negative_ratio").labels(brand).set(view.hour.share if view.hour else 0.0)
        if (usual := view.finding.learnt) is not None:
            telemetry.gauge("brandpulse_baseline_negative_ratio").labels(brand).set(usual.share)
    if report.views:
        _show_facets(telemetry, report.facets)
    for brand, delay in delays(report).items():
        telemetry.gauge("brandpulse_expected_delay_seconds").labels(brand).set(delay)


def _show_facets(telemetry: Telemetry, facets: Mapping[str, FacetView]) -> None:
    """Anew each time: what no rule watches any more must not stand still on a dashboard."""
    share, usual = (telemetry.gauge(f"brandpulse_{which}_facet_ratio") for which in ("window", "baseline"))
    share.clear()
    usual.clear()
    for series, view in facets.items():
        place = brand_of(series), facet_of(series)
        share.labels(*place).set(view.share)
        if view.usual is not None:
            usual.labels(*place).set(view.usual)


def delays(report: TickReport) -> dict[str, float]:
    """Seconds that a rise by 25 points goes untold, of each brand whose past is known; inf: more than a day."""
    found = {}
    for brand, view in report.views.items():
        if (usual := view.finding.learnt) is not None:
            delay = expected_delay(usual, view.finding.policy)
            found[brand] = math.inf if delay is None else delay * 60
    return found

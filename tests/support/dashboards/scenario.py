"""Hours of a service's metrics, made with its real registries: one brand has a crisis, one partition falls behind."""

import math
import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from brandpulse.runtime.metric_definitions import ALERTER_METRICS, WORKER_METRICS
from brandpulse.runtime.metrics import Telemetry

BRANDS = {"Acme Air": (0.9, 0.18), "Nordbank": (0.5, 0.11), "Zest / Söhne & Co": (0.2, 0.06)}
"""Posts per second, and the baseline negative share."""
FACETS = {"refund": 0.04, "urgent": 0.09}
"""Their baseline shares of a brand's people."""
STAGES = {"read": 0.03, "decode": 0.02, "score": 0.55, "fold": 0.04, "hand_over": 0.02, "write": 0.09}
RECEIVERS = ("pagerduty", "slack")


class Scenario:
    """Moves worker and alerter metrics from *start* to *end*; the crisis fills the last quarter."""

    def __init__(self, start: datetime, end: datetime) -> None:
        self.worker = Telemetry(WORKER_METRICS)
        self.alerter = Telemetry(ALERTER_METRICS)
        self._crisis = end - (end - start) / 4
        self._end = end
        self._dice = random.Random(3)
        self._fired = False
        self.worker.gauge("brandpulse_model_info").labels(
            **dict(zip(_labels("brandpulse_model_info"), ("minilm-sentiment", "1.0", "openvino"), strict=False))
        ).set(1)

    def step(self, at: datetime, seconds: float) -> None:
        """Updates the metrics for *seconds* of work up to *at*."""
        burning = at >= self._crisis
        self._work(at, seconds, burning=burning)
        self._decide(at, seconds, burning=burning)

    def steps(self, start: datetime, width: timedelta) -> Iterator[datetime]:
        """Steps from *start* to the end; yields the time after each step."""
        at = start
        while at <= self._end:
            self.step(at, width.total_seconds())
            yield at
            at += width

    def _work(self, at: datetime, seconds: float, *, burning: bool) -> None:
        worker, dice = self.worker, self._dice
        total = 0.0
        for brand, (pace, usual) in BRANDS.items():
            hot = burning and brand == "Acme Air"
            share = 0.6 if hot else usual
            posts = pace * (2.5 if hot else 1) * seconds * dice.uniform(0.8, 1.2)
            total += posts
            counted = worker.counter("brandpulse_posts_counted_total")
            for sentiment, part in (
                ("negative", share),
                ("neutral", (1 - share) * 0.6),
                ("positive", (1 - share) * 0.4),
                ("irrelevant", 0.08),
            ):
                counted.labels(brand=brand, sentiment=sentiment).inc(posts * part)
        worker.counter("brandpulse_posts_read_total").inc(total * 1.12)
        worker.counter("brandpulse_posts_unmatched_total").inc(total * 0.08)
        worker.counter("brandpulse_posts_repeated_total").inc(total * 0.02)
        worker.counter("brandpulse_posts_late_total").inc(total * 0.01)
        worker.counter("brandpulse_posts_dead_total").labels(reason="not_json").inc(total * 0.004)
        worker.counter("brandpulse_posts_dead_total").labels(reason="too_old").inc(total * 0.002)
        for stage, busy in STAGES.items():
            worker.counter("brandpulse_stage_seconds_total").labels(stage=stage).inc(
                busy * seconds * (1.6 if burning else 1) * dice.uniform(0.9, 1.1) * 0.5
            )
        for _ in range(30):
            worker.histogram("brandpulse_batch_posts").observe(dice.lognormvariate(3.0, 0.6))
            worker.weighted_histogram("brandpulse_visible_latency_seconds").observe_many(
                {dice.lognormvariate(-1.2 + 0.5 * burning, 0.4): 1}
            )
        for partition in range(4):
            lag = 900 * (1 + math.sin(at.timestamp() / 900)) * dice.random() if burning and partition == 2 else 0
            label = {"partition": str(partition)}
            worker.gauge("brandpulse_partition_lag").labels(**label).set(round(lag))
            worker.gauge("brandpulse_partition_watermark_seconds").labels(**label).set(at.timestamp() - 121 - lag / 9)
            worker.gauge("brandpulse_partition_paused").labels(**label).set(0)
        worker.counter("brandpulse_writes_refused_total").inc(1 if dice.random() < 0.01 else 0)
        worker.counter("brandpulse_log_breaks_total").labels(why="retention").inc(1 if dice.random() < 0.005 else 0)
        worker.counter("brandpulse_score_cache_hits_total").inc(total * 0.22)
        worker.counter("brandpulse_score_cache_misses_total").inc(total * 0.78)
        worker.counter("brandpulse_posts_degraded_total").inc(total * 0.1 if burning else 0)

    def _decide(self, at: datetime, seconds: float, *, burning: bool) -> None:
        alerter, dice = self.alerter, self._dice
        into = max(0.0, (at - self._crisis).total_seconds() / 3600) if burning else 0.0
        for brand, (pace, usual) in BRANDS.items():
            hot = min(1.0, into) if brand == "Acme Air" else 0.0
            share = usual + (0.6 - usual) * hot + dice.gauss(0, 0.006)
            posts = pace * 3600 * (1 + 1.5 * hot)
            alerter.gauge("brandpulse_window_negative_ratio").labels(brand=brand).set(share)
            alerter.gauge("brandpulse_baseline_negative_ratio").labels(brand=brand).set(usual)
            for sentiment, part in (
                ("negative", share),
                ("neutral", (1 - share) * 0.6),
                ("positive", (1 - share) * 0.4),
                ("irrelevant", 0.08),
            ):
                alerter.gauge("brandpulse_window_posts").labels(brand=brand, sentiment=sentiment).set(
                    round(posts * part)
                )
            for facet, part in FACETS.items():
                place = {"brand": brand, "facet": facet}
                inside = part * (1 + 4 * hot * (facet == "refund")) + dice.gauss(0, 0.003)
                alerter.gauge("brandpulse_window_facet_ratio").labels(**place).set(max(0.0, inside))
                alerter.gauge("brandpulse_baseline_facet_ratio").labels(**place).set(part)
            if hot > 0.1:  # as the alerter does: no series without an episode
                alerter.gauge("brandpulse_episodes_open").labels(brand=brand, rule="negative_share").set(1)
            if hot > 0.1 and not self._fired:
                self._fired = True
                self._tell("triggered")
        if self._fired and dice.random() < seconds / 900:
            self._tell("updated")
        if not self._fired and dice.random() < seconds / 5000:
            self._tell("triggered")
            self._tell("resolved")
        alerter.gauge("brandpulse_outbox_pending").set(0)
        alerter.gauge("brandpulse_rules_valid").set(1)
        alerter.gauge("brandpulse_silences_active").set(1 if burning else 0)
        alerter.counter("brandpulse_heartbeats_total").labels("sent").inc(seconds / 60)
        for brand, (pace, _) in BRANDS.items():
            alerter.gauge("brandpulse_expected_delay_seconds").labels(brand=brand).set(1_800 / pace)
        alerter.gauge("brandpulse_outbox_quarantined").set(0)
        alerter.gauge("brandpulse_alerter_leader").set(1)
        alerter.gauge("brandpulse_alerter_clock_seconds").set(at.timestamp() // 60 * 60 - 120)
        for _ in range(10):
            alerter.histogram("brandpulse_tick_seconds").observe(dice.lognormvariate(-4, 0.4))
        alerter.gauge("brandpulse_stream_silent").set(0)
        alerter.gauge("brandpulse_stream_stalled").set(0)

    def _tell(self, transition: str) -> None:
        alerter = self.alerter
        alerter.counter("brandpulse_episode_transitions_total").labels(
            rule="negative_share", transition=transition
        ).inc()
        for receiver in RECEIVERS:
            alerter.counter("brandpulse_deliveries_total").labels(receiver=receiver, outcome="delivered").inc()
            for fate in ("accepted", "delivered"):
                alerter.gauge("brandpulse_notifications").labels(receiver=receiver, fate=fate).inc()
            alerter.histogram("brandpulse_decision_to_delivery_seconds").observe(self._dice.lognormvariate(-1, 0.4))


def _labels(name: str) -> tuple[str, ...]:
    return next(metric.labels for metric in WORKER_METRICS if metric.name == name)

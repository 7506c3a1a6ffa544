"""The dashboard for operators: throughput, latency, processing time, alerting and notifications."""

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.grafana import panels as p
from dashboards.grafana.panels import Column, Query, of_leader, quantile

UID = "brandpulse-pipeline"
TITLE = "brandpulse · Pipeline"
PART = "{{partition}}"


def _rate(metric: str, *by: str) -> str:
    grouped = f" by ({', '.join(by)})" if by else ""
    return f"sum{grouped} (rate({metric}[$__rate_interval]))"


def _quantiles(histogram: str) -> list[Query]:
    return [Query(quantile(share, histogram), name) for share, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))]


def _missed(what: str) -> str:
    return f"sum by (name) (increase(brandpulse_source_{what}_total[$__rate_interval])) or vector(0)"


def _used(unit: str) -> str:
    spent, budget = (f"max by (name) (brandpulse_source_{what}_{unit})" for what in ("spent", "budget"))
    return f"{spent} / {budget} or vector(0)"


def build() -> Dashboard:
    """The dashboard, from the metrics of the worker and the alerter."""
    return (
        p.board(
            TITLE,
            uid=UID,
            description="Reading, scoring, counting and alerting: lag, latency, dropped posts and notifications.",
            other=("Brands", "brandpulse-brands"),
        )
        .with_panel(
            p.number(
                "Consumer lag",
                Query("sum(max by (partition) (brandpulse_partition_lag))"),
                steps=((None, p.CALM), (1_000, p.WARN), (100_000, p.BAD)),
                spark=True,
            )
        )
        .with_panel(
            p.number(
                "Paused partitions",
                Query("sum(max by (partition) (brandpulse_partition_paused))", instant=True),
                steps=((None, p.CALM), (1, p.BAD)),
            )
        )
        .with_panel(
            p.number(
                "Stream status",
                Query(f"max({of_leader('2 * brandpulse_stream_stalled + brandpulse_stream_silent')})", instant=True),
                mappings=(
                    ("0", "flowing", p.CALM),
                    ("1", "silent", p.WARN),
                    ("2", "stalled", p.BAD),
                    ("3", "stalled", p.BAD),
                ),
            )
        )
        .with_panel(
            p.number(
                "Leading alerters",
                Query("sum(brandpulse_alerter_leader)", instant=True),
                steps=((None, p.BAD), (1, p.CALM), (2, p.BAD)),
            )
        )
        .with_panel(
            p.number(
                "Notifications pending",
                Query("max(brandpulse_outbox_pending)", instant=True),
                steps=((None, p.CALM), (20, p.WARN), (200, p.BAD)),
            )
        )
        .with_panel(
            p.number(
                "Notifications quarantined",
                Query("max(brandpulse_outbox_quarantined)", instant=True),
                steps=((None, p.CALM), (1, p.BAD)),
            )
        )
        .with_row(p.row("Throughput"))
        .with_panel(
            p.lines(
                "Posts per second",
                Query(_rate("brandpulse_posts_read_total"), "read"),
                Query(_rate("brandpulse_posts_counted_total"), "counted"),
                width=8,
            )
        )
        .with_panel(
            p.lines(
                "Dropped and late posts per second",
                Query(_rate("brandpulse_posts_unmatched_total"), "no brand"),
                Query(_rate("brandpulse_posts_unread_total"), "unsupported language"),
                Query(_rate("brandpulse_posts_repeated_total"), "duplicate"),
                Query(_rate("brandpulse_posts_late_total"), "late (counted)"),
                Query(_rate("brandpulse_posts_dead_total", "reason"), "dead letter: {{reason}}"),
                width=8,
            )
        )
        .with_panel(
            p.lines(
                "Posts per second by source and outcome",
                Query(_rate("brandpulse_posts_fate_total", "source", "fate"), "{{source}}: {{fate}}"),
                Query(_rate("brandpulse_posts_keyless_total"), "records without a key"),
                width=8,
            )
        )
        .with_panel(
            p.lines(
                "Posts for brands per second by language",
                Query(_rate("brandpulse_posts_language_total", "language"), "{{language}}"),
                width=8,
            )
        )
        .with_panel(
            p.lines(
                "End-to-end latency, Kafka to Redis",
                *_quantiles("brandpulse_visible_latency_seconds"),
                unit=p.SECONDS,
                width=8,
            )
        )
        .with_panel(
            p.lines("Consumer lag by partition", Query("max by (partition) (brandpulse_partition_lag)", PART), width=8)
        )
        .with_panel(
            p.lines(
                "Watermark delay by partition",
                Query("time() - max by (partition) (brandpulse_partition_watermark_seconds)", PART),
                unit=p.SECONDS,
                width=8,
                also="During a replay of old posts the delay is large. It is healthy if the watermark advances.",
            )
        )
        .with_panel(
            p.timeline(
                "Paused partitions over time",
                Query("max by (partition) (brandpulse_partition_paused)", PART),
                mappings=(("0", "reading", p.CALM), ("1", "paused", p.BAD)),
                width=8,
                height=8,
            )
        )
        .with_row(p.row("Live sources"))
        .with_panel(p.live_sources())
        .with_panel(
            p.lines(
                "Events per second by live source and outcome",
                Query(
                    f"{_rate('brandpulse_source_events_total', 'name', 'outcome')} or vector(0)",
                    "{{name}}: {{outcome}}",
                ),
                width=8,
            )
        )
        .with_panel(
            p.lines(
                "Age of the newest post by live source",
                Query("max by (name) (brandpulse_source_lag_seconds) or vector(0)", "{{name}}: at its arrival"),
                Query("time() - max by (name) (brandpulse_source_last_event_seconds) or vector(0)", "{{name}}: now"),
                unit=p.SECONDS,
                width=8,
            )
        )
        .with_panel(
            p.lines(
                "Missed time per 5 minutes by live source",
                Query(_missed("gap_seconds"), "{{name}}: posts missing"),
                Query(_missed("refilled_seconds"), "{{name}}: read later"),
                unit=p.SECONDS,
                bars=True,
                every="5m",
                width=8,
            )
        )
        .with_panel(
            p.lines(
                "Reconnects per 5 minutes by live source",
                Query(_missed("reconnects"), "{{name}}"),
                bars=True,
                every="5m",
                width=12,
            )
        )
        .with_panel(
            p.lines(
                "Share of the daily budget used by live source",
                Query(_used("dollars"), "{{name}}: money"),
                Query(_used("units"), "{{name}}: quota"),
                unit=p.PERCENT,
                top=1,
                width=12,
            )
        )
        .with_row(p.row("Processing"))
        .with_panel(
            p.lines(
                "Processing time by stage (seconds per second)",
                Query(_rate("brandpulse_stage_seconds_total", "stage"), "{{stage}}"),
                unit=p.SECONDS,
                stacked=True,
                width=8,
            )
        )
        .with_panel(p.lines("Batch size", *_quantiles("brandpulse_batch_posts"), width=8))
        .with_panel(
            p.lines(
                "Score cache hits and early exits",
                Query(
                    f"{_rate('brandpulse_score_cache_hits_total')} / "
                    f"({_rate('brandpulse_score_cache_hits_total')} + {_rate('brandpulse_score_cache_misses_total')})",
                    "cache hits",
                ),
                Query(
                    f"{_rate('brandpulse_posts_degraded_total')} / "
                    f"({_rate('brandpulse_score_cache_hits_total')} + {_rate('brandpulse_score_cache_misses_total')})",
                    "early exits",
                ),
                unit=p.PERCENT,
                top=1,
                width=8,
            )
        )
        .with_panel(
            p.lines(
                "Rejected writes, stuck partitions, log breaks",
                Query(_rate("brandpulse_writes_refused_total"), "rejected writes per second"),
                Query("sum(increase(brandpulse_stuck_partitions_total[$__rate_interval]))", "stuck partitions"),
                Query("sum by (why) (increase(brandpulse_log_breaks_total[$__rate_interval]))", "log break: {{why}}"),
                width=8,
                height=6,
                also="After a log break, posts are lost or the log is read again from its start.",
            )
        )
        .with_panel(
            p.rows(
                "Models in use",
                {"name": "Model", "version": "Version"},
                [Column("Workers", Query("count by (name, version) (brandpulse_model_info)", instant=True))],
                width=16,
                height=6,
            )
        )
        .with_row(p.row("Processes"))
        .with_panel(
            p.rows(
                "Running services",
                {"service": "Service", "version": "Version", "python": "Python"},
                [
                    Column(
                        "Processes", Query("count by (service, version, python) (brandpulse_build_info)", instant=True)
                    )
                ],
                width=8,
                height=6,
            )
        )
        .with_panel(
            p.lines(
                "Resident memory by process",
                Query(
                    "process_resident_memory_bytes * on (job, instance) group_left (service) brandpulse_build_info",
                    "{{service}} {{instance}}",
                ),
                unit=units.BytesIEC,
                width=8,
                height=6,
                also="Memory should stay flat over a day. **If it grows** for hours, save a report of the process and "
                "restart it: no data is lost.",
            )
        )
        .with_panel(
            p.lines(
                "CPU usage by process",
                Query(
                    "rate(process_cpu_seconds_total[$__rate_interval]) * on (job, instance) group_left (service) "
                    "brandpulse_build_info",
                    "{{service}} {{instance}}",
                ),
                unit="short",
                width=8,
                height=6,
                also="1 is one core. **If a worker uses all its cores** while lag grows, add cores or workers.",
            )
        )
        .with_row(p.row("Alerting"))
        .with_panel(
            p.lines(
                "Notifications per 5 minutes by outcome",
                Query(
                    "sum by (receiver, outcome) (increase(brandpulse_deliveries_total[$__rate_interval]))",
                    "{{receiver}}: {{outcome}}",
                ),
                bars=True,
                stacked=True,
                every="5m",
                soft_top=4,
                width=8,
            )
        )
        .with_panel(
            p.lines(
                "Undelivered notifications",
                Query("max(brandpulse_outbox_pending)", "pending"),
                Query("max(brandpulse_outbox_quarantined)", "quarantined"),
                colours={"quarantined": p.BAD},
                soft_top=10,
                width=8,
            )
        )
        .with_panel(
            p.lines(
                "Notification latency",
                *_quantiles("brandpulse_decision_to_delivery_seconds"),
                unit=p.SECONDS,
                every="5m",
                points=True,
                width=8,
            )
        )
        .with_panel(p.lines("Evaluation time", *_quantiles("brandpulse_tick_seconds"), unit=p.SECONDS, width=8))
        .with_panel(
            p.lines(
                "Evaluation delay",
                Query("time() - max(brandpulse_alerter_clock_seconds)", "alerter"),
                unit=p.SECONDS,
                every="1m",  # the alert clock advances in whole minutes: a finer step draws a sawtooth
                width=8,
                also="During a replay of old posts the delay is large. It is healthy if the watermark advances.",
            )
        )
        .with_panel(
            p.timeline(
                "Alerter leadership",
                Query("brandpulse_alerter_leader", "{{instance}}"),
                mappings=(("0", "standby", p.NEUTRAL), ("1", "leader", p.CALM)),
                width=8,
                height=8,
            )
        )
        .with_panel(
            p.lines(
                "Notification totals by outcome",
                Query("sum by (fate) (max by (receiver, fate) (brandpulse_notifications)) or vector(0)", "{{fate}}"),
                width=8,
            )
        )
        .with_panel(
            p.lines(
                "Heartbeats per 5 minutes by outcome",
                Query(
                    "sum by (outcome) (increase(brandpulse_heartbeats_total[$__rate_interval])) or vector(0)",
                    "{{outcome}}",
                ),
                bars=True,
                stacked=True,
                every="5m",
                soft_top=5,
                colours={"sent": p.CALM, "withheld": p.BAD, "failed": p.WARN},
                width=8,
                also="Empty if no heartbeat URL is set.",
            )
        )
        .with_panel(
            p.number(
                "Rules file",
                Query("min(brandpulse_rules_valid) or vector(1)", instant=True),
                mappings=(("0", "invalid", p.BAD), ("1", "active", p.CALM)),
            )
        )
        .with_panel(p.number("Active silences", Query("max(brandpulse_silences_active) or vector(0)", instant=True)))
        .build()
    )

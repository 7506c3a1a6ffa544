"""The dashboard for whoever runs the service: do posts flow, where does the time go, do notifications arrive."""

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


def build() -> Dashboard:
    """The whole dashboard, from the metrics of the worker and the alerter."""
    return (
        p.board(
            TITLE,
            uid=UID,
            description="Reading, scoring, counting and alerting: lag, latency, refusals and deliveries.",
            other=("Brands", "brandpulse-brands"),
        )
        .with_panel(
            p.number(
                "Posts behind",
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
                "Stream",
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
                "Notifications waiting",
                Query("max(brandpulse_outbox_pending)", instant=True),
                steps=((None, p.CALM), (20, p.WARN), (200, p.BAD)),
            )
        )
        .with_panel(
            p.number(
                "Notifications refused",
                Query("max(brandpulse_outbox_quarantined)", instant=True),
                steps=((None, p.CALM), (1, p.BAD)),
            )
        )
        .with_row(p.row("Flow"))
        .with_panel(
            p.lines(
                "Posts a second",
                Query(_rate("brandpulse_posts_read_total"), "read"),
                Query(_rate("brandpulse_posts_counted_total"), "counted"),
                width=8,
            )
        )
        .with_panel(
            p.lines(
                "Left out a second",
                Query(_rate("brandpulse_posts_unmatched_total"), "of no brand"),
                Query(_rate("brandpulse_posts_unread_total"), "language not read"),
                Query(_rate("brandpulse_posts_repeated_total"), "repeats"),
                Query(_rate("brandpulse_posts_late_total"), "late, counted"),
                Query(_rate("brandpulse_posts_dead_total", "reason"), "dead: {{reason}}"),
                width=8,
            )
        )
        .with_panel(
            p.lines(
                "Posts a second, by source and fate",
                Query(_rate("brandpulse_posts_fate_total", "source", "fate"), "{{source}}: {{fate}}"),
                Query(_rate("brandpulse_posts_keyless_total"), "records without a key"),
                width=8,
            )
        )
        .with_panel(
            p.lines(
                "From Kafka to the count",
                *_quantiles("brandpulse_visible_latency_seconds"),
                unit=p.SECONDS,
                width=8,
            )
        )
        .with_panel(
            p.lines("Posts behind, by partition", Query("max by (partition) (brandpulse_partition_lag)", PART), width=8)
        )
        .with_panel(
            p.lines(
                "Watermark behind the clock, by partition",
                Query("time() - max by (partition) (brandpulse_partition_watermark_seconds)", PART),
                unit=p.SECONDS,
                width=8,
                also="A replay of old posts is far behind all the time; it should still move.",
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
        .with_row(p.row("Work"))
        .with_panel(
            p.lines(
                "Seconds a second, by stage",
                Query(_rate("brandpulse_stage_seconds_total", "stage"), "{{stage}}"),
                unit=p.SECONDS,
                stacked=True,
                width=8,
            )
        )
        .with_panel(p.lines("Posts a batch", *_quantiles("brandpulse_batch_posts"), width=8))
        .with_panel(
            p.lines(
                "Texts scored before, and posts scored in a hurry",
                Query(
                    f"{_rate('brandpulse_score_cache_hits_total')} / "
                    f"({_rate('brandpulse_score_cache_hits_total')} + {_rate('brandpulse_score_cache_misses_total')})",
                    "scored before",
                ),
                Query(
                    f"{_rate('brandpulse_posts_hurried_total')} / "
                    f"({_rate('brandpulse_score_cache_hits_total')} + {_rate('brandpulse_score_cache_misses_total')})",
                    "in a hurry",
                ),
                unit=p.PERCENT,
                top=1,
                width=8,
            )
        )
        .with_panel(
            p.lines(
                "Writes refused a second, logs that broke, partitions that stood still",
                Query(_rate("brandpulse_writes_refused_total"), "refused"),
                Query("sum(increase(brandpulse_partition_standstills_total[$__rate_interval]))", "stood still"),
                Query("sum by (why) (increase(brandpulse_log_breaks_total[$__rate_interval]))", "log: {{why}}"),
                width=8,
                height=6,
                also="A log that breaks means posts that were not read, or read from the beginning again.",
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
                "Services that run",
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
                "Resident memory, by process",
                Query(
                    "process_resident_memory_bytes * on (job, instance) group_left (service) brandpulse_build_info",
                    "{{service}} {{instance}}",
                ),
                unit=units.BytesIEC,
                width=8,
                height=6,
                also="Memory should stay flat over a day. **If it grows** for hours, keep a report of the process and "
                "restart it: nothing is lost.",
            )
        )
        .with_panel(
            p.lines(
                "Processor time, by process",
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
                "Notifications in five minutes, by outcome",
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
                "Notifications not handed over",
                Query("max(brandpulse_outbox_pending)", "waiting"),
                Query("max(brandpulse_outbox_quarantined)", "refused for good"),
                colours={"refused for good": p.BAD},
                soft_top=10,
                width=8,
            )
        )
        .with_panel(
            p.lines(
                "From decision to the receiver's yes",
                *_quantiles("brandpulse_decision_to_delivery_seconds"),
                unit=p.SECONDS,
                every="5m",
                points=True,
                width=8,
            )
        )
        .with_panel(
            p.lines("One evaluation of all brands", *_quantiles("brandpulse_tick_seconds"), unit=p.SECONDS, width=8)
        )
        .with_panel(
            p.lines(
                "Decided time behind the clock",
                Query("time() - max(brandpulse_alerter_clock_seconds)", "alerter"),
                unit=p.SECONDS,
                every="1m",  # the clock moves in whole minutes: finer points draw a saw
                width=8,
                also="A replay of old posts is far behind all the time; it should still move.",
            )
        )
        .with_panel(
            p.timeline(
                "Who leads",
                Query("brandpulse_alerter_leader", "{{instance}}"),
                mappings=(("0", "standby", p.NEUTRAL), ("1", "leads", p.CALM)),
                width=8,
                height=8,
            )
        )
        .with_panel(
            p.lines(
                "What became of notifications",
                Query("sum by (fate) (max by (receiver, fate) (brandpulse_notifications)) or vector(0)", "{{fate}}"),
                width=8,
            )
        )
        .with_panel(
            p.lines(
                "Heartbeats in five minutes, by outcome",
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
                also="None without an address to beat to.",
            )
        )
        .with_panel(
            p.number(
                "Rules file",
                Query("min(brandpulse_rules_valid) or vector(1)", instant=True),
                mappings=(("0", "not readable", p.BAD), ("1", "in force", p.CALM)),
            )
        )
        .with_panel(p.number("Silences in force", Query("max(brandpulse_silences_active) or vector(0)", instant=True)))
        .build()
    )

"""Every metric of the project in one table: name, kind, unit in the name, meaning, and what to do when it looks bad."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram", "weighted_histogram"]
"""`weighted_histogram` is a histogram to Prometheus; the process adds many observations in one call."""
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
SIZE_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
LABELLED_BRANDS = 200
"""The first 200 brands of the brands file have a label of their own; all others share one."""
OTHER_BRANDS = "(other)"


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
    deprecated_name: str = ""
    """Older name of a counter, exported with the same value."""


BUILD_INFO = Metric(
    "brandpulse_build_info",
    "gauge",
    "1 for each running process; the labels name its service and the versions of brandpulse and Python.",
    "Two versions: a rollout is in progress. A service is missing: start it and read its log.",
    ("service", "version", "python"),
)

WORKER_METRICS = (
    BUILD_INFO,
    Metric("brandpulse_posts_read_total", "counter", "Posts read from Kafka.", "Flat with lag: see the worker's log."),
    Metric(
        "brandpulse_posts_counted_total",
        "counter",
        "Posts counted for a brand, by sentiment towards it. A post that names two brands counts for both.",
        "Flat while posts are read: compare brands.yaml with the posts. Mostly irrelevant: the brand's words also have "
        "other meanings; see require and exclude.",
        ("brand", "sentiment"),
    ),
    Metric(
        "brandpulse_posts_unmatched_total",
        "counter",
        "Posts that name no brand.",
        "High share: check brands.yaml.",
    ),
    Metric(
        "brandpulse_posts_unread_total",
        "counter",
        "Posts that name a brand, in a language that the model does not support. They count for no brand.",
        "High share: use weights of these languages (BRANDPULSE_MODEL_LANGUAGES).",
    ),
    Metric(
        "brandpulse_posts_language_total",
        "counter",
        "Posts that name a brand, by language: one that the model supports, or other. A post that names two brands "
        "counts for both. Without series if the model declares no languages.",
        "High share of other: use weights of these languages (BRANDPULSE_MODEL_LANGUAGES).",
        ("language",),
    ),
    Metric(
        "brandpulse_posts_keyless_total",
        "counter",
        "Records without a Kafka key. Copies of a post may lie in two partitions, and each counts.",
        "Produce with the post's id as the record's key.",
    ),
    Metric(
        "brandpulse_posts_fate_total",
        "counter",
        "Posts by source and outcome: on_time, late, repeated, unmatched, unread, or a dead letter's reason. The first "
        "12 sources that a worker meets have a label of their own.",
        "`brandpulse doctor` names the source and the likely cause.",
        ("source", "fate"),
    ),
    Metric(
        "brandpulse_posts_late_total",
        "counter",
        "Posts behind the watermark.",
        "A source lags: `brandpulse doctor` names it.",
    ),
    Metric(
        "brandpulse_posts_repeated_total",
        "counter",
        "Duplicates: posts that were counted before.",
        "A producer sends posts again; harmless.",
    ),
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
        "Seconds spent per stage: wait (for posts), read, decode, score (until the model accepts more), answer (until "
        "the model has finished), fold, hand_over, write.",
        "The largest except wait and answer is the bottleneck. score: more cores or a GPU. write: a nearer Redis.",
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
        "Growing on all: add workers. On one: `brandpulse doctor` shows whether it is paused.",
        ("partition",),
    ),
    Metric(
        "brandpulse_partition_watermark_seconds",
        "gauge",
        "Event-time watermark per partition, as Unix seconds.",
        "Constant with lag: the worker hangs; its watchdog restarts it.",
        ("partition",),
    ),
    Metric(
        "brandpulse_partition_paused",
        "gauge",
        "1 while too many invalid posts pause a partition.",
        "`brandpulse dlq list`, then `brandpulse dlq allow`.",
        ("partition",),
    ),
    Metric(
        "brandpulse_writes_refused_total",
        "counter",
        "Batches that the store rejected because `next` had moved; each was reloaded and read again.",
        "A few at a rebalance are normal. Steadily: two workers share a group id by mistake.",
    ),
    Metric(
        "brandpulse_stuck_partitions_total",
        "counter",
        "Partitions that were not read for 20 s although records waited; reading restarted at the same offset.",
        "Kafka's client lost a partition, or a leader is very slow. No posts are lost. Often: check the brokers.",
        deprecated_name="brandpulse_partition_standstills_total",
    ),
    Metric(
        "brandpulse_log_breaks_total",
        "counter",
        "Partitions whose log could not be read on at the stored offset: retention (unread records were deleted), cut "
        "(Kafka lost the log's end), another_log (the topic was created again). The worker's log has the offsets.",
        "retention: keep the topic for longer, or add workers. cut: an unclean election, or a disk that lost writes; "
        "the unread records are lost. another_log: expected once if you created the topic again; else find out why.",
        ("why",),
    ),
    Metric(
        "brandpulse_score_cache_hits_total",
        "counter",
        "Texts whose scores were in the cache.",
        "None: all texts are different.",
    ),
    Metric(
        "brandpulse_score_cache_misses_total",
        "counter",
        "Texts that the model scored.",
        "Compare with brandpulse_score_cache_hits_total.",
    ),
    Metric(
        "brandpulse_posts_degraded_total",
        "counter",
        "Low-confidence posts that kept the early-exit prediction, because the worker was overloaded.",
        "Steadily: add workers, or raise BRANDPULSE_WORKER_OVERLOAD_LAG.",
        deprecated_name="brandpulse_posts_hurried_total",
    ),
    Metric(
        "brandpulse_model_info",
        "gauge",
        "1; the labels name the model.",
        "Two versions: a rollout is in progress.",
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
        "Negative authors divided by all authors, in the last hour of event time.",
        "High: read the newest negative posts on the live page.",
        ("brand",),
    ),
    Metric(
        "brandpulse_baseline_negative_ratio",
        "gauge",
        "The negative share expected from the brand's own past.",
        "Drifts with the brand; a jump follows a long crisis.",
        ("brand",),
    ),
    Metric(
        "brandpulse_window_people_without_vote",
        "gauge",
        "People in the tested window who have no vote. copied: their text has its votes; excluded: bot-like behaviour. "
        "Only of brands whose votes were reviewed: those that rise, have an open episode, or have far more people "
        "than usual.",
        "Read the alert's examples; BRANDPULSE_ALERTER_VOTES_PER_TEXT and BRANDPULSE_ALERTER_EXCLUDE_SCORE decide.",
        ("brand", "reason"),
    ),
    Metric(
        "brandpulse_expected_delay_seconds",
        "gauge",
        "Detection delay of a rise by 25 points at the brand's usual volume; +Inf: more than a day.",
        "It depends on volume, not on load: more posts about the brand, or more allowed false alarms, shorten it.",
        ("brand",),
    ),
    Metric(
        "brandpulse_window_facet_ratio",
        "gauge",
        "People in the facet divided by the brand's people, in the alerter's first window of an hour or more (default "
        "90 minutes). Of facets that a rule watches.",
        "High: its episode on the live page shows posts in the facet, and terms.",
        ("brand", "facet"),
    ),
    Metric(
        "brandpulse_baseline_facet_ratio",
        "gauge",
        "The share of the facet expected from the brand's own past.",
        "Missing: the facet needs a day of history first, or had no people for three hours.",
        ("brand", "facet"),
    ),
    Metric("brandpulse_episodes_open", "gauge", "Episodes firing now.", "See the live page.", ("brand", "rule")),
    Metric(
        "brandpulse_episode_transitions_total",
        "counter",
        "Episodes triggered, updated, acknowledged, resolved.",
        "Many triggers of one rule: it flaps; require more evidence.",
        ("rule", "transition"),
    ),
    Metric(
        "brandpulse_deliveries_total",
        "counter",
        "Notifications by receiver and outcome: delivered, retried, quarantined.",
        "retried: the receiver is down. quarantined: it refused; read `brandpulse outbox`.",
        ("receiver", "outcome"),
    ),
    Metric(
        "brandpulse_outbox_pending",
        "gauge",
        "Notifications not yet delivered.",
        "Growing: a receiver is down.",
    ),
    Metric(
        "brandpulse_outbox_quarantined",
        "gauge",
        "Notifications that a receiver refused for good.",
        "`brandpulse outbox` shows the receiver's answer; fix the cause.",
    ),
    Metric(
        "brandpulse_decision_to_delivery_seconds",
        "histogram",
        "From a durable decision to the receiver's acceptance.",
        "High: a slow receiver, or retries.",
    ),
    Metric(
        "brandpulse_alerter_leader",
        "gauge",
        "1 on the alerter that decides and sends.",
        "Sum 0: start an alerter, or check Redis. Sum above 1 for longer than a lease: report a bug.",
    ),
    Metric(
        "brandpulse_alerter_clock_seconds",
        "gauge",
        "Event time evaluated so far, as Unix seconds.",
        "Constant: a partition has no owner, or is stalled.",
    ),
    Metric(
        "brandpulse_notifications",
        "gauge",
        "Notifications since the state began, by receiver and outcome: accepted, delivered, quarantined, or the "
        "reason for not sending: silenced, quiet_hours, grouped, below_severity, acknowledged, no_news, never_told, "
        "other_rule. accepted = delivered + quarantined + brandpulse_outbox_pending.",
        "Many of one reason: a silence or rule hides more than intended.",
        ("receiver", "fate"),
    ),
    Metric(
        "brandpulse_heartbeats_total",
        "counter",
        "Heartbeats to the dead man's switch by outcome: sent, withheld (a part makes no progress), failed (the other "
        "side).",
        "withheld: the log names the part. failed: check BRANDPULSE_ALERTER_HEARTBEAT_URL.",
        ("outcome",),
    ),
    Metric("brandpulse_silences_active", "gauge", "Silences in force.", "`brandpulse silence list` shows them."),
    Metric(
        "brandpulse_rules_valid",
        "gauge",
        "1 while the rules in force are those of the rules file; 0 after a change that could not be read.",
        "`brandpulse rules check FILE` names the line. Until then the previous rules stay in force.",
    ),
    Metric(
        "brandpulse_tick_seconds",
        "histogram",
        "Duration of one evaluation of all brands.",
        "Near 60 s: too many brands.",
    ),
    Metric(
        "brandpulse_stream_silent",
        "gauge",
        "1 while no post has arrived for longer than usual.",
        "Check the sources.",
    ),
    Metric(
        "brandpulse_stream_stalled",
        "gauge",
        "1 while a partition with lag makes no progress: a crisis in it would not be detected.",
        "Start a worker; `brandpulse doctor` names the partition.",
    ),
)


SERVE_METRICS = (
    BUILD_INFO,
    Metric(
        "brandpulse_serve_requests_total",
        "counter",
        "HTTP requests by path and status. 499: the client closed the connection first.",
        "Many 503: the model is the bottleneck; add a process, or cores. Other 5xx: see the log.",
        ("path", "status"),
    ),
    Metric(
        "brandpulse_serve_request_seconds",
        "histogram",
        "From a request's head to the end of its answer, by path.",
        "High with a full queue: overload. High without: long texts, or a busy machine.",
        ("path",),
    ),
    Metric(
        "brandpulse_serve_batch_texts",
        "histogram",
        "Texts that the model scored together.",
        "Always 1 under load: clients wait for each answer before the next request.",
        (),
        SIZE_BUCKETS,
    ),
    Metric(
        "brandpulse_serve_score_seconds",
        "histogram",
        "The model's time for one batch.",
        "Rising for the same batches: another process uses the cores.",
    ),
    Metric(
        "brandpulse_serve_waiting_texts",
        "gauge",
        "Texts that wait for a batch.",
        "Near BRANDPULSE_SERVE_MAX_WAITING_TEXTS: requests are refused with 503.",
    ),
    Metric(
        "brandpulse_serve_failed_texts_total",
        "counter",
        "Texts for which the model raised an error; their request got 500.",
        "Each is a bug: the log names the error.",
    ),
    *(
        metric
        for metric in WORKER_METRICS
        if metric.name.startswith(("brandpulse_model_", "brandpulse_score_cache_", "brandpulse_posts_degraded_"))
    ),
)

INGEST_METRICS = (
    BUILD_INFO,
    Metric(
        "brandpulse_source_up",
        "gauge",
        "1 while the source sends events, else 0.",
        "`brandpulse ingest check` names the fault and its remedy.",
        ("name",),
    ),
    Metric(
        "brandpulse_source_events_total",
        "counter",
        "Events of each source by outcome: sent, no_brand, deleted, edited, or why a frame is no post.",
        "Only no_brand: compare brands.yaml with the posts. Many other outcomes: the platform changed its format.",
        ("name", "outcome"),
    ),
    Metric(
        "brandpulse_source_last_event_seconds",
        "gauge",
        "Time of the newest post of each source, in seconds since 1970.",
        "Old while the platform is busy: `brandpulse ingest check`.",
        ("name",),
    ),
    Metric(
        "brandpulse_source_lag_seconds",
        "gauge",
        "Age of the newest post of each source when it arrived.",
        "High after an interruption, while the source reads again what it missed; else the platform is late.",
        ("name",),
    ),
    Metric(
        "brandpulse_source_refilled_seconds_total",
        "counter",
        "Seconds of the platform's time that a source could not read at first, and read again completely.",
        "Posts of these periods were counted late: alerts of these periods may be missing.",
        ("name",),
    ),
    Metric(
        "brandpulse_source_times_replaced_total",
        "counter",
        "Posts whose own time was absent or implausible, so that they have the time at which the platform got them.",
        "Many: authors or servers of the platform have wrong clocks, or import old posts.",
        ("name",),
    ),
    Metric(
        "brandpulse_source_reconnects_total",
        "counter",
        "Connections that each source lost and opened again.",
        "Rising fast: the log's `source interrupted` has the reason.",
        ("name",),
    ),
    Metric(
        "brandpulse_source_gap_seconds_total",
        "counter",
        "Seconds of the platform's time that a source could not read.",
        "`brandpulse ingest gaps` lists the periods. Alerts of these periods may be missing.",
        ("name",),
    ),
    Metric(
        "brandpulse_deleted_texts_total",
        "counter",
        "Texts removed from Redis because the platform deleted or changed their posts.",
        "Counts stay. `deletions not applied` in the log names a fault.",
    ),
    Metric(
        "brandpulse_source_spent_dollars",
        "gauge",
        "Money that a paid source has used up today (UTC), in dollars, booked a little ahead of the posts.",
        "Rising faster than usual: a brand's words match too much; `brandpulse ingest check` shows the rules.",
        ("name",),
    ),
    Metric(
        "brandpulse_source_budget_dollars",
        "gauge",
        "Most money that a paid source may use up in a day.",
        "Reached: the source waits until the next day (UTC). Raise budget_dollars_per_day or narrow the brand's words.",
        ("name",),
    ),
    Metric(
        "brandpulse_source_spent_units",
        "gauge",
        "Quota units that a source has used up today (YouTube: Pacific time).",
        "Close to brandpulse_source_budget_units early in the day: fewer videos or channels, or a longer poll_minutes.",
        ("name",),
    ),
    Metric(
        "brandpulse_source_budget_units",
        "gauge",
        "Most quota units that a source may use up in a day.",
        "Reached: the source waits until midnight Pacific time. Ask Google for a larger quota.",
        ("name",),
    ),
    Metric(
        "brandpulse_webhook_requests_total",
        "counter",
        "Requests to the webhook receiver by sender and status; sender unknown: not verified.",
        "The log's `webhook request refused` has the reason. Many 503: the broker is away or slow.",
        ("sender", "code"),
    ),
    Metric(
        "brandpulse_webhook_posts_total",
        "counter",
        "Posts of each webhook sender: taken (confirmed by the broker), refused, unconfirmed (the sender must retry).",
        "Refused: the sender's posts lack a field; its answers name it. Unconfirmed: check the broker.",
        ("sender", "outcome"),
    ),
)

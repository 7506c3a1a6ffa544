"""`brandpulse doctor`: checks everything that posts need to flow, and reports a remedy for each fault."""

import time
from collections.abc import Callable

from brandpulse.config.brand_warnings import brand_warnings
from brandpulse.config.brands_file import load_brands_file
from brandpulse.config.settings import Settings, load_settings
from brandpulse.errors import BrandpulseError
from brandpulse.ops.doctor.finding import Finding
from brandpulse.ops.doctor.grafana_checks import check_brand_names
from brandpulse.ops.doctor.kafka_checks import check_broker
from brandpulse.ops.doctor.redis_checks import check_store
from brandpulse.ops.doctor.stream_checks import check_stream
from brandpulse.redis.client import connect
from brandpulse.runtime.clock import wall_ms
from brandpulse.runtime.console import Console, styled
from brandpulse.state.pane_reader import PaneReader

SILENT_AFTER_MS = 15_000
"""A partition whose worker has not reported for this time has no worker."""


def examine() -> int:
    """Print all findings; returns exit code 0 only if posts can flow."""
    console = Console(soft_wrap=True)
    findings: list[Finding] = []
    for check in (
        _settings,
        _brands,
        _broker,
        _store,
        _model,
        _partitions,
        _stream,
        _sources,
        _sent_files,
        _receivers,
        _outbox,
    ):
        found = _guarded(check)
        findings += found
        for finding in found:
            mark = (
                ("ok  ", "green") if not finding.remedy else ("warn", "yellow") if finding.warning else ("FAIL", "red")
            )
            console.print(styled(mark, f" {finding.subject:<12} {finding.observation}"))
            if finding.remedy:
                console.print(f"     {'':<12} -> {finding.remedy}")
    return 0 if all(not finding.remedy or finding.warning for finding in findings) else 1


def _guarded(check: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return check()
    except BrandpulseError as error:
        return [Finding(check.__name__.strip("_"), "cannot be checked", str(error))]


def _settings() -> list[Finding]:
    from alerting.settings import AlerterSettings
    from stream_workers.settings import WorkerSettings

    settings = load_settings(Settings)
    load_settings(WorkerSettings)
    load_settings(AlerterSettings)
    findings = [Finding("settings", f"home {settings.home}, namespace {settings.namespace}")]
    if settings.author_key.get_secret_value() == "brandpulse-development-key":
        findings.append(
            Finding(
                "settings",
                "author ids are hashed with the development key",
                "set BRANDPULSE_AUTHOR_KEY to 32 random characters before you send real posts",
                warning=True,
            )
        )
    return findings


def _brands() -> list[Finding]:
    path = load_settings(Settings).brands_file
    file = load_brands_file(path)
    facets = f" and {len(file.facets)} facets" if file.facets else ""
    return [
        Finding("brands", f"{len(file.brands)} brands{facets} in {path}"),
        *(Finding("brands", str(warning), warning.remedy, warning=True) for warning in brand_warnings(file)),
        *check_brand_names(brand.name for brand in file.brands),
    ]


def _broker() -> list[Finding]:
    return check_broker(load_settings(Settings))


def _store() -> list[Finding]:
    return check_store(load_settings(Settings))


def _model() -> list[Finding]:
    from model.inputs.target_marking import mark
    from model.language_weights import load_language_model
    from stream_workers.settings import WorkerSettings

    worker = load_settings(WorkerSettings)
    started = time.perf_counter()
    model = load_language_model(worker.engine, worker.weights, worker.threads)
    scorer = model.scorer
    complaint = mark("@acme cancelled my flight and nobody helps", ["@acme"])
    [row] = scorer.score([complaint]).target
    seconds = time.perf_counter() - started
    return [
        Finding(
            "model",
            f"{scorer.name}@{scorer.version[:12]} works; ready in {seconds:.1f} s "
            f"(a test complaint scores {row[0]:.0%} negative); languages: "
            + ("all" if model.identifier is None else ", ".join(model.identifier.languages)),
        )
    ]


def _partitions() -> list[Finding]:
    settings = load_settings(Settings)
    client = connect(settings.redis_address(), timeout_seconds=5)
    statuses = PaneReader(client, settings.namespace).partitions()
    if not statuses:
        return [Finding("workers", "no partition has state yet", "start a worker with `brandpulse worker`")]
    now = wall_ms()
    findings = []
    for status in statuses:
        name = f"{status.topic}:{status.partition}"
        if status.paused:
            # The worker stores the remedy behind the cause.
            cause, _, remedy = status.paused.partition("; ")
            remedy = remedy or "`brandpulse dlq list`, then `brandpulse dlq allow`"
            findings.append(Finding("workers", f"{name} is paused: {cause}", remedy))
        elif now - status.seen_wall_ms > SILENT_AFTER_MS:
            remedy = "start one with `brandpulse worker`; if one runs, read in its log whether Kafka answers it"
            findings.append(Finding("workers", f"{name} has no worker", remedy))
    lag = sum(status.lag for status in statuses)
    return findings or [Finding("workers", f"all {len(statuses)} partitions have a worker; lag {lag} posts")]


def _stream() -> list[Finding]:
    return check_stream(load_settings(Settings))


def _sources() -> list[Finding]:
    from brandpulse.ops.doctor.source_checks import check_sources
    from ingest.settings import IngestSettings

    return check_sources(load_settings(Settings), load_settings(IngestSettings))


def _sent_files() -> list[Finding]:
    from brandpulse.ops.doctor.sent_file_checks import check_sent_files

    return check_sent_files(load_settings(Settings).home)


def _receivers() -> list[Finding]:
    from brandpulse.ops.doctor.alerting_checks import check_receivers, check_rules

    return [*check_receivers(), *check_rules()]


def _outbox() -> list[Finding]:
    from brandpulse.ops.doctor.alerting_checks import check_outbox

    return check_outbox()

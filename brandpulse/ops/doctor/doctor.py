"""`brandpulse doctor`: checks what posts need to flow, and says what to do about each fault."""

import importlib
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
from brandpulse.runtime.console import Console, styled
from brandpulse.state.pane_reader import PaneReader

SILENT_AFTER_MS = 15_000


def examine() -> int:
    """Prints every finding; 0 only when posts can flow."""
    console = Console(soft_wrap=True)
    findings: list[Finding] = []
    for check in (_settings, _brands, _broker, _store, _model, _partitions, _stream, _sent_files, _receivers, _outbox):
        found = _guarded(check)
        findings += found
        for finding in found:
            mark = (
                ("ok  ", "green") if not finding.remedy else ("warn", "yellow") if finding.warning else ("FAIL", "red")
            )
            console.print(styled(mark, f" {finding.subject:<12} {finding.saw}"))
            if finding.remedy:
                console.print(f"     {'':<12} -> {finding.remedy}")
    return 0 if all(not finding.remedy or finding.warning for finding in findings) else 1


def _guarded(check: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return check()
    except BrandpulseError as error:
        return [Finding(check.__name__.strip("_"), "cannot be checked", str(error))]


def _settings() -> list[Finding]:
    settings = load_settings(Settings)
    worker = importlib.import_module("stream_workers.settings").WorkerSettings
    alerter = importlib.import_module("alerting.settings").AlerterSettings
    for kind in (worker, alerter):
        load_settings(kind)
    findings = [Finding("settings", f"home {settings.home}, namespace {settings.namespace}")]
    if settings.author_key.get_secret_value() == "brandpulse-development-key":
        findings.append(
            Finding(
                "settings",
                "author ids are hashed under the development key",
                "set BRANDPULSE_AUTHOR_KEY to 32 random characters before real posts come",
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
        *(Finding("brands", str(one), one.remedy, warning=True) for one in brand_warnings(file)),
        *check_brand_names(brand.name for brand in file.brands),
    ]


def _broker() -> list[Finding]:
    return check_broker(load_settings(Settings))


def _store() -> list[Finding]:
    return check_store(load_settings(Settings))


def _model() -> list[Finding]:
    worker = load_settings(importlib.import_module("stream_workers.settings").WorkerSettings)
    started = time.perf_counter()
    scorer = importlib.import_module("model.loader").load_scorer(worker.engine, worker.weights, worker.threads)
    complaint = importlib.import_module("model.inputs.target_marking").mark(
        "@acme cancelled my flight and nobody helps", ["@acme"]
    )
    [row] = scorer.score([complaint]).target
    seconds = time.perf_counter() - started
    return [
        Finding(
            "model",
            f"{scorer.name}@{scorer.version[:12]} scores; ready in {seconds:.1f} s "
            f"({row[0]:.0%} negative towards the brand of a complaint)",
        )
    ]


def _partitions() -> list[Finding]:
    settings = load_settings(Settings)
    client = connect(settings.redis_address(), timeout_seconds=5)
    statuses = PaneReader(client, settings.namespace).partitions()
    if not statuses:
        return [Finding("workers", "no partition has state yet", "start a worker: `brandpulse worker`")]
    now = time.time_ns() // 1_000_000
    findings = []
    for status in statuses:
        name = f"{status.topic}:{status.partition}"
        if status.paused:
            # The worker says what to do behind the cause.
            saw, _, remedy = status.paused.partition("; ")
            remedy = remedy or "`brandpulse dlq list`, then `brandpulse dlq allow`"
            findings.append(Finding("workers", f"{name} is paused: {saw}", remedy))
        elif now - status.seen_wall_ms > SILENT_AFTER_MS:
            remedy = "start one: `brandpulse worker`; if one runs, its log says whether Kafka answers it"
            findings.append(Finding("workers", f"{name} has no worker", remedy))
    lag = sum(status.lag for status in statuses)
    return findings or [Finding("workers", f"{len(statuses)} partitions owned, {lag} posts behind")]


def _stream() -> list[Finding]:
    return check_stream(load_settings(Settings))


def _sent_files() -> list[Finding]:
    return list(
        importlib.import_module("brandpulse.ops.doctor.sent_file_checks").check_sent_files(load_settings(Settings).home)
    )


def _receivers() -> list[Finding]:
    checks = importlib.import_module("brandpulse.ops.doctor.alerting_checks")
    return [Finding(*found) for found in (*checks.check_receivers(), *checks.check_rules())]


def _outbox() -> list[Finding]:
    return [
        Finding(*found) for found in importlib.import_module("brandpulse.ops.doctor.alerting_checks").check_outbox()
    ]

import tomllib

import pytest
from prometheus_client.parser import text_string_to_metric_families

from brandpulse.runtime.metric_definitions import ALERTER_METRICS, SERVE_METRICS, WORKER_METRICS, Metric
from brandpulse.runtime.metrics import Telemetry
from brandpulse.version import VERSION
from tests.support.repository import ROOT

LATENCY = "brandpulse_visible_latency_seconds"


def samples(telemetry: Telemetry) -> dict[str, float]:
    """Name and labels of each exported series -> its value."""
    return {
        "".join((sample.name, *(f",{name}={value}" for name, value in sorted(sample.labels.items())))): sample.value
        for family in text_string_to_metric_families(telemetry.expose().decode())
        for sample in family.samples
    }


def test_version_in_code_matches_the_package() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


@pytest.mark.parametrize("metrics", [WORKER_METRICS, ALERTER_METRICS, SERVE_METRICS])
def test_no_created_series_is_exported(metrics: tuple[Metric, ...]) -> None:
    telemetry = Telemetry(metrics)
    for metric in metrics:
        if metric.kind == "counter" and not metric.labels:
            telemetry.counter(metric.name).inc()
    assert not [name for name in samples(telemetry) if "_created" in name]


def test_a_service_exports_its_process_and_its_versions() -> None:
    exposed = samples(Telemetry(WORKER_METRICS, service="worker"))
    assert exposed["process_resident_memory_bytes"] > 10_000_000
    assert {"process_cpu_seconds_total", "process_open_fds", "process_start_time_seconds"} <= exposed.keys()
    assert any(name.startswith("python_gc_collections_total") for name in exposed)
    [build] = [name for name in exposed if name.startswith("brandpulse_build_info")]
    assert f"service=worker,version={VERSION}" in build


def test_batch_adds_one_observation_per_post() -> None:
    telemetry = Telemetry(WORKER_METRICS)
    telemetry.weighted_histogram(LATENCY).observe_many({0.001: 900, 0.7: 90, 400.0: 10})
    telemetry.weighted_histogram(LATENCY).observe_many({0.7: 1})
    exposed = samples(telemetry)
    assert exposed[f"{LATENCY}_count"] == exposed[f"{LATENCY}_bucket,le=+Inf"] == 1_001
    assert exposed[f"{LATENCY}_bucket,le=0.001"] == exposed[f"{LATENCY}_bucket,le=0.5"] == 900
    assert exposed[f"{LATENCY}_bucket,le=1.0"] == exposed[f"{LATENCY}_bucket,le=300.0"] == 991
    assert exposed[f"{LATENCY}_sum"] == pytest.approx(0.9 + 63.7 + 4_000)

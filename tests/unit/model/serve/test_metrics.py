"""Metrics for Prometheus."""

import shutil
import subprocess
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from brandpulse.runtime.metric_definitions import SERVE_METRICS
from tests.support.model.serve_builders import serving_keywords


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving_keywords() as client:
        client.post("/v1/score", json={"texts": ["a", "b"]})
        client.post("/v1/score", json={})
        client.get("/nothing/here")
        yield client


def samples(client: httpx.Client) -> dict[tuple[str, ...], float]:
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_requests_batches_and_the_model_are_counted(client: httpx.Client) -> None:
    found = samples(client)

    assert found["brandpulse_serve_requests_total", "path=/v1/score", "status=200"] == 1
    assert found["brandpulse_serve_requests_total", "path=/v1/score", "status=422"] == 1
    assert found["brandpulse_serve_batch_texts_sum",] == 2
    assert found["brandpulse_serve_score_seconds_count",] == 1
    assert found["brandpulse_serve_waiting_texts",] == 0
    assert found["brandpulse_model_info", "name=keyword", "version=keyword-1"] == 1


def test_unknown_paths_do_not_become_metric_labels(client: httpx.Client) -> None:
    assert samples(client)["brandpulse_serve_requests_total", "path=other", "status=404"] >= 1
    assert "/nothing/here" not in client.get("/metrics").text


def test_every_metric_of_the_table_is_exposed(client: httpx.Client) -> None:
    text = client.get("/metrics").text

    for metric in SERVE_METRICS:
        assert f"# TYPE {metric.name.removesuffix('_total')}" in text or f"# TYPE {metric.name}" in text


def test_promtool_accepts_the_metrics(client: httpx.Client) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool here")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=client.get("/metrics").content, capture_output=True, check=False
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr

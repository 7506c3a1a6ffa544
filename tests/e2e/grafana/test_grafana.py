"""Both dashboards in a real Grafana over a real Prometheus: every query returns data, every panel shows something."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
from prometheus_client import CollectorRegistry

from brandpulse.errors import ConfigError, TransientError
from brandpulse.runtime.child_process import free_port
from brandpulse.runtime.metrics import CONTENT_TYPE, Telemetry
from dashboards.grafana.files import built
from dashboards.grafana.publish import FOLDER_UID, Publisher
from tests.support.dashboards.browser import a_browser
from tests.support.dashboards.scenario import Scenario
from tests.support.grafana.panels import draw, numbers, targets
from tests.support.grafana.servers import DATASOURCE_UID, Grafana, Prometheus, call, home_or_skip, prepare
from tests.support.patience import wait_until
from tests.support.repository import ROOT

HOURS = 6
STEP = timedelta(seconds=30)


class Stage(NamedTuple):
    """A Grafana with the brandpulse dashboards."""

    url: str
    token: str


class Exporter:
    """`/metrics` of one registry on a free port."""

    def __init__(self, telemetry: Telemetry) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", CONTENT_TYPE)
                self.end_headers()
                self.wfile.write(telemetry.expose())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def samples(registry: CollectorRegistry, *, at: datetime, job: str, instance: str) -> Iterator[str]:
    """OpenMetrics lines of *registry* as if scraped at *at*."""
    for family in registry.collect():
        for sample in family.samples:
            if sample.name.endswith("_created"):
                continue
            labels = sample.labels | {"job": job, "instance": instance}
            inside = ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items())
            yield f"{sample.name}{{{inside}}} {sample.value} {at.timestamp():.3f}\n"


@pytest.fixture(scope="module")
def grafana_home() -> Path:
    return home_or_skip()


@pytest.fixture(scope="module")
def exporters(grafana_home: Path) -> Iterator[tuple[Scenario, Exporter, Exporter]]:
    """A worker and an alerter that keep running during the test."""
    end = datetime.now(UTC)
    scenario = Scenario(end - timedelta(hours=HOURS), end)
    worker, alerter = Exporter(scenario.worker), Exporter(scenario.alerter)
    yield scenario, worker, alerter
    worker.stop()
    alerter.stop()


@pytest.fixture(scope="module")
def prometheus(
    exporters: tuple[Scenario, Exporter, Exporter], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A Prometheus with six hours of data that keeps scraping."""
    scenario, worker, alerter = exporters
    folder = tmp_path_factory.mktemp("prometheus")
    history = folder / "history.txt"
    start = datetime.now(UTC) - timedelta(hours=HOURS)
    with history.open("w", encoding="utf-8") as file:
        for at in scenario.steps(start, STEP):
            file.writelines(samples(scenario.worker.registry, at=at, job="worker", instance=worker.address))
            file.writelines(samples(scenario.alerter.registry, at=at, job="alerter", instance=alerter.address))
        file.write("# EOF\n")
    data = folder / "data"
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(history), str(data)],
        check=True,
        capture_output=True,
    )
    server = Prometheus(folder, {"worker": worker.address, "alerter": alerter.address}, seconds=5)
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.5):
            scenario.step(datetime.now(UTC), 0.5)

    working = threading.Thread(target=work, daemon=True)
    working.start()
    try:
        server.wait_scraped()
        yield server.url
    finally:
        stop.set()
        working.join()
        server.child.stop()


@pytest.fixture(scope="module")
def grafana(grafana_home: Path, prometheus: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A fresh Grafana with the Prometheus as data source, and a service account token."""
    server = Grafana(grafana_home, tmp_path_factory.mktemp("grafana"))
    try:
        server.wait_ready()
        yield Stage(server.url, prepare(server.url, prometheus, step=STEP))
    finally:
        server.child.stop()


def test_publishing_twice_creates_once_and_then_changes_nothing(grafana: Stage) -> None:
    publisher = Publisher(grafana.url, grafana.token)

    first = publisher.publish(built(), folder="Old name")
    again = publisher.publish(built(), folder="brandpulse")

    assert {done.outcome for done in first} <= {"created", "unchanged"}
    assert [done.outcome for done in again] == ["unchanged", "unchanged"]
    assert call(f"{grafana.url}/api/folders/{FOLDER_UID}")["title"] == "brandpulse"
    for uid in built():
        stored = call(f"{grafana.url}/api/dashboards/uid/{uid}")
        assert stored["meta"]["folderUid"] == FOLDER_UID
        assert stored["dashboard"]["version"] == 1


def test_publishing_restores_a_manually_changed_dashboard(grafana: Stage) -> None:
    publisher = Publisher(grafana.url, "admin", user="admin")
    publisher.publish(built(), folder="brandpulse")
    stored = call(f"{grafana.url}/api/dashboards/uid/brandpulse-brands")["dashboard"]
    call(
        f"{grafana.url}/api/dashboards/db",
        {"dashboard": stored | {"title": "Mine"}, "folderUid": "", "overwrite": True},
    )

    outcomes = {done.title: done.outcome for done in publisher.publish(built(), folder="brandpulse")}

    assert outcomes == {"brandpulse · Brands": "updated", "brandpulse · Pipeline": "unchanged"}


def test_publishing_errors_name_token_address_or_server(grafana: Stage, prometheus: str) -> None:
    with pytest.raises(ConfigError, match="rejected BRANDPULSE_GRAFANA_TOKEN"):
        Publisher(grafana.url, "wrong").publish(built(), folder="brandpulse")
    with pytest.raises(TransientError, match="Grafana is unreachable at BRANDPULSE_GRAFANA_URL"):
        Publisher(f"http://127.0.0.1:{free_port()}", "any").publish(built(), folder="brandpulse")
    with pytest.raises(ConfigError, match="is not Grafana"):
        Publisher(prometheus, "any").publish(built(), folder="brandpulse")
    account = call(f"{grafana.url}/api/serviceaccounts", {"name": "reader", "role": "Viewer"})
    reader = call(f"{grafana.url}/api/serviceaccounts/{account['id']}/tokens", {"name": "reader"})["key"]
    with pytest.raises(ConfigError, match="cannot write"):
        Publisher(grafana.url, reader).publish(built(), folder="elsewhere")


def test_every_panel_query_returns_numbers(grafana: Stage) -> None:
    end = datetime.now(UTC)
    start = end - timedelta(hours=HOURS)

    empty = [target for target in targets() if not numbers(grafana.url, target, start, end, step=STEP)]

    assert empty == []


@pytest.mark.parametrize("uid", ["brandpulse-brands", "brandpulse-pipeline"])
def test_every_panel_renders_in_a_browser(grafana: Stage, tmp_path: Path, uid: str) -> None:
    Publisher(grafana.url, grafana.token).publish(built(), folder="brandpulse")
    pictures = Path(os.environ.get("BRANDPULSE_TEST_PICTURES", tmp_path))
    path = pictures / f"grafana-{uid.removeprefix('brandpulse-')}.png"

    with a_browser() as browser:
        assert draw(browser, grafana.url, uid, path, span=f"from=now-{HOURS}h&to=now") == []


def test_compose_files_provision_both_dashboards(grafana_home: Path, prometheus: str, tmp_path: Path) -> None:
    provisioning = tmp_path / "provisioning"
    shutil.copytree(ROOT / "deploy" / "grafana" / "provisioning", provisioning)
    for path in provisioning.rglob("*.yml"):
        inside = path.read_text().replace("/var/lib/grafana/dashboards", str(ROOT / "dashboards" / "grafana" / "json"))
        path.write_text(inside.replace("http://prometheus:9090", prometheus))
    server = Grafana(grafana_home, tmp_path, more=f"provisioning = {provisioning}\n")
    try:
        server.wait_ready()
        wait_until(lambda: len(call(f"{server.url}/api/search?tag=brandpulse")) == 2)
        found = {board["uid"]: board["folderUid"] for board in call(f"{server.url}/api/search?tag=brandpulse")}
        assert found == dict.fromkeys(built(), FOLDER_UID)
        health = call(f"{server.url}/api/datasources/uid/{DATASOURCE_UID}/health")
        assert health["status"] == "OK"
    finally:
        server.child.stop()

"""Both dashboards in a real Grafana over a real Prometheus: every query answers, every panel shows something."""

import base64
import json
import os
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import FloatRect
from prometheus_client import CollectorRegistry

from brandpulse.errors import ConfigError, TransientError
from brandpulse.processes import Child, free_port
from brandpulse.telemetry import CONTENT_TYPE, Telemetry
from dashboards.grafana.files import built
from dashboards.grafana.publish import FOLDER_UID, Publisher
from tests.unit.dashboards.browser import a_browser
from tests.unit.dashboards.scenario import Scenario

ROOT = Path(__file__).parents[2]
HOURS = 6
STEP = timedelta(seconds=30)
DATASOURCE_UID = "prometheus"
ADMIN = {"Authorization": "Basic " + base64.b64encode(b"admin:admin").decode()}


class Stage(NamedTuple):
    """A Grafana with our dashboards in it."""

    url: str
    token: str


def call(url: str, body: object = None, *, method: str = "") -> Any:
    request = urllib.request.Request(
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **ADMIN},
        method=method or ("GET" if body is None else "POST"),
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def answers(url: str) -> bool:
    """Whether *url* answers with success."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def wait_until(true: Callable[[], bool], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.1)


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
    home = os.environ.get("BRANDPULSE_TEST_GRAFANA_HOME")
    if not home:
        pytest.skip("no Grafana here: name its folder with BRANDPULSE_TEST_GRAFANA_HOME (tools/build_grafana.sh)")
    if not shutil.which("prometheus") or not shutil.which("promtool"):
        pytest.skip("no Prometheus here: install Debian's `prometheus`")
    return Path(home)


@pytest.fixture(scope="module")
def exporters(grafana_home: Path) -> Iterator[tuple[Scenario, Exporter, Exporter]]:
    """Worker and alerter, still working while the test runs."""
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
    """A Prometheus with six hours behind it that goes on scraping every second."""
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
    port = free_port()
    config = folder / "prometheus.yml"
    jobs = [
        {"job_name": name, "static_configs": [{"targets": [exporter.address]}]}
        for name, exporter in (("worker", worker), ("alerter", alerter))
    ]
    config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}))
    child = Child(
        "prometheus",
        [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        log=folder / "prometheus.log",
    )
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.5):
            scenario.step(datetime.now(UTC), 0.5)

    working = threading.Thread(target=work, daemon=True)
    working.start()
    url = f"http://127.0.0.1:{port}"
    try:
        child.wait_ready(lambda: answers(f"{url}/-/ready"))
        wait_until(lambda: scraped(url) == ["up", "up"])
        yield url
    finally:
        stop.set()
        working.join()
        child.stop()


def scraped(prometheus: str) -> list[str]:
    return [target["health"] for target in call(f"{prometheus}/api/v1/targets")["data"]["activeTargets"]]


class Grafana:
    """A fresh Grafana on a free port, with its data in *folder*."""

    def __init__(self, home: Path, folder: Path, *, more: str = "") -> None:
        port = free_port()
        ini = folder / "grafana.ini"
        ini.write_text(
            f"[server]\nhttp_addr = 127.0.0.1\nhttp_port = {port}\n[security]\nadmin_password = admin\n"
            "[analytics]\nreporting_enabled = false\ncheck_for_updates = false\ncheck_for_plugin_updates = false\n"
            f"[paths]\ndata = {folder}\n{more}"
        )
        command = [str(home / "bin" / "grafana"), "server", "--homepath", str(home), "--config", str(ini)]
        self.child = Child("grafana", command, log=folder / "grafana.log", cwd=folder)
        self.url = f"http://127.0.0.1:{port}"
        self.child.wait_ready(lambda: answers(f"{self.url}/api/health"), timeout_seconds=60)


@pytest.fixture(scope="module")
def grafana(grafana_home: Path, prometheus: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A fresh Grafana that knows the Prometheus, and a service account's token for it."""
    server = Grafana(grafana_home, tmp_path_factory.mktemp("grafana"))
    try:
        yield Stage(server.url, prepare(server.url, prometheus))
    finally:
        server.child.stop()


def prepare(url: str, prometheus: str) -> str:
    """A fresh Grafana gets its data source, and a service account, whose token is returned."""
    call(
        f"{url}/api/datasources",
        {
            "name": "Prometheus",
            "uid": DATASOURCE_UID,
            "type": "prometheus",
            "url": prometheus,
            "access": "proxy",
            "isDefault": True,
            "jsonData": {"timeInterval": f"{STEP.seconds}s", "httpMethod": "POST"},
        },
    )
    account = call(f"{url}/api/serviceaccounts", {"name": "publisher", "role": "Editor"})
    return str(call(f"{url}/api/serviceaccounts/{account['id']}/tokens", {"name": "publisher"})["key"])


def test_publishing_makes_folder_and_dashboards_and_leaves_them_alone_the_second_time(grafana: Stage) -> None:
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


def test_publishing_repairs_what_somebody_changed_by_hand(grafana: Stage) -> None:
    publisher = Publisher(grafana.url, "admin", user="admin")
    publisher.publish(built(), folder="brandpulse")
    stored = call(f"{grafana.url}/api/dashboards/uid/brandpulse-brands")["dashboard"]
    call(
        f"{grafana.url}/api/dashboards/db",
        {"dashboard": stored | {"title": "Mine"}, "folderUid": "", "overwrite": True},
    )

    outcomes = {done.title: done.outcome for done in publisher.publish(built(), folder="brandpulse")}

    assert outcomes == {"brandpulse · Brands": "updated", "brandpulse · Pipeline": "unchanged"}


def test_a_wrong_token_an_absent_grafana_and_a_stranger_are_told_apart(grafana: Stage, prometheus: str) -> None:
    with pytest.raises(ConfigError, match="does not accept BRANDPULSE_GRAFANA_TOKEN"):
        Publisher(grafana.url, "wrong").publish(built(), folder="brandpulse")
    with pytest.raises(TransientError, match="no Grafana answers at BRANDPULSE_GRAFANA_URL"):
        Publisher(f"http://127.0.0.1:{free_port()}", "any").publish(built(), folder="brandpulse")
    with pytest.raises(ConfigError, match="is no Grafana"):
        Publisher(prometheus, "any").publish(built(), folder="brandpulse")
    account = call(f"{grafana.url}/api/serviceaccounts", {"name": "reader", "role": "Viewer"})
    reader = call(f"{grafana.url}/api/serviceaccounts/{account['id']}/tokens", {"name": "reader"})["key"]
    with pytest.raises(ConfigError, match="may not write"):
        Publisher(grafana.url, reader).publish(built(), folder="elsewhere")


def targets() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (uid, panel["title"], target)
        for uid, content in built().items()
        for panel in content["panels"]
        for target in panel.get("targets", [])
    ]


def test_every_query_of_every_panel_answers_with_numbers(grafana: Stage) -> None:
    empty, now = [], int(time.time() * 1000)
    for uid, title, target in targets():
        query = target | {
            "expr": target["expr"].replace("$brand", ".*"),
            "datasource": {"type": "prometheus", "uid": DATASOURCE_UID},
            "intervalMs": 30_000,
            "maxDataPoints": 720,
        }
        body = {"queries": [query], "from": str(now - HOURS * 3_600_000), "to": str(now)}
        answer = call(f"{grafana.url}/api/ds/query", body)["results"][target["refId"]]
        assert "error" not in answer, (uid, title, answer["error"])
        values = [v for frame in answer["frames"] for column in frame["data"]["values"][1:] for v in column]
        numbers = [value for value in values if isinstance(value, int | float)]
        if not numbers:
            empty.append((uid, title, target["expr"]))
    assert empty == []


@pytest.mark.parametrize("uid", ["brandpulse-brands", "brandpulse-pipeline"])
def test_every_panel_is_drawn_in_a_browser(grafana: Stage, tmp_path: Path, uid: str) -> None:
    Publisher(grafana.url, grafana.token).publish(built(), folder="brandpulse")
    content = built()[uid]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in content["panels"])
    pictures = Path(os.environ.get("BRANDPULSE_TEST_PICTURES", tmp_path))
    with a_browser() as browser:
        context = browser.new_context(
            viewport={"width": 1440, "height": rows * 38 + 16}, extra_http_headers=ADMIN, color_scheme="dark"
        )
        page = context.new_page()
        page.goto(f"{grafana.url}/d/{uid}?kiosk&theme=dark&from=now-{HOURS}h&to=now&refresh=")
        for panel in (panel for panel in content["panels"] if panel["type"] != "row"):
            page.get_by_text(panel["title"], exact=True).first.wait_for()
        page.wait_for_load_state("networkidle")
        page.wait_for_function("!document.querySelector('[aria-label=\"Panel loading bar\"]')")
        # The first screens: the README shows them too, and its pictures stay small.
        shown: FloatRect = {"x": 0, "y": 0, "width": 1440, "height": min(rows * 38 + 16, 1_420)}
        page.screenshot(path=pictures / f"grafana-{uid.removeprefix('brandpulse-')}.png", clip=shown)
        assert page.get_by_text("No data", exact=True).count() == 0
        assert page.locator('[data-testid="data-testid Panel status error"]').count() == 0
        assert page.locator('[aria-label="Panel status"]').count() == 0


def test_the_files_that_compose_mounts_provision_both_dashboards(
    grafana_home: Path, prometheus: str, tmp_path: Path
) -> None:
    provisioning = tmp_path / "provisioning"
    shutil.copytree(ROOT / "deploy" / "grafana" / "provisioning", provisioning)
    for path in provisioning.rglob("*.yml"):
        inside = path.read_text().replace("/var/lib/grafana/dashboards", str(ROOT / "dashboards" / "grafana" / "json"))
        path.write_text(inside.replace("http://prometheus:9090", prometheus))
    server = Grafana(grafana_home, tmp_path, more=f"provisioning = {provisioning}\n")
    try:
        wait_until(lambda: len(call(f"{server.url}/api/search?tag=brandpulse")) == 2)
        found = {board["uid"]: board["folderUid"] for board in call(f"{server.url}/api/search?tag=brandpulse")}
        assert found == dict.fromkeys(built(), FOLDER_UID)
        health = call(f"{server.url}/api/datasources/uid/{DATASOURCE_UID}/health")
        assert health["status"] == "OK"
    finally:
        server.child.stop()

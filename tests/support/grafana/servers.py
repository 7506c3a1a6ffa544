"""A real Prometheus and a real Grafana for end-to-end tests: fresh, on free loopback ports, stopped by process id."""

import base64
import json
import os
import shutil
import urllib.request
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from brandpulse.runtime.child_process import Child, free_port
from tests.support.patience import patience, wait_until

DATASOURCE_UID = "prometheus"
ADMIN = {"Authorization": "Basic " + base64.b64encode(b"admin:admin").decode()}


def home_or_skip() -> Path:
    """The folder of a built Grafana. Skips the test if it or Prometheus is missing."""
    home = os.environ.get("BRANDPULSE_TEST_GRAFANA_HOME")
    if not home:
        pytest.skip("no Grafana here: name the folder of a Grafana 10.0 with BRANDPULSE_TEST_GRAFANA_HOME")
    if not shutil.which("prometheus") or not shutil.which("promtool"):
        pytest.skip("no Prometheus here: install Debian's `prometheus`")
    return Path(home)


def call(url: str, body: object = None, *, method: str = "") -> Any:
    """The JSON from *url*, requested as Grafana's administrator."""
    request = urllib.request.Request(
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **ADMIN},
        method=method or ("GET" if body is None else "POST"),
    )
    with urllib.request.urlopen(request, timeout=patience(20)) as answer:
        return json.load(answer)


def answers(url: str) -> bool:
    """Whether *url* returns status 200."""
    try:
        with urllib.request.urlopen(url, timeout=patience(5)) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class Prometheus:
    """Scrapes each job's `host:port` every *seconds*, which is also the timeout: on a busy machine series may disappear
    and return. Its data, including existing data, is in `<folder>/data`."""

    def __init__(self, folder: Path, jobs: Mapping[str, str], *, seconds: int = 1) -> None:
        port = free_port()
        config = folder / "prometheus.yml"
        scraped = [{"job_name": name, "static_configs": [{"targets": [address]}]} for name, address in jobs.items()]
        config.write_text(json.dumps({"global": {"scrape_interval": f"{seconds}s"}, "scrape_configs": scraped}))
        self.url = f"http://127.0.0.1:{port}"
        self.child = Child(
            "prometheus",
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            log=folder / "prometheus.log",
        )
        self._jobs = len(jobs)

    def wait_scraped(self) -> None:
        """Wait until each job was scraped once."""
        self.child.wait_ready(lambda: answers(f"{self.url}/-/ready"))
        wait_until(lambda: self._health() == ["up"] * self._jobs)

    def _health(self) -> list[str]:
        return [target["health"] for target in call(f"{self.url}/api/v1/targets")["data"]["activeTargets"]]


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

    def wait_ready(self) -> None:
        self.child.wait_ready(lambda: answers(f"{self.url}/api/health"), timeout_seconds=60)


def prepare(url: str, prometheus: str, *, step: timedelta) -> str:
    """Create the data source, with one value per *step*, and a service account; returns its token."""
    call(
        f"{url}/api/datasources",
        {
            "name": "Prometheus",
            "uid": DATASOURCE_UID,
            "type": "prometheus",
            "url": prometheus,
            "access": "proxy",
            "isDefault": True,
            "jsonData": {"timeInterval": f"{step.seconds}s", "httpMethod": "POST"},
        },
    )
    account = call(f"{url}/api/serviceaccounts", {"name": "publisher", "role": "Editor"})
    return str(call(f"{url}/api/serviceaccounts/{account['id']}/tokens", {"name": "publisher"})["key"])

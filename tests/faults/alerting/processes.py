"""Real alerter processes for the fault tests."""

import sys
import urllib.request
from pathlib import Path

import yaml

from brandpulse.runtime.child_process import Child
from brandpulse.runtime.service_registry import running
from tests.support.patience import patience
from tests.support.repository import ROOT

ROUTING_KEY = "0" * 32


def start_alerter(
    home: Path,
    *,
    redis_url: str,
    kafka: str,
    namespace: str,
    receiver_url: str,
    name: str = "alerter",
    module: str = "alerting.run",
    **settings: str,
) -> Child:
    """An alerter with a PagerDuty receiver at *receiver_url*; ready when this returns."""
    receivers = home / "receivers.yaml"
    receivers.parent.mkdir(parents=True, exist_ok=True)
    receivers.write_text(
        yaml.safe_dump(
            {
                "receivers": [
                    {"name": "pager", "kind": "pagerduty", "url": receiver_url, "routing_key": ROUTING_KEY},
                ]
            }
        )
    )
    child = Child(
        name,
        [sys.executable, "-m", module],
        log=home / f"{name}.log",
        env={
            "BRANDPULSE_HOME": str(home),
            "BRANDPULSE_REDIS_URL": redis_url,
            "BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS": kafka,
            "BRANDPULSE_NAMESPACE": namespace,
            "BRANDPULSE_ALERTS_TOPIC": f"{namespace}.alerts",
            "BRANDPULSE_RECEIVERS_FILE": str(receivers),
            "BRANDPULSE_ALERTER_TICK_SECONDS": "0.05",
            "BRANDPULSE_ALERTER_LEASE_SECONDS": "1",
            "BRANDPULSE_ALERTER_MIN_HISTORY_HOURS": "6",
            "BRANDPULSE_ALERTER_RETRY_BASE_SECONDS": "0.1",
            "BRANDPULSE_ALERTER_REQUEST_TIMEOUT_SECONDS": "1",
            **settings,
        },
        cwd=ROOT,
    )
    child.wait_ready(lambda: any(facts["pid"] == child.pid for facts in running(home, "alerter")))
    return child


def fetch(home: Path, child: Child, path: str) -> str:
    """The response of the alerter's web port at *path*."""
    [facts] = [facts for facts in running(home, "alerter") if facts["pid"] == child.pid]
    with urllib.request.urlopen(f"{facts['url']}{path}", timeout=patience(5)) as answer:
        return str(answer.read().decode())

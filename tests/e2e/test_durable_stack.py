"""`brandpulse up --broker kafka`: ingested posts survive `kill -9` of all processes."""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from brandpulse.config.settings import Settings
from brandpulse.devstack.embedded_servers import broker_answers
from brandpulse.devstack.kafka_jars import fetch
from brandpulse.ops.stats import collect
from brandpulse.runtime.child_process import Child
from brandpulse.runtime.service_registry import read_addresses
from brandpulse.state.pane_reader import PaneReader
from tests.e2e.test_first_use import brandpulse
from tests.support.builders import NOON_MS, a_post
from tests.support.kafka_broker import JARS, why_not
from tests.support.patience import patience
from tests.support.repository import ROOT

POSTS = 20_000
BRANDS = "brands:\n  - {name: Acme, terms: [acme]}\n"

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "it can"),
    pytest.mark.timeout(400),
]


class Home:
    """A folder with brands and posts, in which a stack is started and stopped."""

    def __init__(self, folder: Path) -> None:
        fetch(JARS)
        self.folder = folder
        self.env = {
            "BRANDPULSE_HOME": str(folder / ".brandpulse"),
            "BRANDPULSE_KAFKA_JARS": str(JARS),
            "BRANDPULSE_WORKER_ENGINE": "keyword",
            "BRANDPULSE_WORKER_BATCH_POSTS": "64",
        }
        (folder / "brands.yaml").write_text(BRANDS)
        self._started = 0
        self.up: Child | None = None

    def start(self, *options: str) -> Child:
        self._started += 1
        clean = {name: "" for name in os.environ if name.startswith("BRANDPULSE_")}
        self.up = Child(
            "up",
            [sys.executable, "-m", "brandpulse", "up", *options],
            log=self.folder / f"up-{self._started}.log",
            env={**clean, **self.env, "PYTHONPATH": str(ROOT)},
            cwd=self.folder,
        )
        up = self.up
        up.wait_ready(lambda: "up: " in up.log_tail(), timeout_seconds=180)
        return up

    def kill_everything(self, ingest: Child) -> None:
        """Kills all processes like a power cut: `up` first, otherwise it restarts the others."""
        assert self.up is not None
        doomed = [self.up.pid, *children_of(self.up.pid), ingest.pid]
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.up.wait(patience(10))
        ingest.wait(patience(10))
        assert len(doomed) >= 7, "up, broker, store, worker, alerter, page, ingest"

    def stats(self) -> dict[str, Any]:
        """The output of `brandpulse stats --json`, without starting a process each time."""
        url = read_addresses(Path(self.env["BRANDPULSE_HOME"]))["redis_url"]
        return collect(Settings(redis_url=SecretStr(url)))

    def wait_for(self, counted: int, *, to_the_end: bool = True, seconds: float = 120) -> dict[str, Any]:
        deadline = time.monotonic() + patience(seconds)
        while posts_of(stats := self.stats()) < counted or (to_the_end and stats["lag"]):
            assert time.monotonic() < deadline, stats
            time.sleep(0.1)
        return stats

    def posts(self, first: int, last: int) -> Path:
        path = self.folder / f"posts-{first}.jsonl"
        rows = (a_post(str(i), "acme is awful", NOON_MS + i * 100) for i in range(first, last))
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def ingest(self, path: Path) -> None:
        done = brandpulse("ingest", "file", str(path), cwd=self.folder, env=self.env)
        assert done.returncode == 0, done.stderr

    def ingest_slowly(self, path: Path) -> Child:
        command = [sys.executable, "-m", "brandpulse", "ingest", "file", str(path), "--rate", "400"]
        env = {**self.env, "PYTHONPATH": str(ROOT)}
        return Child("ingest", command, log=self.folder / "ingest.log", env=env, cwd=self.folder)


def children_of(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def posts_of(stats: dict[str, Any]) -> int:
    return sum(row["posts"] for row in stats.get("brands", {}).values())


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    if home.up is not None and home.up.exit_code is None:
        home.up.stop(grace_seconds=60)


def test_up_resumes_after_sigkill_of_everything(home: Home) -> None:
    up = home.start("--broker", "kafka")
    assert "records on disk" in up.log_tail()
    first = read_addresses(Path(home.env["BRANDPULSE_HOME"]))
    posts = home.posts(0, POSTS)
    ingest = home.ingest_slowly(posts)
    before = home.wait_for(1_000, to_the_end=False)
    assert ingest.exit_code is None, ingest.log_tail()
    home.kill_everything(ingest)
    assert posts_of(before) < POSTS, "it was killed too late to show anything"

    home.start()  # the folder remembers its broker
    second = read_addresses(Path(home.env["BRANDPULSE_HOME"]))
    assert second["kafka_bootstrap_servers"] == first["kafka_bootstrap_servers"], "producers find it again"
    home.ingest(posts)  # the same file again: it resumes after the posts in the topic
    home.wait_for(POSTS)
    home.ingest(home.posts(POSTS, POSTS + 500))
    stats = home.wait_for(POSTS + 500)
    assert (posts_of(stats), stats["repeated"], stats["dead"], stats["lag"]) == (POSTS + 500, 0, 0, 0)

    import redis

    states = PaneReader(redis.Redis.from_url(second["redis_url"]), "main").partitions()
    assert sum(state.next for state in states) == POSTS + 500, "each record was read once, none from another log"
    assert sum(state.lost for state in states) == 0

    done = brandpulse("doctor", cwd=home.folder, env=home.env)
    assert "records on disk" in done.stdout

    assert home.up is not None
    assert home.up.stop(grace_seconds=60) == 0, home.up.log_tail()
    refused = brandpulse("up", "--broker", "embedded", cwd=home.folder, env=home.env)
    assert refused.returncode != 0
    assert "in Apache Kafka" in refused.stderr
    assert "BRANDPULSE_HOME" in refused.stderr


def test_killed_broker_restarts_on_its_log_and_port(home: Home) -> None:
    up = home.start("--broker", "kafka")
    home.ingest(home.posts(0, 2_000))
    home.wait_for(2_000)
    addresses = read_addresses(Path(home.env["BRANDPULSE_HOME"]))
    [broker] = [pid for pid in children_of(up.pid) if b"kafka.Kafka" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(broker, signal.SIGKILL)
    deadline = time.monotonic() + patience(120)
    while "restarts with its records" not in up.log_tail() or not broker_answers(addresses["kafka_bootstrap_servers"]):
        assert time.monotonic() < deadline, up.log_tail()
        time.sleep(0.1)
    home.ingest(home.posts(2_000, 3_000))
    stats = home.wait_for(3_000)
    assert (posts_of(stats), stats["repeated"], stats["lag"]) == (3_000, 0, 0)
    assert read_addresses(Path(home.env["BRANDPULSE_HOME"])) == addresses


def test_up_ignores_the_shell_settings_of_secured_servers(home: Home) -> None:
    home.env |= {
        "BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9093",
        "BRANDPULSE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "BRANDPULSE_KAFKA_USERNAME": "someone",
        "BRANDPULSE_KAFKA_PASSWORD": "s3cr3t",
        "BRANDPULSE_REDIS_URL": "rediss://redis.example:6379/0",
        "BRANDPULSE_REDIS_PASSWORD": "s3cr3t",
    }
    up = home.start()
    folder = Path(home.env["BRANDPULSE_HOME"], "logs")
    deadline = time.monotonic() + patience(60)
    while "partitions assigned" not in (folder / "worker-1.log").read_text():
        assert time.monotonic() < deadline, "the worker reads from the stack's own broker"
        time.sleep(0.1)
    assert up.stop(grace_seconds=60) == 0, up.log_tail()
    assert "example" not in "".join(path.read_text() for path in folder.glob("*.log"))


def test_embedded_broker_warns_that_records_are_in_memory(home: Home) -> None:
    for _ in range(2):
        up = home.start("--workers", "0")
        assert "records in memory: they are lost when it stops" in up.log_tail()
        done = brandpulse("doctor", cwd=home.folder, env=home.env)
        assert "records in memory" in done.stdout
        assert up.stop(grace_seconds=60) == 0

"""`up`, `ingest file`, stop, `up`, `ingest file`: each post counts once, even if processes are stopped or killed."""

import gzip
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis
from pydantic import SecretStr

from brandpulse.config.settings import Settings
from brandpulse.errors import TransientError
from brandpulse.ops.stats import collect
from brandpulse.runtime.child_process import Child
from brandpulse.runtime.service_registry import read_addresses
from tests.e2e.test_first_use import BRANDS, brandpulse
from tests.support.builders import NOON_MS, a_post
from tests.support.patience import patience
from tests.support.repository import ROOT

HOUR_MS = 3_600_000
KILLED_STEP_MS = 20_000
"""2,000 posts are 11 hours, more than the dedup window; posts in flight at a kill are within it."""
pytestmark = pytest.mark.timeout(300)


class Stack:
    """A folder in which `up` is started and stopped as a user does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / ".brandpulse"
        (folder / "brands.yaml").write_text(BRANDS)
        self.starts = 0
        self.child: Child | None = None

    def up(self, **env: str) -> Child:
        self.starts += 1
        self.child = Child(
            "up",
            [sys.executable, "-m", "brandpulse", "up", "--page-port", "0"],
            log=self.folder / f"up-{self.starts}.log",
            cwd=self.folder,
            env={"PYTHONPATH": str(ROOT), "BRANDPULSE_WORKER_ENGINE": "keyword", **env},
        )
        child = self.child
        child.wait_ready(lambda: "up: " in child.log_tail(), timeout_seconds=90)
        return child

    def stop(self) -> None:
        if self.child is not None and self.child.exit_code is None:
            self.child.stop(grace_seconds=60)

    def kill(self, child: Child) -> None:
        child.kill()
        child.wait(patience(10))

    def ingest(self, path: Path, *options: str, code: int = 0, env: Mapping[str, str] | None = None) -> dict[str, Any]:
        done = brandpulse("ingest", "file", str(path), "--json", *options, cwd=self.folder, env=env)
        assert done.returncode == code, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
        return {**found, "stderr": done.stderr}

    def ingesting(self, path: Path, *options: str) -> Child:
        command = [sys.executable, "-m", "brandpulse", "ingest", "file", str(path), *options]
        log = self.folder / f"ingest-{time.monotonic_ns()}.log"
        return Child("ingest", command, log=log, cwd=self.folder, env={"PYTHONPATH": str(ROOT)})

    def counted(self) -> int:
        deadline = time.monotonic() + patience(15)
        # The worker writes its lag every few seconds, so it may be from before the last post.
        while (stats := self.stats()).get("lag") != 0:
            assert time.monotonic() < deadline, f"lag stays at {stats.get('lag')}"
            time.sleep(0.1)
        return int(stats["brands"].get("Acme", {}).get("posts", 0))

    def stats(self) -> dict[str, Any]:
        url = read_addresses(self.home)["redis_url"]
        try:
            return collect(Settings(redis_url=SecretStr(url)))
        except TransientError:
            return {"brands": {}}

    def wait_counted(self, least: int, seconds: float = 60) -> int:
        deadline = time.monotonic() + patience(seconds)
        while (found := self.stats()["brands"].get("Acme", {}).get("posts", 0)) < least:
            assert time.monotonic() < deadline, f"{found} of {least} counted"
            time.sleep(0.05)
        return int(found)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path)
    yield stack
    stack.stop()


def write(path: Path, numbers: Sequence[int], *, step_ms: int = 3 * 60_000) -> Path:
    """One post every three minutes: 1,440 of them are three days, far more than the dedup window."""
    lines = [json.dumps(a_post(f"p{i}", "acme is awful", NOON_MS + i * step_ms)) for i in numbers]
    content = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def test_file_sent_again_after_a_restart_counts_once(stack: Stack) -> None:
    path = write(stack.folder / "posts.jsonl", range(1_440))
    stack.up()
    first = stack.ingest(path, "--wait")
    assert (first["sent"], first["counted"]) == (1_440, 1_440)
    stack.stop()
    for _ in range(2):
        stack.up()
        again = stack.ingest(path, "--wait")
        assert (again["sent"], again["repeated"], again["sent_before"]) == (0, 1_440, 1_440)
        assert "sent before" in again["stderr"]
        assert stack.counted() == 1_440
        stack.stop()

    # The same posts in another format, and new posts.
    stack.up()
    copy = write(stack.folder / "copy of posts.jsonl.gz", range(1_440))
    own_sources = stack.ingest(copy)
    assert (own_sources["sent"], own_sources["sent_before"], own_sources["elsewhere"]) == (0, 1_440, 0)
    assert stack.ingest(copy, "--source", "copy")["elsewhere"] == 1_440
    weeks = write(stack.folder / "next.jsonl", range(1_000, 1_600))
    elsewhere = {"BRANDPULSE_HOME": str(stack.folder / "elsewhere"), **addresses(stack)}
    overlapping = stack.ingest(weeks, "--wait", "--source", "next", env=elsewhere)
    assert (overlapping["sent"], overlapping["elsewhere"]) == (160, 440)
    write(path, range(1_800))
    grown = stack.ingest(path, "--wait")
    assert (grown["sent"], grown["sent_before"]) == (200, 1_600)
    assert stack.counted() == 1_800


def addresses(stack: Stack) -> dict[str, str]:
    found = read_addresses(stack.home)
    return {
        "BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS": found["kafka_bootstrap_servers"],
        "BRANDPULSE_REDIS_URL": found["redis_url"],
    }


def test_uncounted_posts_are_resent_after_a_restart(stack: Stack) -> None:
    path = write(stack.folder / "posts.jsonl", range(3_000))
    up = stack.up(BRANDPULSE_WORKER_BATCH_POSTS="16")
    [worker] = _running(stack)
    os.kill(worker, signal.SIGSTOP)
    try:
        assert stack.ingest(path)["sent"] == 3_000
        os.kill(worker, signal.SIGCONT)
        seen = stack.wait_counted(1)
        stack.kill(up)
    finally:
        _continue(worker)
    assert seen < 3_000, "the stack was killed too late to show anything"
    _wait_gone(worker)
    stack.up()
    done = stack.ingest(path, "--wait")
    assert done["sent"] > 0
    assert stack.counted() == 3_000
    assert stack.stats()["repeated"] == 0, "only what was not counted was sent"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_ingest_counts_once_after_a_stack_restart(stack: Stack, how: signal.Signals) -> None:
    path = write(stack.folder / "posts.jsonl", range(2_000), step_ms=KILLED_STEP_MS)
    up = stack.up()
    ingest = stack.ingesting(path, "--rate", "400")
    stack.wait_counted(300)
    os.kill(ingest.pid, how)
    ingest.wait(patience(20))
    if how == signal.SIGKILL:
        stack.kill(up)
    else:
        stack.stop()
    stack.up()
    done = stack.ingest(path, "--wait")
    assert 0 < done["sent"] < 2_000
    assert stack.counted() == 2_000


def test_posts_in_flight_count_once_after_everything_is_killed(stack: Stack) -> None:
    path = write(stack.folder / "posts.jsonl", range(2_000), step_ms=KILLED_STEP_MS)
    for reached in (200, 700):
        up = stack.up()
        ingest = stack.ingesting(path, "--rate", "400")
        stack.wait_counted(reached)
        up.kill()
        ingest.kill()
        up.wait(patience(10))
        ingest.wait(patience(10))
    stack.up()
    stack.ingest(path, "--wait")
    assert stack.counted() == 2_000


def test_stack_restarted_during_ingest_counts_once(stack: Stack) -> None:
    path = write(stack.folder / "posts.jsonl", range(2_000))
    stack.up()
    ingest = stack.ingesting(path, "--rate", "400")
    stack.wait_counted(200)
    stack.stop()
    stack.up()
    os.kill(ingest.pid, signal.SIGINT)
    ingest.wait(patience(30))
    stack.ingest(path, "--wait")
    assert stack.counted() == 2_000


def test_wiped_redis_gets_the_file_again(stack: Stack) -> None:
    path = write(stack.folder / "posts.jsonl", range(500))
    stack.up()
    stack.ingest(path, "--wait")
    stack.stop()
    stack.up()
    assert stack.ingest(path, "--wait")["sent"] == 0
    redis.Redis.from_url(read_addresses(stack.home)["redis_url"]).flushall()
    assert stack.ingest(path)["sent"] == 500
    stack.wait_counted(500)
    time.sleep(1)
    assert stack.ingest(path, "--wait")["sent"] == 0
    assert stack.counted() == 500


def test_wait_reports_late_dead_and_unmatched_posts(stack: Stack) -> None:
    stack.up()
    newest_first = write(stack.folder / "export.jsonl", range(1_439, -1, -1))
    done = stack.ingest(newest_first, "--wait")
    assert (done["counted"], done["late"], done["dead"]) == (1_440, 0, 0)
    assert "not in order of time" in done["stderr"]

    behind = write(stack.folder / "behind.jsonl", range(2_000, 2_100), step_ms=1_000)
    done = stack.ingest(behind, "--wait")
    assert (done["counted"], done["late"], done["dead"]) == (100, 100, 0)
    before, _, after = done["stderr"].partition("counted 100 posts")
    assert "100 of the 100 posts to send are late" in before, "the warning comes before the first post"
    assert "late: 100 posts" in after

    unmatched = stack.folder / "unmatched.jsonl"
    unmatched.write_text(json.dumps(a_post("u", "nothing of ours", NOON_MS + 72 * HOUR_MS)) + "\n")
    done = stack.ingest(unmatched, "--wait", code=1)
    assert (done["counted"], done["unmatched"]) == (0, 1)
    assert "none of the posts names a brand" in done["stderr"]

    old = write(stack.folder / "old.jsonl", range(3_000, 3_005), step_ms=-HOUR_MS)
    done = stack.ingest(old, "--wait", code=1)
    assert (done["counted"], done["dead"], done["dead_reasons"]) == (0, 5, {"too_old": 5})
    assert "5 too_old" in done["stderr"]


def _running(stack: Stack) -> list[int]:
    from brandpulse.runtime.service_registry import running

    return [int(worker["pid"]) for worker in running(stack.home, "worker")]


def _continue(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        return


def _wait_gone(pid: int) -> None:
    deadline = time.monotonic() + patience(20)
    while Path(f"/proc/{pid}").exists() and not re.search(r"State:\s+Z", Path(f"/proc/{pid}/status").read_text()):
        assert time.monotonic() < deadline, "the worker outlives its stack"
        time.sleep(0.1)

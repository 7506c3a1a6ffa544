"""Problems of a whole stream on the embedded stack: `doctor`, `stats` and the page report source and cause."""

import json
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from brandpulse.runtime.child_process import Child
from brandpulse.runtime.service_registry import read_addresses
from brandpulse.state.keys import HOUR_MS
from tests.e2e.test_first_use import BRANDS, brandpulse
from tests.support.builders import a_post
from tests.support.patience import patience
from tests.support.repository import ROOT


class Stack:
    """`brandpulse up` in its own folder, and a producer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sent = 0
        self._producer: Producer | None = None

    def produce(
        self, posts: int, source: str, text: str = "acme is fine", *, hours: float = 0, unit: int = 1, **fields: Any
    ) -> None:
        """*hours*: created_at minus record timestamp. *unit*: divisor of the record timestamp."""
        addresses = read_addresses(self.folder / ".brandpulse")
        self._producer = self._producer or Producer({"bootstrap.servers": addresses["kafka_bootstrap_servers"]})
        now_ms = time.time_ns() // 1_000_000
        for _ in range(posts):
            self._sent += 1
            post = a_post(f"post-{self._sent}", text, now_ms + int(hours * HOUR_MS), source=source) | fields
            self._producer.produce("posts", json.dumps(post), key=post["id"], timestamp=now_ms // unit)
        self._producer.flush(patience(20))

    def stats(self) -> dict[str, Any]:
        done = brandpulse("stats", "--json", cwd=self.folder)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def until(self, kind: str, source: str, *, seconds: float = 30) -> dict[str, Any]:
        """The problem of that kind and source, once the workers have reported it."""
        deadline = time.monotonic() + patience(seconds)
        while True:
            problems = self.stats()["problems"]
            if found := [one for one in problems if (one["kind"], one["source"]) == (kind, source)]:
                return dict(found[0])
            assert time.monotonic() < deadline, problems
            time.sleep(0.5)

    def doctor(self) -> str:
        return " ".join(brandpulse("doctor", cwd=self.folder).stdout.split())

    def health(self) -> dict[str, Any]:
        url = read_addresses(self.folder / ".brandpulse")["page_url"]
        with urllib.request.urlopen(f"{url.rstrip('/')}/api/health") as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    (tmp_path / "brands.yaml").write_text(BRANDS)
    child = Child(
        "up",
        [sys.executable, "-m", "brandpulse", "up", "--page-port", "0"],
        log=tmp_path / "up.log",
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "BRANDPULSE_WORKER_ENGINE": "keyword"},
    )
    child.wait_ready(lambda: "page_url" in read_addresses(tmp_path / ".brandpulse"), timeout_seconds=60)
    yield Stack(tmp_path)
    child.stop(grace_seconds=30)


def test_stream_problems_are_reported_with_source_and_cause(stack: Stack) -> None:
    stack.produce(50, "rss", "fly with Ac-Me today")
    problem = stack.until("unmatched", "rss")
    assert "Ac-Me for acme" in problem["sentence"]
    assert (problem["posts"], problem["of"]) == (50, 50)
    shown = brandpulse("stats", cwd=stack.folder).stdout
    assert "None of 50 posts is counted" in shown
    assert "No posts counted yet" not in shown
    assert stack.health()["doubtful"]

    stack.produce(400, "bluesky")
    stack.produce(100, "new-york", hours=-5)
    assert "5 hours behind" in stack.until("late", "new-york")["sentence"]
    assert any("5 hours behind" in banner for banner in stack.health()["banners"])

    stack.produce(40, "tokyo", hours=9)
    assert "9 hours ahead" in stack.until("dead", "tokyo")["sentence"]
    stack.produce(40, "broken", author_id="")
    assert "field is missing or wrong" in stack.until("dead", "broken")["sentence"]

    stack.produce(2_000, "seconds", unit=1_000)
    deadline = time.monotonic() + patience(30)
    while not all(one["paused"] for one in stack.health()["partitions"]):
        assert time.monotonic() < deadline, stack.health()
        time.sleep(0.5)
    output = stack.doctor()
    assert "warn posts All counted posts from 'new-york'" in output
    assert "New York" in output
    assert "are in seconds" in output
    assert "send timestamps in milliseconds" in output

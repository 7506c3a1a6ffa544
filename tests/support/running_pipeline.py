"""A whole pipeline of real processes under one folder, for the end-to-end tests."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from pydantic import SecretStr

from brandpulse.config.settings import Settings
from brandpulse.errors import TransientError
from brandpulse.kafka.client import producer_config
from brandpulse.kafka.topics import Topic, ensure_topics
from brandpulse.ops.stats import collect
from brandpulse.runtime.child_process import Child
from stream_workers.app import EXIT_WATCHDOG
from tests.support.patience import patience

BRANDS = """brands:
  - name: Acme
    terms: [acme]
  - name: Bolt
    handles: ["@bolt"]
"""


class Pipeline:
    """Commands and services with a home, a namespace and topics of their own."""

    def __init__(self, home: Path, bootstrap_servers: str, redis_url: str, namespace: str, **settings: str) -> None:
        self.home = home
        self.topic = f"{namespace}.posts"
        self.dlq_topic = f"{namespace}.dlq"
        self.bootstrap_servers = bootstrap_servers
        brands = home / "brands.yaml"
        brands.write_text(BRANDS)
        self.env = {
            "BRANDPULSE_HOME": str(home),
            "BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
            "BRANDPULSE_REDIS_URL": redis_url,
            "BRANDPULSE_NAMESPACE": namespace,
            "BRANDPULSE_POSTS_TOPIC": self.topic,
            "BRANDPULSE_SCORED_TOPIC": f"{namespace}.scored",
            "BRANDPULSE_DLQ_TOPIC": self.dlq_topic,
            "BRANDPULSE_ALERTS_TOPIC": f"{namespace}.alerts",
            "BRANDPULSE_BRANDS_FILE": str(brands),
            "BRANDPULSE_WORKER_ENGINE": "keyword",
            "BRANDPULSE_WORKER_IDLE_AFTER_SECONDS": "1",
            **settings,
        }
        self._children: list[Child] = []

    def service(self, *arguments: str) -> Child:
        child = Child(
            arguments[0],
            [sys.executable, "-m", "brandpulse", *arguments],
            log=self.home / "logs" / f"{arguments[0]}-{len(self._children)}.log",
            env=self.env,
        )
        self._children.append(child)
        return child

    def run(
        self, *arguments: str, timeout: float = 120, env: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "brandpulse", *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, **self.env, **(env or {})},
            cwd=self.home,
        )

    def stats(self) -> dict[str, Any]:
        """What `brandpulse stats --json` prints, without a process each time."""
        settings = Settings(
            redis_url=SecretStr(self.env["BRANDPULSE_REDIS_URL"]), namespace=self.env["BRANDPULSE_NAMESPACE"]
        )
        return collect(settings)

    def create_topics(self, partitions: int = 4) -> None:
        ensure_topics(self.bootstrap_servers, [Topic(self.topic, partitions)])

    def produce(self, posts: list[dict[str, Any]], **config: Any) -> None:
        producer = Producer(producer_config(self.bootstrap_servers) | config)
        for post in posts:
            producer.produce(self.topic, key=str(post["id"]).encode(), value=json.dumps(post).encode())
        assert producer.flush(patience(30)) == 0

    def wait_for(self, true_of: Callable[[dict[str, Any]], bool], *, seconds: float = 60) -> dict[str, Any]:
        """The stats once *true_of* them holds."""
        deadline = time.monotonic() + patience(seconds)
        stats: dict[str, Any] = {}
        while True:
            with contextlib.suppress(TransientError):
                stats = self.stats()
            if stats and true_of(stats):
                return stats
            for child in self._children:
                ended_well = child.exit_code in (None, 0, -signal.SIGKILL, EXIT_WATCHDOG)
                assert ended_well, f"{child.name} died:\n{child.log_tail(40)}"
            assert time.monotonic() < deadline, f"{stats}\n" + "\n".join(c.log_tail() for c in self._children)
            time.sleep(0.2)

    def stop(self) -> None:
        for child in self._children:
            if child.exit_code is None:
                child.kill()


def counted(stats: dict[str, Any]) -> int:
    """Number of posts that the partitions have finished, with any outcome (brand mentions may exceed posts)."""
    return sum(row["posts"] for row in stats["brands"].values())

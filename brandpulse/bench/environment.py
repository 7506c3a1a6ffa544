"""Shared parts of the pipeline benchmarks: posts, servers, a worker, and the resources of each process."""

import gzip
import json
import os
import random
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import redis
from confluent_kafka import Producer

from brandpulse.config.settings import Settings, load_settings
from brandpulse.devstack.apache_kafka_node import ApacheKafkaBroker
from brandpulse.devstack.embedded_servers import EmbeddedBroker, EmbeddedStore
from brandpulse.errors import BrandpulseError
from brandpulse.kafka.client import producer_config
from brandpulse.kafka.topics import Topic, ensure_topics
from brandpulse.runtime.child_process import Child
from brandpulse.runtime.process_memory import peak_bytes
from brandpulse.runtime.service_registry import running
from brandpulse.state.keys import PartitionKeys
from brandpulse.state.pane_reader import PaneReader

SAMPLE = Path(__file__).parents[1] / "sample"
BRANDS = SAMPLE / "brands.yaml"
START = datetime(2026, 3, 2, tzinfo=UTC)
PATIENCE_SECONDS = 600.0
EMBEDDED, KAFKA = "embedded", "kafka"


@dataclass(frozen=True, slots=True)
class ResourceUse:
    """Resources that a process used between two readings."""

    cpu_seconds: float
    peak_bytes: int
    """Its peak resident memory since it started (VmHWM)."""


@dataclass(frozen=True, slots=True)
class ResourceMeter:
    """Reads the resources of processes by their ids."""

    pids: Mapping[str, Sequence[int]]

    def read(self) -> dict[str, float]:
        """CPU seconds of each process so far."""
        return {name: sum(map(cpu_seconds, pids)) for name, pids in self.pids.items()}

    def since(self, before: Mapping[str, float]) -> dict[str, ResourceUse]:
        """Use since *before*, a result of `read`."""
        return {
            name: ResourceUse(sum(map(cpu_seconds, pids)) - before[name], sum(map(peak_bytes, pids)))
            for name, pids in self.pids.items()
        }


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def sample_texts() -> list[str]:
    with gzip.open(SAMPLE / "posts.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def records_of_posts(posts: int, seed: int, *, step_ms: int = 100) -> list[bytes]:
    """Records with texts of the sample, each with a random number, so that no score comes from a cache."""
    texts = sample_texts()
    rng = random.Random(seed)
    return [
        record(
            str(number),
            f"{rng.choice(texts)} {rng.randrange(10**9)}",
            START + timedelta(milliseconds=step_ms * number),
            rng,
        )
        for number in range(posts)
    ]


def record(number: str, text: str, created: datetime, rng: random.Random) -> bytes:
    """A post as JSON, by one of 5,000 authors."""
    return json.dumps(
        {
            "schema_version": 1,
            "id": number,
            "text": text,
            "created_at": created.isoformat(),
            "author_id": f"u{rng.randrange(5_000)}",
            "source": "bench",
        }
    ).encode()


@dataclass(frozen=True, slots=True)
class Servers:
    """Broker and store of a benchmark, each in its own process."""

    bootstrap_servers: str
    redis_url: str
    pids: Mapping[str, Sequence[int]]
    """Process ids of the servers that the benchmark started."""


@contextmanager
def servers(broker: str = EMBEDDED) -> Iterator[tuple[Path, Servers]]:
    """Servers with a temporary folder. *broker* is `embedded`, `kafka`, or the address of a running one.

    Raises ConfigError if Java or jars are missing for `kafka`.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = EmbeddedStore(folder)
        started = _start_broker(broker, folder)
        pids = {"store": [store.child.pid]} | ({"broker": [started.child.pid]} if started else {})
        try:
            yield folder, Servers(started.bootstrap_servers if started else broker, store.url, pids)
        finally:
            if started:
                started.stop()
            store.stop()


def _start_broker(broker: str, folder: Path) -> EmbeddedBroker | ApacheKafkaBroker | None:
    if broker == EMBEDDED:
        return EmbeddedBroker(folder)
    return ApacheKafkaBroker(folder, jars=load_settings(Settings).kafka_jars) if broker == KAFKA else None


def produce(bootstrap_servers: str, topic: str, records: Sequence[bytes], *, partitions: int) -> None:
    """Send *records* to a new *topic*, keyed by their number. Raises BrandpulseError if the broker stalls."""
    ensure_topics(bootstrap_servers, [Topic(topic, partitions)])
    producer = Producer(producer_config(bootstrap_servers) | {"queue.buffering.max.messages": 100_000})
    for number, value in enumerate(records):
        while True:
            try:
                producer.produce(topic, key=str(number).encode(), value=value)
                break
            except BufferError:
                producer.poll(0.1)
        if number % 1_000 == 0:
            producer.poll(0)
    if left := producer.flush(120):
        raise BrandpulseError(f"the broker did not acknowledge {left:,} of {len(records):,} records within two minutes")


@contextmanager
def worker(
    folder: Path,
    servers: Servers,
    *,
    topic: str,
    namespace: str,
    env: Mapping[str, str] | None = None,
    command: Sequence[str] = ("brandpulse", "worker"),
) -> Iterator[Child]:
    """A worker on *topic*, with *folder* as its data folder. *command*: its module and arguments."""
    child = Child(
        "worker",
        [sys.executable, "-m", *command],
        log=folder / "worker.log",
        env={
            "BRANDPULSE_HOME": str(folder),
            "BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS": servers.bootstrap_servers,
            "BRANDPULSE_REDIS_URL": servers.redis_url,
            "BRANDPULSE_BRANDS_FILE": str(BRANDS),
            "BRANDPULSE_NAMESPACE": namespace,
            "BRANDPULSE_POSTS_TOPIC": topic,
            "BRANDPULSE_LOG_LEVEL": "WARNING",
            **(env or {}),
        },
    )
    try:
        yield child
    finally:
        child.stop()


def pane_reader(servers: Servers, namespace: str) -> PaneReader:
    return PaneReader(redis.Redis.from_url(servers.redis_url), namespace)


def next_reader(servers: Servers, namespace: str, topic: str, partitions: int) -> Callable[[], list[int]]:
    """A function that reads `next` of every partition in one round trip: cheap enough to call all the time."""
    client = redis.Redis.from_url(servers.redis_url)
    states = [PartitionKeys(namespace, topic, partition).state for partition in range(partitions)]

    def read() -> list[int]:
        pipeline = client.pipeline(transaction=False)
        for state in states:
            pipeline.hget(state, "next")
        return [int(found or 0) for found in pipeline.execute()]

    return read


def await_applied(
    nexts: Callable[[], Sequence[int]],
    posts: int,
    children: Sequence[Child],
    *,
    each: Callable[[int], None] = lambda _applied: None,
) -> None:
    """Return once *posts* are applied; call *each* with their number every 10 ms. Raises BrandpulseError.

    *nexts* comes from `next_reader`, whose calls take little CPU time from the measured processes.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        applied = sum(nexts())
        each(applied)
        if applied >= posts:
            return
        for child in children:
            if child.exit_code is not None:
                raise BrandpulseError(f"the worker ended after {applied:,} of {posts:,} posts:\n{child.log_tail()}")
        if time.monotonic() > deadline:
            raise BrandpulseError(
                f"the worker did not finish: {applied:,} of {posts:,} posts in {PATIENCE_SECONDS:g} s"
            )
        time.sleep(0.01)


def stage_seconds(home: Path) -> dict[str, float]:
    """Seconds of each stage so far, from the metrics port of the worker under *home*."""
    [process] = running(home, "worker")
    with urllib.request.urlopen(f"{process['url']}/metrics", timeout=5) as answer:  # noqa: S310 - a loopback port
        lines = answer.read().decode().splitlines()
    prefix = 'brandpulse_stage_seconds_total{stage="'
    stages = (line.removeprefix(prefix).split('"} ') for line in lines if line.startswith(prefix))
    return {stage: float(value) for stage, value in stages}

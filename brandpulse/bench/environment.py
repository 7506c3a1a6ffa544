"""What the pipeline's benches share: the stream, the servers, a worker, and what each process used."""

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
BEGAN = datetime(2026, 3, 2, tzinfo=UTC)
PATIENCE_SECONDS = 600.0
EMBEDDED, KAFKA = "embedded", "kafka"


@dataclass(frozen=True, slots=True)
class Used:
    """What a process took between two looks."""

    cpu_seconds: float
    peak_bytes: int
    """Most memory it ever held (VmHWM)."""


@dataclass(frozen=True, slots=True)
class Meter:
    """Looks at processes of ours by their ids."""

    pids: Mapping[str, Sequence[int]]

    def look(self) -> dict[str, float]:
        return {name: sum(map(cpu_seconds, pids)) for name, pids in self.pids.items()}

    def since(self, before: Mapping[str, float]) -> dict[str, Used]:
        return {
            name: Used(sum(map(cpu_seconds, pids)) - before[name], sum(map(peak_bytes, pids)))
            for name, pids in self.pids.items()
        }


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def sample_texts() -> list[str]:
    with gzip.open(SAMPLE / "posts.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def stream(posts: int, seed: int, *, step_ms: int = 100) -> list[bytes]:
    """The sample's texts, each with a word of its own, so that no cache answers for the model."""
    texts = sample_texts()
    pick = random.Random(seed)
    return [
        record(
            str(number),
            f"{pick.choice(texts)} {pick.randrange(10**9)}",
            BEGAN + timedelta(milliseconds=step_ms * number),
            pick,
        )
        for number in range(posts)
    ]


def record(number: str, text: str, created: datetime, pick: random.Random) -> bytes:
    return json.dumps(
        {
            "schema_version": 1,
            "id": number,
            "text": text,
            "created_at": created.isoformat(),
            "author_id": f"u{pick.randrange(5_000)}",
            "source": "bench",
        }
    ).encode()


@dataclass(frozen=True, slots=True)
class Servers:
    """Broker and store of a bench, each a process of its own."""

    bootstrap_servers: str
    redis_url: str
    pids: Mapping[str, Sequence[int]]
    """Of those that we started."""


@contextmanager
def servers(broker: str = EMBEDDED) -> Iterator[tuple[Path, Servers]]:
    """A folder that is gone afterwards, and the servers. *broker*: `embedded`, `kafka`, or a running one's address.

    Raises ConfigError when `kafka` has no Java or no jars.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = EmbeddedStore(folder)
        started = _broker(broker, folder)
        pids = {"store": [store.child.pid]} | ({"broker": [started.child.pid]} if started else {})
        try:
            yield folder, Servers(started.bootstrap_servers if started else broker, store.url, pids)
        finally:
            if started:
                started.stop()
            store.stop()


def _broker(broker: str, folder: Path) -> EmbeddedBroker | ApacheKafkaBroker | None:
    if broker == EMBEDDED:
        return EmbeddedBroker(folder)
    return ApacheKafkaBroker(folder, jars=load_settings(Settings).kafka_jars) if broker == KAFKA else None


def produce(bootstrap_servers: str, topic: str, records: Sequence[bytes], *, partitions: int) -> None:
    """All of *records* into a new *topic*, keyed by their number. Raises BrandpulseError when the broker stalls."""
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
        raise BrandpulseError(f"the broker did not take {left:,} of {len(records):,} records within two minutes")


@contextmanager
def worker(
    folder: Path, where: Servers, *, topic: str, namespace: str, env: Mapping[str, str] | None = None
) -> Iterator[Child]:
    """A `brandpulse worker` on *topic*; *folder* is its home."""
    child = Child(
        "worker",
        [sys.executable, "-m", "brandpulse", "worker"],
        log=folder / "worker.log",
        env={
            "BRANDPULSE_HOME": str(folder),
            "BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS": where.bootstrap_servers,
            "BRANDPULSE_REDIS_URL": where.redis_url,
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


def pane_reader(where: Servers, namespace: str) -> PaneReader:
    return PaneReader(redis.Redis.from_url(where.redis_url), namespace)


def next_reader(where: Servers, namespace: str, topic: str, partitions: int) -> Callable[[], list[int]]:
    """Reads `next` of every partition and nothing else, in one round trip: cheap enough to ask all the time."""
    client = redis.Redis.from_url(where.redis_url)
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
    """Returns once *posts* are applied; calls *each* with their number, every 10 ms. Raises BrandpulseError.

    *nexts* is of `next_reader`: who looks shares the processors with who is measured.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        applied = sum(nexts())
        each(applied)
        if applied >= posts:
            return
        for child in children:
            if child.exit_code is not None:
                raise BrandpulseError(f"the worker ended with {applied:,} of {posts:,} posts:\n{child.log_tail()}")
        if time.monotonic() > deadline:
            raise BrandpulseError(
                f"the worker did not finish: {applied:,} of {posts:,} posts in {PATIENCE_SECONDS:g} s"
            )
        time.sleep(0.01)


def stage_seconds(home: Path) -> dict[str, float]:
    """Seconds of each stage so far, as the worker under *home* tells them on its metrics port."""
    [found] = running(home, "worker")
    with urllib.request.urlopen(f"{found['url']}/metrics", timeout=5) as answer:  # noqa: S310 - our own loopback port
        lines = answer.read().decode().splitlines()
    prefix = 'brandpulse_stage_seconds_total{stage="'
    told = (line.removeprefix(prefix).split('"} ') for line in lines if line.startswith(prefix))
    return {stage: float(value) for stage, value in told}

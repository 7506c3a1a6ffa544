"""`brandpulse bench pipeline`: posts per second from topic to panes, with broker, store and worker as processes."""

import gzip
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import redis
from confluent_kafka import Consumer, Producer
from rich.console import Console
from rich.table import Table

from brandpulse.embedded import EmbeddedBroker, EmbeddedStore
from brandpulse.errors import BrandpulseError
from brandpulse.pane_reader import PaneReader
from brandpulse.processes import Child
from brandpulse.topics import Topic, client_config, ensure_topics, producer_config

SAMPLE = Path(__file__).parent / "sample"
TOPIC = "posts"
PARTITIONS = 4
PATIENCE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Figure:
    """What one path was seen to do."""

    path: str
    posts: int
    seconds: float
    worker_cpu_seconds: float

    @property
    def posts_per_second(self) -> float:
        return self.posts / self.seconds


def run(*, posts: int, engines: Sequence[str], seed: int = 1) -> list[Figure]:
    """Measures each engine through the whole pipeline, and the plain loop beside it; prints a table."""
    console = Console()
    figures = []
    with tempfile.TemporaryDirectory() as folder, _servers(Path(folder)) as (broker, store):
        stream = _stream(posts, seed)
        for engine in engines:
            number = posts if engine == "null" else min(posts, 20_000)
            console.print(f"pipeline, engine {engine}: {number:,} posts")
            figures.append(_pipeline(Path(folder), broker, store, engine, stream[:number]))
        if find_spec("transformers") is None:
            console.print("the plain loop is left out: it needs transformers (make setup-all)")
        else:
            number = min(posts, 2_000)
            console.print(f"plain loop, Hugging Face pipeline: {number:,} posts")
            figures.append(_plain_loop(broker, stream[:number]))
    _show(figures, console)
    return figures


def _stream(posts: int, seed: int) -> list[bytes]:
    """The sample's texts, each with a word of its own, so that no cache answers for the model."""
    with gzip.open(SAMPLE / "posts.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    pick = random.Random(seed)
    began = datetime(2026, 3, 2, tzinfo=UTC)
    return [
        json.dumps(
            {
                "schema_version": 1,
                "id": str(number),
                "text": f"{pick.choice(texts)} {pick.randrange(10**9)}",
                "created_at": (began + timedelta(milliseconds=100 * number)).isoformat(),
                "author_id": f"u{pick.randrange(5_000)}",
                "source": "bench",
            }
        ).encode()
        for number in range(posts)
    ]


@contextmanager
def _servers(folder: Path) -> Iterator[tuple[EmbeddedBroker, EmbeddedStore]]:
    broker, store = EmbeddedBroker(folder), EmbeddedStore(folder)
    try:
        yield broker, store
    finally:
        broker.stop()
        store.stop()


def _produce(broker: EmbeddedBroker, topic: str, stream: Sequence[bytes]) -> None:
    ensure_topics(broker.bootstrap_servers, [Topic(topic, PARTITIONS)])
    producer = Producer(producer_config(broker.bootstrap_servers) | {"queue.buffering.max.messages": 1_000_000})
    for number, post in enumerate(stream):
        producer.produce(topic, key=str(number).encode(), value=post)
        if number % 1_000 == 0:
            producer.poll(0)
    if producer.flush(60):
        raise BrandpulseError("the broker did not take the stream within a minute")


def _pipeline(
    folder: Path, broker: EmbeddedBroker, store: EmbeddedStore, engine: str, stream: Sequence[bytes]
) -> Figure:
    """From the first counted batch to the last: start-up and group join stay outside."""
    namespace = f"bench-{engine}"
    topic = f"{TOPIC}.{engine}"
    _produce(broker, topic, stream)
    home = folder / engine
    worker = Child(
        "worker",
        [sys.executable, "-m", "brandpulse", "worker"],
        log=home / "worker.log",
        env={
            "BRANDPULSE_HOME": str(home),
            "BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "BRANDPULSE_REDIS_URL": store.url,
            "BRANDPULSE_BRANDS_FILE": str(SAMPLE / "brands.yaml"),
            "BRANDPULSE_NAMESPACE": namespace,
            "BRANDPULSE_POSTS_TOPIC": topic,
            "BRANDPULSE_WORKER_ENGINE": engine,
            "BRANDPULSE_LOG_LEVEL": "WARNING",
        },
    )
    reader = PaneReader(redis.Redis.from_url(store.url), namespace)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        first: tuple[float, int, float] | None = None
        while True:
            applied = sum(status.next for status in reader.partitions())
            now = time.monotonic()
            if applied and first is None:
                first = (now, applied, _cpu_seconds(worker.pid))
            if applied >= len(stream) and first is not None:
                began, before, cpu = first
                return Figure(f"brandpulse, {engine}", applied - before, now - began, _cpu_seconds(worker.pid) - cpu)
            if now > deadline or worker.exit_code is not None:
                raise BrandpulseError(f"the worker did not finish {len(stream):,} posts:\n{worker.log_tail()}")
            time.sleep(0.01)
    finally:
        worker.stop()


def _plain_loop(broker: EmbeddedBroker, stream: Sequence[bytes]) -> Figure:
    """What one would write first: consume, json, the same weights in a Hugging Face pipeline, count in a dict."""
    topic = f"{TOPIC}.plain"
    _produce(broker, topic, stream)
    classify = import_module("model.bench").hugging_face_pipeline()
    consumer = Consumer(
        client_config(broker.bootstrap_servers)
        | {"group.id": "bench-plain", "auto.offset.reset": "earliest", "enable.auto.commit": False}
    )
    consumer.subscribe([topic])
    counts: dict[tuple[str, str], int] = {}
    seen, began = 0, 0.0
    before = time.process_time()
    while seen < len(stream):
        messages = [message for message in consumer.consume(32, 1.0) if message.error() is None]
        if not messages:
            continue
        began = began or time.monotonic()
        posts = [json.loads(message.value() or b"{}") for message in messages]
        for post, label in zip(posts, classify([post["text"] for post in posts]), strict=True):
            cell = (post["created_at"][:16], label)
            counts[cell] = counts.get(cell, 0) + 1
        seen += len(messages)
    seconds = time.monotonic() - began
    consumer.close()
    return Figure("plain loop, Hugging Face", seen, seconds, time.process_time() - before)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _show(figures: Sequence[Figure], console: Any) -> None:
    peer = next((figure for figure in figures if figure.path.startswith("plain")), None)
    table = Table("path", "posts", "posts/s", "CPU ms a post", "against the plain loop")
    for figure in figures:
        ratio = f"{figure.posts_per_second / peer.posts_per_second:.1f}x" if peer is not None else "-"
        cost = 1_000 * figure.worker_cpu_seconds / figure.posts
        table.add_row(figure.path, f"{figure.posts:,}", f"{figure.posts_per_second:,.0f}", f"{cost:.3f}", ratio)
    console.print(table)

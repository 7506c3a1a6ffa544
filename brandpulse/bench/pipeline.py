"""`brandpulse bench pipeline`: posts per second from topic to panes, and the latency until a post is visible.

Broker, store, worker and each competitor run in processes of their own, one after the other, over the same posts.
"""

import gzip
import json
import random
import subprocess
import sys
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import KafkaError, Message, Producer

from brandpulse.bench import environment
from brandpulse.bench.environment import BRANDS, ResourceMeter, ResourceUse, Servers
from brandpulse.errors import BrandpulseError
from brandpulse.kafka.client import producer_config
from brandpulse.kafka.topics import Topic, ensure_topics

PARTITIONS = 4
COMPETITORS_TOPIC = "posts.peers"
BARE = "bare engine"
WARM_POSTS = 2_000
"""Posts applied before the measurement starts: kernels are built and the broker's caches filled."""
SLOW_POSTS = 20_000
"""Largest number of posts for a real model."""
FAUST_POSTS = 200_000
"""Largest number of posts for Faust: about a minute."""
LOOP_POSTS = 3_000
"""Largest number of posts for the plain loop."""
LOAD = 0.7
PACED_SECONDS = 30.0
SETTLING_SECONDS = 10.0
"""Seconds of paced posts that are not measured: kernels are built, and the posts that waited for them are scored."""
SEND_SECONDS = READ_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Measurement:
    """Speed and resources of one path."""

    path: str
    posts: int
    seconds: float
    used: Mapping[str, ResourceUse] = field(default_factory=dict)
    stages: Mapping[str, float] = field(default_factory=dict)
    """Share of the time in which each stage of the worker was busy; stages overlap."""

    @property
    def posts_per_second(self) -> float:
        return self.posts / self.seconds


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from a post's creation until its partition's `next` in Redis had passed it."""

    engine: str
    posts_per_second: float
    quantiles: Mapping[str, float]


def run(
    *,
    posts: int,
    engines: Sequence[str],
    seed: int = 1,
    broker: str = environment.EMBEDDED,
    peers: bool = True,
    rounds: int = 1,
    json_out: Path | None = None,
) -> list[Measurement]:
    """Measure each engine in the whole pipeline, and the competitors; print tables.

    Each round measures all of them once, and the median of *rounds* counts, so that other load on the machine affects
    all alike. The latency of an engine is measured directly after its speed, at `LOAD` times that speed: minutes later
    the machine may be slower.
    """
    from brandpulse.runtime.console import Console

    console = Console(width=None if sys.stdout.isatty() else 180)
    measurements: dict[str, list[Measurement]] = {}
    latencies: dict[str, list[Latency]] = {}
    with environment.servers(broker) as (folder, servers):
        records = environment.records_of_posts(posts, seed)
        if peers:
            environment.produce(servers.bootstrap_servers, COMPETITORS_TOPIC, records, partitions=PARTITIONS)
        for number in range(rounds):
            if rounds > 1:
                console.print(f"round {number + 1} of {rounds}")
            for result in _round(folder, servers, engines, records, console, peers=peers, number=number):
                if isinstance(result, Measurement):
                    measurements.setdefault(result.path, []).append(result)
                else:
                    latencies.setdefault(result.engine, []).append(result)
    medians = [_median(of_path) for of_path in measurements.values()]
    _print(medians, latencies, console)
    if json_out is not None:
        report = {
            "figures": [_as_json(median) for median in medians],
            "rounds": {path: [one.posts_per_second for one in of_path] for path, of_path in measurements.items()},
            "latency": {engine: _median_latency(of_engine) for engine, of_engine in latencies.items()},
            "latency_rounds": latencies,
        }
        json_out.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
    return medians


def _round(
    folder: Path,
    servers: Servers,
    engines: Sequence[str],
    records: Sequence[bytes],
    console: Any,
    *,
    peers: bool,
    number: int,
) -> Iterator[Measurement | Latency]:
    for engine in engines:
        limited = records if engine == "null" else records[:SLOW_POSTS]
        console.print(f"pipeline, engine {engine}: {len(limited):,} posts")
        measurement = measure(folder, servers, engine, limited, number=number)
        yield measurement
        if engine != "null":
            rate = LOAD * measurement.posts_per_second
            console.print(f"latency, engine {engine}: {rate:,.0f} posts/s for {PACED_SECONDS:g} s")
            yield _latency(folder, servers, engine, rate, number=number)
            console.print(f"bare engine {engine}: {len(limited):,} posts in memory")
            yield _bare_engine(folder, engine, limited)
    if peers:
        yield from _competitors(servers, len(records), console)


def _median(measurements: Sequence[Measurement]) -> Measurement:
    """The median by speed; of an even number, the slower of the two in the middle."""
    return sorted(measurements, key=lambda one: one.posts_per_second)[(len(measurements) - 1) // 2]


def _median_latency(latencies: Sequence[Latency]) -> Latency:
    """The median by the p99; of an even number, the slower of the two in the middle."""
    return sorted(latencies, key=lambda latency: latency.quantiles["p99"])[len(latencies) // 2]


def _path(engine: str) -> str:
    return f"brandpulse, {engine}"


def measure(folder: Path, servers: Servers, engine: str, records: Sequence[bytes], *, number: int = 0) -> Measurement:
    """Measure from the first warm post to the last: without start-up, group join and the first kernels.

    *number* distinguishes runs of one engine.
    """
    name = f"{_file_name(engine)}-{number}"
    topic, namespace, home = f"posts.{name}", f"bench-{name}", folder / name
    environment.produce(servers.bootstrap_servers, topic, records, partitions=PARTITIONS)
    start: list[Any] = []
    with environment.worker(home, servers, topic=topic, namespace=namespace, env=engine_settings(engine)) as child:
        meter = ResourceMeter({**servers.pids, "worker": [child.pid]})

        def mark_start(applied: int) -> None:
            if applied >= min(WARM_POSTS, len(records) // 2) and not start:
                start.extend((time.monotonic(), applied, meter.read(), environment.stage_seconds(home)))

        nexts = environment.next_reader(servers, namespace, topic, PARTITIONS)
        environment.await_applied(nexts, len(records), [child], each=mark_start)
        if start[1] >= len(records):
            raise BrandpulseError(f"all {len(records):,} posts were applied between two readings. Use more posts")
        seconds = time.monotonic() - start[0]
        stages = {
            stage: (spent - start[3].get(stage, 0.0)) / seconds
            for stage, spent in environment.stage_seconds(home).items()
        }
        return Measurement(_path(engine), len(records) - start[1], seconds, meter.since(start[2]), stages)


def _file_name(engine: str) -> str:
    return engine.replace(":", "-")


def engine_settings(engine: str) -> dict[str, str]:
    """Worker settings for *engine*, `NAME` or `NAME:EXIT_POLICY`.

    Without a model, nothing is written to posts.scored, as the competitors write nothing, and batches are large.
    """
    name, _, exit_policy = engine.partition(":")
    settings = {"BRANDPULSE_WORKER_ENGINE": name, "BRANDPULSE_WORKER_TIERS": exit_policy or "full"}
    if name == "null":
        settings |= {"BRANDPULSE_WORKER_SCORED_TOPIC_ENABLED": "false", "BRANDPULSE_WORKER_BATCH_POSTS": "8192"}
    return settings


def _bare_engine(folder: Path, engine: str, records: Sequence[bytes]) -> Measurement:
    texts = folder / "texts.jsonl.gz"
    with gzip.open(texts, "wb", compresslevel=1) as file:
        file.write(b"\n".join(records))
    return _run_competitor(f"{BARE}, {engine}", "bare_engine", [str(BRANDS), str(texts), engine])


def _competitors(servers: Servers, posts: int, console: Any) -> Iterator[Measurement]:
    """Each with at most *posts* posts of `COMPETITORS_TOPIC`."""
    for title, module, package, number, options in (
        ("Faust, stream.take(256), no model", "faust_consumer", "faust", min(FAUST_POSTS, posts), []),
        ("bytewax, event-time windows, no model", "bytewax_windows", "bytewax", posts, []),
        ("bytewax, reading with our native code", "bytewax_windows", "bytewax", posts, ["--native"]),
        ("plain loop, Hugging Face pipeline", "plain_loop", "transformers", min(LOOP_POSTS, posts), []),
    ):
        if find_spec(package) is None:
            console.print(f"{title}: skipped, {package} is not installed")
            continue
        console.print(f"{title}: {number:,} posts")
        arguments = [
            "--bootstrap-servers",
            servers.bootstrap_servers,
            "--topic",
            COMPETITORS_TOPIC,
            "--posts",
            str(number),
        ]
        try:
            yield _run_competitor(title, module, [*arguments, "--brands", str(BRANDS), *options])
        except BrandpulseError as error:
            console.print(f"  skipped: {error}")


def _run_competitor(title: str, module: str, arguments: Sequence[str]) -> Measurement:
    command = [sys.executable, "-m", f"brandpulse.bench.competitors.{module}", *arguments]
    with suppress(subprocess.TimeoutExpired):
        done = subprocess.run(  # noqa: S603 - no shell
            command, capture_output=True, text=True, timeout=environment.PATIENCE_SECONDS, check=False
        )
        for line in reversed(done.stdout.splitlines()):
            if line.startswith("{"):
                figures = json.loads(line)
                used = {"worker": ResourceUse(figures["cpu_seconds"], figures["peak_bytes"])}
                return Measurement(title, figures["posts"], figures["seconds"], used)
        raise BrandpulseError(f"{title} printed no figures: {done.stderr[-800:]}")
    raise BrandpulseError(f"{title} did not finish in {environment.PATIENCE_SECONDS:g} s")


def _latency(folder: Path, servers: Servers, engine: str, posts_per_second: float, *, number: int) -> Latency:
    """Send a steady stream of posts created now, and read `next` of every partition every 20 ms.

    *number* as in `measure`.
    """
    name = f"{_file_name(engine)}-{number}"
    topic, namespace, home = f"posts.paced.{name}", f"paced-{name}", folder / f"paced-{name}"
    ensure_topics(servers.bootstrap_servers, [Topic(topic, PARTITIONS)])
    created: list[list[tuple[int, float]]] = [[] for _ in range(PARTITIONS)]
    readings: list[list[tuple[int, float]]] = [[] for _ in range(PARTITIONS)]
    stop = threading.Event()
    reader = environment.pane_reader(servers, namespace)
    nexts = environment.next_reader(servers, namespace, topic, PARTITIONS)

    def watch() -> None:
        while not stop.wait(READ_SECONDS):
            for partition, applied in enumerate(nexts()):
                if not readings[partition] or readings[partition][-1][0] != applied:
                    readings[partition].append((applied, time.monotonic()))

    env = engine_settings(engine) | {"BRANDPULSE_WORKER_IDLE_AFTER_SECONDS": "1"}
    with environment.worker(home, servers, topic=topic, namespace=namespace, env=env) as child:
        warm = int(posts_per_second * SETTLING_SECONDS)
        total = warm + int(posts_per_second * PACED_SECONDS)
        watcher = threading.Thread(target=watch, daemon=True)
        _await_state(reader, child)
        watcher.start()
        _pace(servers.bootstrap_servers, topic, total, posts_per_second, created)
        environment.await_applied(nexts, total, [child])
        time.sleep(0.1)
        stop.set()
        watcher.join()
    since = min(at for partition in created for _, at in partition) + SETTLING_SECONDS
    waits = sorted(
        wait
        for posts, of_partition in zip(created, readings, strict=True)
        for wait in _waits(posts, of_partition, since)
    )
    quantiles = {
        name: waits[min(len(waits) - 1, int(q * len(waits)))]
        for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }
    return Latency(engine, posts_per_second, quantiles)


def _await_state(reader: Any, child: Any) -> None:
    deadline = time.monotonic() + 60
    while len(reader.partitions()) < PARTITIONS:
        if child.exit_code is not None or time.monotonic() > deadline:
            raise BrandpulseError(f"the worker was assigned no partition:\n{child.log_tail()}")
        time.sleep(0.1)


def _pace(
    bootstrap_servers: str, topic: str, posts: int, posts_per_second: float, created: list[list[tuple[int, float]]]
) -> None:
    """Create posts at a steady rate, and send each within `SEND_SECONDS`; add (offset, time created) to *created*.

    Few, larger requests take little CPU time from the measured processes.
    """
    texts, rng = environment.sample_texts(), random.Random(2)
    producer = Producer(producer_config(bootstrap_servers) | {"linger.ms": 5})
    producer.list_topics(topic, 30)  # connects now; posts would wait for it

    def delivered(at: float) -> Any:
        def report(error: KafkaError | None, message: Message) -> None:
            if error is None:
                created[message.partition() or 0].append((message.offset() or 0, at))

        return report

    started, wall, sent = time.monotonic(), datetime.now(UTC), 0
    while sent < posts:
        due = min(posts, int((time.monotonic() - started) * posts_per_second))
        for number in range(sent, due):
            after = number / posts_per_second
            text = f"{rng.choice(texts)} {rng.randrange(10**9)}"
            value = environment.record(str(number), text, wall + timedelta(seconds=after), rng)
            producer.produce(topic, key=str(number).encode(), value=value, on_delivery=delivered(started + after))
        sent = due
        producer.poll(0)
        time.sleep(SEND_SECONDS)
    if left := producer.flush(60):
        raise BrandpulseError(f"the broker did not acknowledge {left:,} posts")


def _waits(created: Sequence[tuple[int, float]], readings: Sequence[tuple[int, float]], since: float) -> list[float]:
    """For each post created from *since* on: seconds until the first reading with `next` behind its offset."""
    nexts = [offset for offset, _ in readings]
    waits = []
    for offset, at in created:
        index = bisect_right(nexts, offset)
        if at >= since and index < len(readings):
            waits.append(readings[index][1] - at)
    return waits


def _as_json(measurement: Measurement) -> dict[str, Any]:
    return {**msgspec.to_builtins(measurement), "posts_per_second": measurement.posts_per_second}


def _ratios(measurement: Measurement, measurements: Sequence[Measurement]) -> list[str]:
    """Speed relative to the plain loop, Faust, bytewax, and its own engine without a pipeline; `-` if not measured."""
    own_engine = f"{BARE}, {measurement.path.removeprefix(_path(''))}"
    others = [
        next((other for other in measurements if other.path.startswith(prefix)), None)
        for prefix in ("plain", "Faust", "bytewax")
    ]
    others.append(next((other for other in measurements if other.path == own_engine), None))
    return [f"{measurement.posts_per_second / other.posts_per_second:.2f}" if other else "-" for other in others]


def _print(measurements: Sequence[Measurement], latencies: Mapping[str, Sequence[Latency]], console: Any) -> None:
    from rich.table import Table

    table = Table(title=f"posts from Kafka to counts, {PARTITIONS} partitions")
    headings = ("posts", "posts/s", "x plain loop", "x Faust", "x bytewax", "x bare engine")
    processes = ("worker", "broker", "store")
    table.add_column("path", no_wrap=True)
    for heading in (*headings, *(f"{name} CPU us" for name in processes), *(f"{name} MB" for name in processes)):
        table.add_column(heading, justify="right")
    for one in measurements:
        cpu = [
            f"{1e6 * one.used[name].cpu_seconds / one.posts:,.0f}" if name in one.used else "-" for name in processes
        ]
        memory = [f"{one.used[name].peak_bytes / 1e6:,.0f}" if name in one.used else "-" for name in processes]
        table.add_row(
            one.path, f"{one.posts:,}", f"{one.posts_per_second:,.0f}", *_ratios(one, measurements), *cpu, *memory
        )
    console.print(table)
    console.print(
        "CPU us: microseconds of CPU time per post. The others count in memory; brandpulse stores exactly-once counts."
    )
    for one in measurements:
        if one.stages:
            shares = ", ".join(
                f"{stage} {share:.0%}" for stage, share in sorted(one.stages.items(), key=lambda s: -s[1])
            )
            console.print(f"{one.path}: share of the time in which each stage was busy: {shares}")
    for engine, of_engine in latencies.items():
        for latency in of_engine:
            quantiles = ", ".join(f"{name} {seconds:.3f} s" for name, seconds in latency.quantiles.items())
            note = ", the median" if len(of_engine) > 1 and latency is _median_latency(of_engine) else ""
            console.print(
                f"latency from creation to Redis, {engine}, at {latency.posts_per_second:,.0f} posts/s: "
                f"{quantiles}{note}"
            )

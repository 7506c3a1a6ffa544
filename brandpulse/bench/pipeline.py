"""`brandpulse bench pipeline`: posts per second from topic to panes, and how long a post takes to be seen.

Broker, store, worker and each peer are processes of their own, and run one after the other over the same posts.
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

from brandpulse.bench import environment as world
from brandpulse.bench.environment import BRANDS, Meter, Servers, Used
from brandpulse.errors import BrandpulseError
from brandpulse.kafka.client import producer_config
from brandpulse.kafka.topics import Topic, ensure_topics

PARTITIONS = 4
PEERS_TOPIC = "posts.peers"
BARE = "bare engine"
WARM_POSTS = 2_000
"""Applied before the clock starts: kernels are built and caches of the broker filled."""
SLOW_POSTS = 20_000
"""A real model gets so many at most."""
FAUST_POSTS = 200_000
"""Faust, so many at most: a minute."""
LOOP_POSTS = 3_000
"""The plain loop, so many at most."""
LOAD = 0.7
PACED_SECONDS = 30.0
SETTLING_SECONDS = 10.0
"""Of the paced posts, before what is measured: kernels are built, and what waited meanwhile is scored."""
STEP_SECONDS = LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Figure:
    """What one path was seen to do."""

    path: str
    posts: int
    seconds: float
    used: Mapping[str, Used] = field(default_factory=dict)
    stages: Mapping[str, float] = field(default_factory=dict)
    """Share of the measured time that each of the worker's stages was at work; stages overlap."""

    @property
    def posts_per_second(self) -> float:
        return self.posts / self.seconds


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from a post's creation until its partition's `next` in Redis stood behind it."""

    engine: str
    posts_per_second: float
    quantiles: Mapping[str, float]


def run(
    *,
    posts: int,
    engines: Sequence[str],
    seed: int = 1,
    broker: str = world.EMBEDDED,
    peers: bool = True,
    rounds: int = 1,
    json_out: Path | None = None,
) -> list[Figure]:
    """Measures each engine through the whole pipeline, and what stands beside it; prints tables.

    All take turns, *rounds* times, and the median counts: a neighbour that slows the machine for a minute then slows
    them alike. An engine's latency is taken right after its speed, at `LOAD` times what that round saw: minutes later
    the same posts a second may be all that the machine has.
    """
    from brandpulse.runtime.console import Console

    console = Console(width=None if sys.stdout.isatty() else 180)
    seen: dict[str, list[Figure]] = {}
    waits: dict[str, list[Latency]] = {}
    with world.servers(broker) as (folder, where):
        records = world.stream(posts, seed)
        if peers:
            world.produce(where.bootstrap_servers, PEERS_TOPIC, records, partitions=PARTITIONS)
        for number in range(rounds):
            if rounds > 1:
                console.print(f"round {number + 1} of {rounds}")
            for found in _turn(folder, where, engines, records, console, peers=peers, number=number):
                if isinstance(found, Figure):
                    seen.setdefault(found.path, []).append(found)
                else:
                    waits.setdefault(found.engine, []).append(found)
    figures = [_median(found) for found in seen.values()]
    _show(figures, waits, console)
    if json_out is not None:
        told = {
            "figures": [_told(figure) for figure in figures],
            "rounds": {path: [figure.posts_per_second for figure in found] for path, found in seen.items()},
            "latency": {engine: _median_wait(found) for engine, found in waits.items()},
            "latency_rounds": waits,
        }
        json_out.write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=2))
    return figures


def _turn(
    folder: Path,
    where: Servers,
    engines: Sequence[str],
    records: Sequence[bytes],
    console: Any,
    *,
    peers: bool,
    number: int,
) -> Iterator[Figure | Latency]:
    for engine in engines:
        few = records if engine == "null" else records[:SLOW_POSTS]
        console.print(f"pipeline, engine {engine}: {len(few):,} posts")
        figure = measured(folder, where, engine, few, number=number)
        yield figure
        if engine != "null":
            rate = LOAD * figure.posts_per_second
            console.print(f"latency, engine {engine}: {rate:,.0f} posts/s for {PACED_SECONDS:g} s")
            yield _latency(folder, where, engine, rate, number=number)
            console.print(f"bare engine {engine}: {len(few):,} posts in memory")
            yield _bare(folder, engine, few)
    if peers:
        yield from _peers(where, len(records), console)


def _median(figures: Sequence[Figure]) -> Figure:
    """The one in the middle; of an even number the slower of the two."""
    return sorted(figures, key=lambda figure: figure.posts_per_second)[(len(figures) - 1) // 2]


def _median_wait(found: Sequence[Latency]) -> Latency:
    """As `_median`, by the p99."""
    return sorted(found, key=lambda latency: latency.quantiles["p99"])[len(found) // 2]


def _path(engine: str) -> str:
    return f"brandpulse, {engine}"


def measured(folder: Path, where: Servers, engine: str, records: Sequence[bytes], *, number: int = 0) -> Figure:
    """From the first warm post to the last: start-up, group join and the first kernels stay outside. *number* tells
    runs of one engine apart."""
    word = f"{_word(engine)}-{number}"
    topic, namespace, home = f"posts.{word}", f"bench-{word}", folder / word
    world.produce(where.bootstrap_servers, topic, records, partitions=PARTITIONS)
    began: list[Any] = []
    with world.worker(home, where, topic=topic, namespace=namespace, env=engine_settings(engine)) as child:
        meter = Meter({**where.pids, "worker": [child.pid]})

        def look(applied: int) -> None:
            if applied >= min(WARM_POSTS, len(records) // 2) and not began:
                began.extend((time.monotonic(), applied, meter.look(), world.stage_seconds(home)))

        nexts = world.next_reader(where, namespace, topic, PARTITIONS)
        world.await_applied(nexts, len(records), [child], each=look)
        if began[1] >= len(records):
            raise BrandpulseError(f"{len(records):,} posts were all applied between two looks: measure with more")
        seconds = time.monotonic() - began[0]
        stages = {
            stage: (spent - began[3].get(stage, 0.0)) / seconds for stage, spent in world.stage_seconds(home).items()
        }
        return Figure(_path(engine), len(records) - began[1], seconds, meter.since(began[2]), stages)


def _word(engine: str) -> str:
    return engine.replace(":", "-")


def engine_settings(engine: str) -> dict[str, str]:
    """`NAME` or `NAME:TIERS`. Without a model nothing is handed on to posts.scored, as the peers hand nothing on, and
    batches are large, as columns like them: no model has to get through one."""
    name, _, tiers = engine.partition(":")
    settings = {"BRANDPULSE_WORKER_ENGINE": name, "BRANDPULSE_WORKER_TIERS": tiers or "full"}
    if name == "null":
        settings |= {"BRANDPULSE_WORKER_SCORED_TOPIC_ENABLED": "false", "BRANDPULSE_WORKER_BATCH_POSTS": "8192"}
    return settings


def _bare(folder: Path, engine: str, records: Sequence[bytes]) -> Figure:
    texts = folder / "texts.jsonl.gz"
    with gzip.open(texts, "wb", compresslevel=1) as file:
        file.write(b"\n".join(records))
    return _run_peer(f"{BARE}, {engine}", "bare_engine", [str(BRANDS), str(texts), engine])


def _peers(where: Servers, posts: int, console: Any) -> Iterator[Figure]:
    """Each on the first of the *posts* in `PEERS_TOPIC`."""
    for title, module, needs, number, options in (
        ("Faust, stream.take(256), no model", "faust_take", "faust", min(FAUST_POSTS, posts), []),
        ("bytewax, event-time windows, no model", "bytewax_windows", "bytewax", posts, []),
        ("bytewax, reading with our native code", "bytewax_windows", "bytewax", posts, ["--native"]),
        ("plain loop, Hugging Face pipeline", "plain_loop", "transformers", min(LOOP_POSTS, posts), []),
    ):
        if find_spec(needs) is None:
            console.print(f"{title}: left out, {needs} is not installed")
            continue
        console.print(f"{title}: {number:,} posts")
        arguments = ["--bootstrap-servers", where.bootstrap_servers, "--topic", PEERS_TOPIC, "--posts", str(number)]
        try:
            yield _run_peer(title, module, [*arguments, "--brands", str(BRANDS), *options])
        except BrandpulseError as error:
            console.print(f"  left out: {error}")


def _run_peer(title: str, module: str, arguments: Sequence[str]) -> Figure:
    command = [sys.executable, "-m", f"brandpulse.peers.{module}", *arguments]
    with suppress(subprocess.TimeoutExpired):
        done = subprocess.run(command, capture_output=True, text=True, timeout=world.PATIENCE_SECONDS, check=False)  # noqa: S603
        for line in reversed(done.stdout.splitlines()):
            if line.startswith("{"):
                told = json.loads(line)
                used = {"worker": Used(told["cpu_seconds"], told["peak_bytes"])}
                return Figure(title, told["posts"], told["seconds"], used)
        raise BrandpulseError(f"{title} told nothing: {done.stderr[-800:]}")
    raise BrandpulseError(f"{title} did not finish in {world.PATIENCE_SECONDS:g} s")


def _latency(folder: Path, where: Servers, engine: str, posts_per_second: float, *, number: int) -> Latency:
    """A steady stream of posts created now; `next` of every partition is read every 20 ms.

    *number* as in `measured`.
    """
    word = f"{_word(engine)}-{number}"
    topic, namespace, home = f"posts.paced.{word}", f"paced-{word}", folder / f"paced-{word}"
    ensure_topics(where.bootstrap_servers, [Topic(topic, PARTITIONS)])
    created: list[list[tuple[int, float]]] = [[] for _ in range(PARTITIONS)]
    seen: list[list[tuple[int, float]]] = [[] for _ in range(PARTITIONS)]
    over = threading.Event()
    reader = world.pane_reader(where, namespace)
    nexts = world.next_reader(where, namespace, topic, PARTITIONS)

    def watch() -> None:
        while not over.wait(LOOK_SECONDS):
            for partition, applied in enumerate(nexts()):
                if not seen[partition] or seen[partition][-1][0] != applied:
                    seen[partition].append((applied, time.monotonic()))

    env = engine_settings(engine) | {"BRANDPULSE_WORKER_IDLE_AFTER_SECONDS": "1"}
    with world.worker(home, where, topic=topic, namespace=namespace, env=env) as child:
        warm = int(posts_per_second * SETTLING_SECONDS)
        total = warm + int(posts_per_second * PACED_SECONDS)
        watcher = threading.Thread(target=watch, daemon=True)
        _await_state(reader, child)
        watcher.start()
        _pace(where.bootstrap_servers, topic, total, posts_per_second, created)
        world.await_applied(nexts, total, [child])
        time.sleep(0.1)
        over.set()
        watcher.join()
    since = min(at for partition in created for _, at in partition) + SETTLING_SECONDS
    waits = sorted(wait for one, shown in zip(created, seen, strict=True) for wait in _waits(one, shown, since))
    at = {
        name: waits[min(len(waits) - 1, int(q * len(waits)))]
        for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }
    return Latency(engine, posts_per_second, at)


def _await_state(reader: Any, child: Any) -> None:
    deadline = time.monotonic() + 60
    while len(reader.partitions()) < PARTITIONS:
        if child.exit_code is not None or time.monotonic() > deadline:
            raise BrandpulseError(f"the worker took no partition:\n{child.log_tail()}")
        time.sleep(0.1)


def _pace(
    bootstrap_servers: str, topic: str, posts: int, posts_per_second: float, created: list[list[tuple[int, float]]]
) -> None:
    """Each post is created at its moment, and sent within `STEP_SECONDS`; (offset, creation) go to *created*.

    In steps, and with few requests: who sends shares the processors with who is measured.
    """
    texts, pick = world.sample_texts(), random.Random(2)
    producer = Producer(producer_config(bootstrap_servers) | {"linger.ms": 5})
    producer.list_topics(topic, 30)  # connects: a second of posts would wait for that

    def delivered(at: float) -> Any:
        def told(error: KafkaError | None, message: Message) -> None:
            if error is None:
                created[message.partition() or 0].append((message.offset() or 0, at))

        return told

    began, wall, sent = time.monotonic(), datetime.now(UTC), 0
    while sent < posts:
        due = min(posts, int((time.monotonic() - began) * posts_per_second))
        for number in range(sent, due):
            after = number / posts_per_second
            text = f"{pick.choice(texts)} {pick.randrange(10**9)}"
            value = world.record(str(number), text, wall + timedelta(seconds=after), pick)
            producer.produce(topic, key=str(number).encode(), value=value, on_delivery=delivered(began + after))
        sent = due
        producer.poll(0)
        time.sleep(STEP_SECONDS)
    if left := producer.flush(60):
        raise BrandpulseError(f"the broker did not take {left:,} posts")


def _waits(created: Sequence[tuple[int, float]], seen: Sequence[tuple[int, float]], since: float) -> list[float]:
    """For each post: from its creation until the first look at which `next` stood behind its offset."""
    nexts = [offset for offset, _ in seen]
    out = []
    for offset, at in created:
        place = bisect_right(nexts, offset)
        if at >= since and place < len(seen):
            out.append(seen[place][1] - at)
    return out


def _told(figure: Figure) -> dict[str, Any]:
    return {**msgspec.to_builtins(figure), "posts_per_second": figure.posts_per_second}


def _ratios(figure: Figure, figures: Sequence[Figure]) -> list[str]:
    """Its speed against the plain loop's, Faust's, bytewax's, and its own engine's without a pipeline; `-`: not run."""
    own = f"{BARE}, {figure.path.removeprefix(_path(''))}"
    peers = [
        next((other for other in figures if other.path.startswith(prefix)), None)
        for prefix in ("plain", "Faust", "bytewax")
    ]
    peers.append(next((other for other in figures if other.path == own), None))
    return [f"{figure.posts_per_second / peer.posts_per_second:.2f}" if peer else "-" for peer in peers]


def _show(figures: Sequence[Figure], waits: Mapping[str, Sequence[Latency]], console: Any) -> None:
    from rich.table import Table

    table = Table(title=f"posts from Kafka to counts, {PARTITIONS} partitions")
    headings = ("posts", "posts/s", "x plain loop", "x Faust", "x bytewax", "x bare engine")
    processes = ("worker", "broker", "store")
    table.add_column("path", no_wrap=True)
    for heading in (*headings, *(f"{name} CPU us" for name in processes), *(f"{name} MB" for name in processes)):
        table.add_column(heading, justify="right")
    for one in figures:
        cpu = [
            f"{1e6 * one.used[name].cpu_seconds / one.posts:,.0f}" if name in one.used else "-" for name in processes
        ]
        held = [f"{one.used[name].peak_bytes / 1e6:,.0f}" if name in one.used else "-" for name in processes]
        table.add_row(one.path, f"{one.posts:,}", f"{one.posts_per_second:,.0f}", *_ratios(one, figures), *cpu, *held)
    console.print(table)
    console.print(
        "CPU us: microseconds of processor time a post. Peers count in memory; brandpulse writes, exactly once."
    )
    for one in figures:
        if one.stages:
            shares = ", ".join(
                f"{stage} {share:.0%}" for stage, share in sorted(one.stages.items(), key=lambda s: -s[1])
            )
            console.print(f"{one.path}: share of the time each stage was at work: {shares}")
    for engine, found in waits.items():
        for latency in found:
            told = ", ".join(f"{name} {seconds:.3f} s" for name, seconds in latency.quantiles.items())
            middle = ", the median" if len(found) > 1 and latency is _median_wait(found) else ""
            console.print(
                f"created to visible in Redis, {engine}, at {latency.posts_per_second:,.0f} posts/s: {told}{middle}"
            )

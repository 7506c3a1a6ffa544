"""`brandpulse bench growth`: how cost and speed change with brands, partitions, workers and stored days."""

import csv
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import redis

from brandpulse.bench import environment, growth_measurements
from brandpulse.bench.environment import Servers
from brandpulse.bench.pipeline import engine_settings
from brandpulse.devstack.embedded_servers import EmbeddedStore
from brandpulse.errors import BrandpulseError, ConfigError
from brandpulse.runtime.child_process import Child

BRANDS = (10, 100, 1_000, 10_000, 100_000)
STORED_DAYS = (1, 7, 28, 90)
PARTITIONS = (1, 2, 4, 8, 16)
WORKERS = (1, 2, 3, 4)
ROUNDS = 3
GPU_WORKERS = (1, 2, 4, 8)
GPU_BATCH_MS = 100
GPU_BATCH_POSTS = 512
GPU_POSTS_A_WORKER = 60_000


@dataclass(frozen=True, slots=True)
class Point:
    """One measured point of a curve."""

    curve: str
    at: float
    unit: str
    value: float


def run(*, out: Path, only: Sequence[str], posts: int, broker: str) -> list[Point]:
    """Measure the curves in *only* and print each point; write OUT.csv and, with matplotlib, OUT.png."""
    from brandpulse.runtime.console import Console

    console = Console()
    points: list[Point] = []

    def record(*measured: Point) -> None:
        for point in measured:
            points.append(point)
            console.print(f"{point.curve}: {point.at:,.0f} -> {point.value:,.4g} {point.unit}")

    curves: dict[str, Callable[[], None]] = {
        "brands": lambda: _brands(record),
        "memory": lambda: _memory(record),
        "kept": lambda: _stored_days(record),
        "partitions": lambda: _partitions(record, posts, broker),
        "workers": lambda: _workers(record, posts, broker),
        "gpu": lambda: _gpu(record, broker),
    }
    if unknown := [name for name in only if name not in curves]:
        raise ConfigError(f"--only {','.join(unknown)}: no such curve. Curves: {','.join(curves)}")
    for name in only or curves:
        curves[name]()
    _write(points, out.with_suffix(".csv"))
    _draw(points, out.with_suffix(".png"))
    return points


def _brands(record: Callable[..., None]) -> None:
    texts = environment.sample_texts()
    for number in BRANDS:
        cost = growth_measurements.match_cost(texts, number)
        record(
            Point("matching, by brands", number, "us per post", cost.microseconds_per_post),
            Point("building the matcher, by brands", number, "s", cost.build_seconds),
        )


def _memory(record: Callable[..., None]) -> None:
    texts = environment.sample_texts()
    for rate in (0.1, 1.0, 10.0):
        with TemporaryDirectory() as folder:
            store = EmbeddedStore(Path(folder))
            try:
                size = growth_measurements.store_size(redis.Redis.from_url(store.url), texts, posts_per_second=rate)
            finally:
                store.stop()
        record(
            Point(
                "store, panes and sketches of a brand and day, by posts per hour",
                3_600 * rate,
                "MB",
                size.panes_and_sketches / 1e6,
            ),
            Point("store, dedup window of 6 h, by posts per hour", 3_600 * rate, "MB", size.dedup_window / 1e6),
            Point("store, sample of a brand and day, by posts per hour", 3_600 * rate, "MB", size.samples / 1e6),
            Point("store, recent posts of a brand, by posts per hour", 3_600 * rate, "MB", size.recent_posts / 1e6),
        )


def _stored_days(record: Callable[..., None]) -> None:
    texts = environment.sample_texts()
    for days in STORED_DAYS:
        with TemporaryDirectory() as folder:
            store = EmbeddedStore(Path(folder))
            try:
                cost = growth_measurements.stored_days_cost(redis.Redis.from_url(store.url), texts, days)
            finally:
                store.stop()
        record(
            Point("fold and store, by stored days", days, "us per post", cost.microseconds_per_post),
            Point("store in all, by stored days", days, "MB", cost.store_bytes / 1e6),
        )


def _partitions(record: Callable[..., None], posts: int, broker: str) -> None:
    speeds = _without_model(posts, broker, [(partitions, 1) for partitions in PARTITIONS])
    for partitions, speed in zip(PARTITIONS, speeds, strict=True):
        record(Point("one worker without a model, by partitions", partitions, "posts/s", speed))


def _workers(record: Callable[..., None], posts: int, broker: str) -> None:
    speeds = _without_model(posts, broker, [(8, workers) for workers in WORKERS])
    for workers, speed in zip(WORKERS, speeds, strict=True):
        record(Point("without a model, by workers", workers, "posts/s", speed))


def _without_model(posts: int, broker: str, cases: Sequence[tuple[int, int]]) -> list[float]:
    """Posts per second of each case (partitions, workers): the median of `ROUNDS` rounds over all cases."""
    records = environment.records_of_posts(posts, 1)
    measured: list[list[float]] = [[] for _ in cases]
    for number in range(ROUNDS):
        # New servers for each round: the embedded broker slows down with every record that it holds.
        with environment.servers(broker) as (folder, servers):
            for (partitions, workers), speeds in zip(cases, measured, strict=True):
                name = f"{number}-{partitions}-{workers}"
                speeds.append(_speed(folder, servers, records, name, partitions=partitions, workers=workers, env=_NULL))
    return [statistics.median(speeds) for speeds in measured]


def _gpu(record: Callable[..., None], broker: str) -> None:
    """Each worker waits 100 ms for each batch of up to 512 posts, without computing."""
    with environment.servers(broker) as (folder, servers):
        for workers in GPU_WORKERS:
            records = environment.records_of_posts(GPU_POSTS_A_WORKER * workers, 1, step_ms=10)
            env = _NULL | {"BRANDPULSE_WORKER_BATCH_POSTS": str(GPU_BATCH_POSTS)}
            speed = _speed(
                folder,
                servers,
                records,
                f"g{workers}",
                partitions=8,
                workers=workers,
                env=env,
                command=("brandpulse.bench.simulated_gpu_worker", str(GPU_BATCH_MS)),
            )
            record(Point(f"simulated GPU, {GPU_BATCH_MS} ms for 512, by workers", workers, "posts/s", speed))


_NULL = engine_settings("null") | {"BRANDPULSE_WORKER_BATCH_POSTS": "2048"}
"""Smaller batches than usual for this engine: when the first tenth is applied, workers must hold only a small part."""
_LONG_SESSION = {"BRANDPULSE_WORKER_SESSION_TIMEOUT_SECONDS": "20"}
"""Paused workers stay in their group while the records are sent. A longer time-out would slow the first join."""


def _speed(
    folder: Path,
    servers: Servers,
    records: Sequence[bytes],
    name: str,
    *,
    partitions: int,
    workers: int,
    env: dict[str, str],
    command: Sequence[str] = ("brandpulse", "worker"),
) -> float:
    """Posts per second between a tenth and nine tenths of *records*: without group join and the last, uneven batches.

    The workers are paused while the records are sent, so that the sender is not measured.
    """
    topic, namespace = f"posts.growth.{name}", f"growth-{name}"
    reader = environment.pane_reader(servers, namespace)
    low, high = len(records) // 10, len(records) * 9 // 10
    marks: list[tuple[int, float]] = []

    def mark(applied: int) -> None:
        if (not marks and applied >= low) or (len(marks) == 1 and applied >= high):
            marks.append((applied, time.monotonic()))

    with ExitStack() as stack:
        environment.produce(servers.bootstrap_servers, topic, [], partitions=partitions)
        children = [
            stack.enter_context(
                environment.worker(
                    folder / f"{name}-{n}",
                    servers,
                    topic=topic,
                    namespace=namespace,
                    env=env | _LONG_SESSION,
                    command=command,
                )
            )
            for n in range(workers)
        ]
        _await_owners(reader, partitions, workers, children)
        nexts = environment.next_reader(servers, namespace, topic, partitions)
        try:
            for child in children:
                child.signal(signal.SIGSTOP)
            environment.produce(servers.bootstrap_servers, topic, records, partitions=partitions)
        finally:
            for child in children:
                child.signal(signal.SIGCONT)
        environment.await_applied(nexts, len(records), children, each=mark)
    if len(marks) < 2:
        raise BrandpulseError(f"all {len(records):,} posts were applied between two readings. Use more posts")
    (first, started), (last, ended) = marks
    return (last - first) / (ended - started)


def _await_owners(reader: Any, partitions: int, workers: int, children: Sequence[Child]) -> None:
    deadline = time.monotonic() + 120
    while True:
        statuses = reader.partitions()
        if len(statuses) == partitions and len({status.owner for status in statuses}) == min(workers, partitions):
            return
        for child in children:
            if child.exit_code is not None:
                raise BrandpulseError(f"a worker ended with code {child.exit_code}:\n{child.log_tail()}")
        if time.monotonic() > deadline:
            raise BrandpulseError(f"{workers} workers did not share {partitions} partitions within two minutes")
        time.sleep(0.2)


def _write(points: Sequence[Point], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("curve", "at", "value", "unit"))
        rows.writerows((point.curve, f"{point.at:g}", f"{point.value:.6g}", point.unit) for point in points)


def _draw(points: Sequence[Point], path: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return
    curves = list(dict.fromkeys(point.curve for point in points))
    columns = min(2, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(6 * columns, 3.2 * rows), layout="constrained")
    for number, curve in enumerate(curves):
        line = [point for point in points if point.curve == curve]
        axes = figure.add_subplot(rows, columns, number + 1)
        axes.plot([point.at for point in line], [point.value for point in line], marker="o", color="#2563eb")
        axes.set_title(curve, fontsize=10)
        axes.set_ylabel(line[0].unit)
        axes.set_ylim(0, 1.1 * max(point.value for point in line))
        if line[-1].at / line[0].at >= 100:
            axes.set_xscale("log")
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)

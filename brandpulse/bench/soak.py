"""`brandpulse bench soak`: a steady load for a long time. Memory must stay flat and the lag bounded."""

import csv
import random
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from brandpulse.bench import environment
from brandpulse.bench.environment import Servers
from brandpulse.bench.pipeline import PARTITIONS, engine_settings, measure
from brandpulse.errors import BrandpulseError
from brandpulse.kafka.client import producer_config
from brandpulse.kafka.topics import Topic, ensure_topics
from brandpulse.runtime.child_process import Child
from brandpulse.runtime.process_memory import resident_bytes

WARM_SHARE = 0.2
"""Share of the time in which caches fill and the model's kernels are built; it is not measured."""
MAX_GROWTH = 0.02
MAX_LAG_SECONDS = 10.0
SAMPLE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory and lag at one time."""

    at: float
    """Seconds since the load started."""
    rss: Mapping[str, int]
    """Resident bytes of each process."""
    lag: int
    """Posts that are sent but not applied yet."""


@dataclass(frozen=True, slots=True)
class SoakResult:
    """Result of a soak."""

    growth: Mapping[str, float]
    """Relative growth of each process's memory, between medians of the first and the last samples after warm-up."""
    largest_lag: int
    bound: float

    @property
    def failures(self) -> list[str]:
        """Why the soak failed; empty if it passed. The store may grow, since it stores the counts."""
        found = [
            f"memory of {name} grew by {share:.1%}; the limit is {MAX_GROWTH:.0%}"
            for name, share in self.growth.items()
            if name == "worker" and share > MAX_GROWTH
        ]
        if self.largest_lag > self.bound:
            found.append(f"the lag reached {self.largest_lag:,} posts; the limit is {self.bound:,.0f}")
        return found


def run(
    *, minutes: float, load: float, engine: str, posts_per_second: float | None, broker: str, out: Path | None
) -> SoakResult:
    """Load a worker with *posts_per_second*, by default *load* times its measured speed, and print the result.

    Raises BrandpulseError if memory or lag exceeded its limit.
    """
    from brandpulse.runtime.console import Console

    console = Console(width=None if sys.stdout.isatty() else 140)
    with environment.servers(broker) as (folder, servers):
        if posts_per_second is None:
            records = environment.records_of_posts(20_000, 1)
            posts_per_second = load * measure(folder, servers, engine, records).posts_per_second
        console.print(f"{posts_per_second:,.0f} posts/s for {minutes:g} minutes, engine {engine}")
        samples = _soak(folder, servers, engine, posts_per_second, 60 * minutes)
    result = evaluate_soak(samples, posts_per_second)
    if out is not None:
        _write(samples, out)
    for name, share in result.growth.items():
        console.print(f"{name}: {samples[-1].rss[name] / 1e6:,.0f} MB, {share:+.2%} after warm-up")
    console.print(
        f"largest lag after warm-up: {result.largest_lag:,} posts, {result.largest_lag / posts_per_second:.1f} s"
    )
    if result.failures:
        raise BrandpulseError("; ".join(result.failures))
    return result


def evaluate_soak(samples: Sequence[Sample], posts_per_second: float) -> SoakResult:
    """Growth from the first tenth of samples after warm-up to the last. Raises BrandpulseError if there are too few."""
    steady = samples[int(WARM_SHARE * len(samples)) :]
    part = max(1, len(samples) // 10)
    if len(steady) < 2 * part:
        raise BrandpulseError(f"too few samples: {len(samples)}. Use more minutes")

    def median(part_samples: Sequence[Sample], name: str) -> float:
        return float(sorted(sample.rss[name] for sample in part_samples)[len(part_samples) // 2])

    growth = {name: median(steady[-part:], name) / median(steady[:part], name) - 1 for name in steady[0].rss}
    return SoakResult(growth, max(sample.lag for sample in steady), MAX_LAG_SECONDS * posts_per_second)


def _soak(folder: Path, servers: Servers, engine: str, posts_per_second: float, seconds: float) -> list[Sample]:
    topic, namespace = "posts.soak", "soak"
    ensure_topics(servers.bootstrap_servers, [Topic(topic, PARTITIONS)])
    sent = [0]
    stop = threading.Event()
    samples: list[Sample] = []
    with environment.worker(
        folder / "soak", servers, topic=topic, namespace=namespace, env=engine_settings(engine)
    ) as child:
        nexts = environment.next_reader(servers, namespace, topic, PARTITIONS)
        pids = {"worker": child.pid} | {name: pid for name, [pid] in servers.pids.items()}
        sending = threading.Thread(target=_send, args=(servers, topic, posts_per_second, sent, stop), daemon=True)
        sending.start()
        started = time.monotonic()
        while (at := time.monotonic() - started) < seconds:
            applied = sum(nexts())
            samples.append(Sample(at, {name: resident_bytes(pid) for name, pid in pids.items()}, sent[0] - applied))
            _check_running(child)
            time.sleep(SAMPLE_SECONDS)
        stop.set()
        sending.join()
        environment.await_applied(nexts, sent[0], [child])
    return samples


def _send(servers: Servers, topic: str, posts_per_second: float, sent: list[int], stop: threading.Event) -> None:
    texts, rng = environment.sample_texts(), random.Random(3)
    producer = Producer(producer_config(servers.bootstrap_servers) | {"linger.ms": 20})
    started = time.monotonic()
    while not stop.is_set():
        due = int((time.monotonic() - started) * posts_per_second)
        for number in range(sent[0], due):
            text = f"{rng.choice(texts)} {rng.randrange(10**9)}"
            producer.produce(
                topic, key=str(number).encode(), value=environment.record(str(number), text, datetime.now(UTC), rng)
            )
        sent[0] = max(sent[0], due)
        producer.poll(0)
        time.sleep(0.02)
    producer.flush(60)


def _check_running(child: Child) -> None:
    if child.exit_code is not None:
        raise BrandpulseError(f"the worker ended with code {child.exit_code}:\n{child.log_tail()}")


def _write(samples: Sequence[Sample], out: Path) -> None:
    with out.open("w", newline="", encoding="utf-8") as file:
        rows: Any = csv.writer(file)
        names = list(samples[0].rss)
        rows.writerow(("seconds", *(f"{name}_bytes" for name in names), "lag_posts"))
        rows.writerows((f"{sample.at:.1f}", *(sample.rss[name] for name in names), sample.lag) for sample in samples)

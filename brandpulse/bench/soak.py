"""`brandpulse bench soak`: a steady load for a long time; memory must stay flat and the lag bounded."""

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

from brandpulse.bench import environment as world
from brandpulse.bench.environment import Servers
from brandpulse.bench.pipeline import PARTITIONS, engine_settings, measured
from brandpulse.errors import BrandpulseError
from brandpulse.kafka.client import producer_config
from brandpulse.kafka.topics import Topic, ensure_topics
from brandpulse.runtime.child_process import Child
from brandpulse.runtime.process_memory import resident_bytes

WARM_SHARE = 0.2
"""Of the time: caches fill, and every shape of the model's kernels is met."""
GROWTH = 0.02
LAG_SECONDS = 10.0
LOOK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment."""

    at: float
    """Seconds since the load began."""
    rss: Mapping[str, int]
    """Bytes of each process."""
    lag: int
    """Posts sent and not yet applied."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a soak came to."""

    growth: Mapping[str, float]
    """Of each process's memory, from the warm part's end to the last fifth: medians, as a share."""
    largest_lag: int
    bound: float

    @property
    def failures(self) -> list[str]:
        """In words; empty when all is well. The store may grow: it keeps what was counted."""
        found = [
            f"memory of {name} grew by {share:.1%}; at most {GROWTH:.0%} are allowed"
            for name, share in self.growth.items()
            if name == "worker" and share > GROWTH
        ]
        if self.largest_lag > self.bound:
            found.append(f"the lag reached {self.largest_lag:,} posts; at most {self.bound:,.0f} are allowed")
        return found


def run(
    *, minutes: float, load: float, engine: str, posts_per_second: float | None, broker: str, out: Path | None
) -> Verdict:
    """Loads a worker with *load* of what it was measured to do, or with *posts_per_second*; prints what came of it.

    Raises BrandpulseError when memory grew or the lag left its bound.
    """
    from brandpulse.runtime.console import Console

    console = Console(width=None if sys.stdout.isatty() else 140)
    with world.servers(broker) as (folder, where):
        if posts_per_second is None:
            burst = world.stream(20_000, 1)
            posts_per_second = load * measured(folder, where, engine, burst).posts_per_second
        console.print(f"{posts_per_second:,.0f} posts/s for {minutes:g} minutes, engine {engine}")
        looks = _soak(folder, where, engine, posts_per_second, 60 * minutes)
    verdict = judged(looks, posts_per_second)
    if out is not None:
        _write(looks, out)
    for name, share in verdict.growth.items():
        console.print(f"{name}: {looks[-1].rss[name] / 1e6:,.0f} MB, {share:+.2%} after the warm part")
    console.print(
        f"largest lag after it: {verdict.largest_lag:,} posts, {verdict.largest_lag / posts_per_second:.1f} s"
    )
    if verdict.failures:
        raise BrandpulseError("; ".join(verdict.failures))
    return verdict


def judged(looks: Sequence[Look], posts_per_second: float) -> Verdict:
    """The growth between the first looks after the warm part and the last ones, each a tenth of all."""
    steady = looks[int(WARM_SHARE * len(looks)) :]
    part = max(1, len(looks) // 10)
    if len(steady) < 2 * part:
        raise BrandpulseError(f"too few looks to judge: {len(looks)}")

    def median(some: Sequence[Look], name: str) -> float:
        return float(sorted(look.rss[name] for look in some)[len(some) // 2])

    growth = {name: median(steady[-part:], name) / median(steady[:part], name) - 1 for name in steady[0].rss}
    return Verdict(growth, max(look.lag for look in steady), LAG_SECONDS * posts_per_second)


def _soak(folder: Path, where: Servers, engine: str, posts_per_second: float, seconds: float) -> list[Look]:
    topic, namespace = "posts.soak", "soak"
    ensure_topics(where.bootstrap_servers, [Topic(topic, PARTITIONS)])
    sent = [0]
    over = threading.Event()
    looks: list[Look] = []
    with world.worker(folder / "soak", where, topic=topic, namespace=namespace, env=engine_settings(engine)) as child:
        nexts = world.next_reader(where, namespace, topic, PARTITIONS)
        pids = {"worker": child.pid} | {name: pid for name, [pid] in where.pids.items()}
        sending = threading.Thread(target=_send, args=(where, topic, posts_per_second, sent, over), daemon=True)
        sending.start()
        began = time.monotonic()
        while (at := time.monotonic() - began) < seconds:
            applied = sum(nexts())
            looks.append(Look(at, {name: resident_bytes(pid) for name, pid in pids.items()}, sent[0] - applied))
            _still_there(child)
            time.sleep(LOOK_SECONDS)
        over.set()
        sending.join()
        world.await_applied(nexts, sent[0], [child])
    return looks


def _send(where: Servers, topic: str, posts_per_second: float, sent: list[int], over: threading.Event) -> None:
    texts, pick = world.sample_texts(), random.Random(3)
    producer = Producer(producer_config(where.bootstrap_servers) | {"linger.ms": 20})
    began = time.monotonic()
    while not over.is_set():
        due = int((time.monotonic() - began) * posts_per_second)
        for number in range(sent[0], due):
            text = f"{pick.choice(texts)} {pick.randrange(10**9)}"
            producer.produce(
                topic, key=str(number).encode(), value=world.record(str(number), text, datetime.now(UTC), pick)
            )
        sent[0] = max(sent[0], due)
        producer.poll(0)
        time.sleep(0.02)
    producer.flush(60)


def _still_there(child: Child) -> None:
    if child.exit_code is not None:
        raise BrandpulseError(f"the worker ended with code {child.exit_code}:\n{child.log_tail()}")


def _write(looks: Sequence[Look], out: Path) -> None:
    with out.open("w", newline="", encoding="utf-8") as file:
        rows: Any = csv.writer(file)
        names = list(looks[0].rss)
        rows.writerow(("seconds", *(f"{name}_bytes" for name in names), "lag_posts"))
        rows.writerows((f"{look.at:.1f}", *(look.rss[name] for name in names), look.lag) for look in looks)

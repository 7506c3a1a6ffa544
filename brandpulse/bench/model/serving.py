"""Measures dynamic batching: requests with one text each to real processes, with and without it, in one run."""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from brandpulse.runtime.child_process import Child
from brandpulse.runtime.service_registry import running
from model.data.labelled_posts import read_texts
from model.spec.options import Engine

VARIANTS = {
    "no batching": {"MAX_BATCH_TEXTS": "1", "MAX_BATCH_WAIT_SECONDS": "0"},
    "wait 0 ms": {"MAX_BATCH_WAIT_SECONDS": "0"},
    "wait 2 ms": {"MAX_BATCH_WAIT_SECONDS": "0.002"},
    "wait 10 ms": {"MAX_BATCH_WAIT_SECONDS": "0.01"},
}
CONNECTIONS = (1, 8, 32, 128)
"""Numbers of concurrent clients; each sends its next request after the response."""


@dataclass(frozen=True, slots=True)
class Load:
    """One row of the table."""

    variant: str
    connections: int
    requests_per_second: float
    p50_ms: float
    p95_ms: float
    texts_per_batch: float
    core_ms: float
    """Processor time of the service per request, all threads; more reliable than requests/s on a busy machine."""


def run(data: Path, *, weights: Path | None, engine: Engine, seconds: float, texts: int = 2_000) -> list[Load]:
    """Prints and returns requests/s and latency of each variant on the first *texts* texts of *data*.

    The variants take turns at each number of connections, *seconds* each, so that a noisy neighbour slows all of them.
    The client uses the same cores.
    """
    from rich.table import Table

    from brandpulse.runtime.console import Console

    posts = read_texts(data, limit=texts)
    options = ["--engine", engine, *(["--weights", str(weights)] if weights is not None else [])]
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        served = {
            name: stack.enter_context(_served(Path(folder) / str(number), options, env))
            for number, (name, env) in enumerate(VARIANTS.items())
        }
        rows = [
            asyncio.run(_load(name, one, posts, connections=connections, seconds=seconds))
            for connections in CONNECTIONS
            for name, one in served.items()
        ]
    columns = ("clients", "variant", "requests/s", "p50 ms", "p95 ms", "texts/batch", "core ms")
    table = Table(*columns, title="One text per request")
    for row in rows:
        figures = (row.requests_per_second, row.p50_ms, row.p95_ms, row.texts_per_batch, row.core_ms)
        table.add_row(str(row.connections), row.variant, *(f"{figure:,.1f}" for figure in figures))
    Console().print(table)
    return rows


@dataclass(frozen=True, slots=True)
class Served:
    """One process under test."""

    url: str
    pid: int

    def core_seconds(self) -> float:
        """Processor time of the process so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _served(home: Path, options: Sequence[str], env: dict[str, str]) -> Iterator[Served]:
    command = [sys.executable, "-m", "brandpulse", "model", "serve", "--port", "0", *options]
    env = env | {"CACHED_TEXTS": "0"}
    settings = {f"BRANDPULSE_SERVE_{name}": value for name, value in env.items()} | {"BRANDPULSE_HOME": str(home)}
    child = Child("serve", command, log=home / "serve.log", env=settings)
    try:
        child.wait_ready(lambda: bool(running(home, "serve")), timeout_seconds=120)
        yield Served(str(running(home, "serve")[0]["url"]), child.pid)
    finally:
        child.kill()


async def _load(name: str, served: Served, posts: Sequence[str], *, connections: int, seconds: float) -> Load:
    latencies: list[float] = []
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(served.url, connector=connector) as session:
        await _one_client(session, cycle(posts), [], until=time.monotonic() + 0.5)  # kernels are built at the first use
        before = await _batches(session)
        started, cores = time.monotonic(), served.core_seconds()
        texts = cycle(posts)
        until = started + seconds
        await asyncio.gather(*(_one_client(session, texts, latencies, until=until) for _ in range(connections)))
        took, cores = time.monotonic() - started, served.core_seconds() - cores
        after = await _batches(session)
    latencies.sort()
    batches, scored = after[0] - before[0], after[1] - before[1]
    return Load(
        variant=name,
        connections=connections,
        requests_per_second=len(latencies) / took,
        p50_ms=latencies[len(latencies) // 2] * 1_000,
        p95_ms=latencies[int(len(latencies) * 0.95)] * 1_000,
        texts_per_batch=scored / batches,
        core_ms=cores / len(latencies) * 1_000,
    )


async def _one_client(
    session: aiohttp.ClientSession, texts: Iterator[str], latencies: list[float], *, until: float
) -> None:
    while (started := time.monotonic()) < until:
        async with session.post("/v1/score", json={"text": next(texts)}) as answer:
            answer.raise_for_status()
            await answer.read()
        latencies.append(time.monotonic() - started)


async def _batches(session: aiohttp.ClientSession) -> tuple[float, float]:
    """Number of batches and of texts so far."""
    async with session.get("/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    found = {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}
    return found["brandpulse_serve_batch_texts_count"], found["brandpulse_serve_batch_texts_sum"]

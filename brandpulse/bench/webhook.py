"""Measures posts per second of the webhook receiver against bare handlers, in turns in one run."""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from brandpulse.bench.environment import cpu_seconds
from brandpulse.bench.webhook_server import TOKEN
from brandpulse.devstack.embedded_servers import EmbeddedBroker
from brandpulse.kafka.topics import Topic, ensure_topics
from brandpulse.runtime.child_process import Child, free_port, port_answers
from ingest.webhook.receiver import PATH

POST_BYTES = 200
BATCH = 100
CONNECTIONS = 8
SERVERS = {"receiver": "receiver", "bare, json": "json", "bare, msgspec": "msgspec"}
"""Name in the table -> kind of `webhook_server`."""


@dataclass(slots=True)
class Measured:
    """One server under test."""

    port: int
    child: Child
    posts_per_second: list[float] = field(default_factory=list)
    """Of each round."""
    core_us: list[float] = field(default_factory=list)
    """Processor time of the process per post, of each round: steadier than posts/s on a busy machine."""


def run(*, seconds: float, rounds: int) -> dict[str, Measured]:
    """Prints and returns what each server takes: batches of 100 posts of 200 bytes over 8 connections.

    The servers take turns, *seconds* each, *rounds* times. Client and broker use the same cores.
    """
    from rich.table import Table

    from brandpulse.runtime.console import Console

    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        broker = EmbeddedBroker(Path(folder))
        stack.callback(broker.stop)
        measured = {}
        for name, kind in SERVERS.items():
            topic = f"posts-{kind}"
            ensure_topics(broker.bootstrap_servers, [Topic(topic, 4)])
            measured[name] = _started(kind, broker.bootstrap_servers, topic, Path(folder))
            stack.callback(measured[name].child.stop, grace_seconds=5)
        for one in measured.values():
            asyncio.run(_load(one.port, seconds=0.5))  # connections and topics are there
        for _ in range(rounds):
            for one in measured.values():
                before = cpu_seconds(one.child.pid)
                posts, elapsed = asyncio.run(_load(one.port, seconds=seconds))
                one.posts_per_second.append(posts / elapsed)
                one.core_us.append((cpu_seconds(one.child.pid) - before) / max(posts, 1) * 1e6)
    table = Table("server", "posts/s", "receiver is", "core µs/post", "receiver uses", title="Batches of 100 posts")
    speed, core = (_medians(measured["receiver"])[at] for at in (0, 1))
    for name, one in measured.items():
        own_speed, own_core = _medians(one)
        ratios = (f"{speed / own_speed:.2f}", f"{core / own_core:.2f}")
        table.add_row(name, f"{own_speed:,.0f}", ratios[0], f"{own_core:.1f}", ratios[1])
    Console().print(table)
    return measured


def _medians(one: Measured) -> tuple[float, float]:
    return statistics.median(one.posts_per_second), statistics.median(one.core_us)


def _started(kind: str, servers: str, topic: str, folder: Path) -> Measured:
    port = free_port()
    command = [sys.executable, "-m", "brandpulse.bench.webhook_server", kind, str(port), servers, topic]
    child = Child(kind, command, log=folder / f"{kind}.log")
    child.wait_ready(lambda: port_answers(port), timeout_seconds=120)
    return Measured(port, child)


def a_request() -> bytes:
    """One request with a batch of posts, whole."""
    posts = []
    for number in range(BATCH):
        post = {
            "schema_version": 1,
            "id": f"p{number:05}",
            "text": "",
            "created_at": "2026-03-02T12:00:00Z",
            "author_id": f"u{number:05}",
            "source": "bench",
        }
        post["text"] = ("Acme Air lost my bag again. " * 8)[: POST_BYTES - len(json.dumps(post))]
        posts.append(post)
    body = json.dumps(posts).encode()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _load(port: int, *, seconds: float) -> tuple[int, float]:
    """(Posts that were answered with 200, seconds until the last answer)."""
    start, request = time.monotonic(), a_request()

    async def send() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        posts = 0
        while time.monotonic() - start < seconds:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0]
            answer = await reader.readexactly(int(length))
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"a server answered {head[:12]!r}: {answer[:200]!r}")
            posts += BATCH
        writer.close()
        return posts

    total = sum(await asyncio.gather(*(send() for _ in range(CONNECTIONS))))
    return total, time.monotonic() - start

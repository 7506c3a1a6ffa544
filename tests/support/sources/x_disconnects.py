"""An X source at many random disconnects: each post arrives, and no gap is recorded."""

import asyncio
import random
from collections import deque
from datetime import timedelta
from functools import partial
from unittest.mock import patch

from ingest.sources.connectors.x import api
from ingest.sources.connectors.x import source as source_module
from ingest.sources.connectors.x.settings import XSettings
from ingest.sources.connectors.x.source import XSource
from tests.support.sources.source_runs import Place
from tests.support.sources.x_server import Fault, X

ENDS = ("abort", "close", "operational", "cut")
LIFE = 100
"""Connections until the source is cut off as by kill -9 and started again."""


def x_settings(server: X, *, token_env: str, **changes: object) -> XSettings:
    keys = {"name": "x", "kind": "x", "api": server.url, "token_env": token_env, "budget_dollars_per_day": 1_000.0}
    return XSettings.model_validate(keys | changes)


async def x_at_disconnects(place: Place, *, disconnects: int, seed: int, token_env: str) -> None:
    """Half of the connections repeat posts; one post in three is written while no stream is open."""
    rng, server, wanted = random.Random(seed), X(rng=random.Random(seed)), set[str]()
    # The index of this search is complete at once, and the server's pauses are short.
    quick_search = patch.object(source_module, "SEARCHABLE_AFTER", timedelta(seconds=-1))
    short_pause = patch.object(api, "LIMIT_PAUSE_SECONDS", 0.06)
    with quick_search, short_pause:
        async with server.running():
            await _disconnects(place, server, rng, wanted, disconnects=disconnects, token_env=token_env)
    assert set(place.received()) == wanted
    assert place.store.gaps() == []


async def _disconnects(
    place: Place, server: X, rng: random.Random, wanted: set[str], *, disconnects: int, token_env: str
) -> None:
    source = XSource(x_settings(server, token_env=token_env))
    while (done := server.connections) < disconnects:
        async with place.running(source, kill=True) as run:
            await run.until(lambda before=done: server.connections > before, "a connection")  # type: ignore[misc]
            while server.connections < min(done + LIFE, disconnects):
                repeat = rng.choice((0, 0, 1, 3))
                server.faults = deque([Fault(after=rng.randrange(1, 4), end=rng.choice(ENDS), repeat=repeat)])
                wanted.update(server.add(f"acme {len(server.log)} über 🛫") for _ in range(rng.randrange(1, 5)))
                await server.tell()
                if rng.random() < 0.5:
                    server.cut()
                await asyncio.sleep(rng.random() * 0.02)
            server.faults.clear()
            await run.until(partial(place.has_all, wanted), "all posts")

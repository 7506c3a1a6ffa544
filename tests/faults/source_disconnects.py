"""Live sources at many disconnects against a real broker: `make source-faults` (DISCONNECTS=1000, SEED=)."""

import asyncio
import logging
import os
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from brandpulse.devstack.embedded_servers import EmbeddedBroker
from tests.support.sources.disconnects import (
    bluesky_at_disconnects,
    feed_at_failures,
    hacker_news_at_failures,
    mastodon_at_disconnects,
)
from tests.support.sources.mastodon_server import TOKEN
from tests.support.sources.source_runs import Place
from tests.support.sources.x_disconnects import x_at_disconnects
from tests.support.sources.x_server import TOKEN as X_TOKEN


def main() -> int:
    logging.disable(logging.WARNING)  # a line per disconnect
    logging.getLogger("aiohttp.server").disabled = True  # the stand-ins write to connections that they have cut
    disconnects = int(os.environ.get("DISCONNECTS", "1000"))
    seed = int(os.environ.get("SEED", str(random.randrange(10**6))))
    os.environ["MASTODON_TOKEN"], os.environ["X_TOKEN"] = TOKEN, X_TOKEN
    runs: dict[str, Callable[[Place], Coroutine[Any, Any, None]]] = {
        f"bluesky version {version}": partial(
            bluesky_at_disconnects, version=version, disconnects=disconnects, seed=seed
        )
        for version in (1, 2)
    }
    runs["mastodon"] = partial(mastodon_at_disconnects, disconnects=disconnects, seed=seed, token_env="MASTODON_TOKEN")
    runs["hacker-news"] = partial(hacker_news_at_failures, failures=disconnects, seed=seed)
    runs["feed"] = partial(feed_at_failures, failures=disconnects, seed=seed)
    runs["x"] = partial(x_at_disconnects, disconnects=disconnects, seed=seed, token_env="X_TOKEN")
    with tempfile.TemporaryDirectory() as folder:
        broker = EmbeddedBroker(Path(folder))
        try:
            for name, run in runs.items():
                place = Place(broker.bootstrap_servers, f"posts-{uuid.uuid4().hex[:8]}", Path(folder))
                started = time.monotonic()
                asyncio.run(run(place))
                posts, repeats = len(set(place.received())), len(place.received()) - len(set(place.received()))
                print(
                    f"{name}: {disconnects} disconnects or failed requests, {posts} posts, none lost, "
                    f"{repeats} records repeated, "
                    f"{len(place.store.gaps())} gaps, all real; seed {seed}, {time.monotonic() - started:.0f} s",
                    flush=True,
                )
        finally:
            broker.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())

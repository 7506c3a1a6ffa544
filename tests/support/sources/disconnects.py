"""Sources at many random disconnects: what arrives is what the platform sent, and each lost period is a gap."""

import asyncio
import random
import time
from collections import deque
from functools import partial

from ingest.sources.connectors.bluesky import BlueskySettings, BlueskySource
from ingest.sources.connectors.feeds import FeedSettings, FeedSource
from ingest.sources.connectors.hacker_news import HackerNewsSettings, HackerNewsSource
from ingest.sources.connectors.mastodon import MastodonSettings, MastodonSource
from tests.support.sources.jetstream_server import Fault, Jetstream
from tests.support.sources.mastodon_server import Mastodon
from tests.support.sources.polled_sites import SHOWN, Failures, FeedSite, HackerNewsSite
from tests.support.sources.source_runs import Place
from tests.support.sources.web_server import WebServer

ENDS = ("abort", "close", "slow")
SECOND_US = 1_000_000
LIFE = 100
"""Disconnects or failed requests until the source is cut off as by kill -9 and started again."""


async def bluesky_at_disconnects(place: Place, *, version: int, disconnects: int, seed: int) -> None:
    """Half of the connections begin with events that were sent before. After each life the server forgets events."""
    rng, server, wanted, gaps = random.Random(seed), Jetstream(faults=deque([Fault(after=0)])), set[str](), 0
    start_us = time.time_ns() // 1_000

    def add() -> str:
        return server.add(f"acme {len(server.log)}", at_us=start_us + len(server.log) * SECOND_US)

    async with server.running():
        settings = {"name": "bluesky", "kind": "bluesky", "servers": [server.url], "version": version}
        source = BlueskySource(BlueskySettings.model_validate(settings))
        while (done := len(server.requests)) < disconnects:
            async with place.running(source, kill=True) as run:
                await run.until(lambda before=done: len(server.requests) > before, "a connection")  # type: ignore[misc]
                while len(server.requests) < min(done + LIFE, disconnects):
                    if server.faults:  # the connection has no fault of its own
                        server.transports[-1].abort()
                    repeat = rng.choice((0, 0, 1, 3))
                    server.faults = deque([Fault(after=rng.randrange(1, 6), end=rng.choice(ENDS), repeat=repeat)])
                    wanted |= {add() for _ in range(rng.randrange(1, 6))}
                    await asyncio.sleep(rng.random() * 0.01)
                server.faults.clear()
                await run.until(partial(place.has_all, wanted), "all posts")
                last = add()
                wanted.add(last)
                await run.until(partial(place.has_all, wanted), "the last post of this life")
                await run.until(partial(_saved, place, server.log[-1].time_us), "its position")
            if len(server.requests) < disconnects:
                for _ in range(3):
                    add()
                server.kept_from = len(server.log)
                wanted.add(add())
                gaps += 1
        assert set(place.received()) == wanted
        assert len(place.store.gaps()) == gaps, place.store.gaps()


def _saved(place: Place, time_us: int) -> bool:
    return any(position.cursor.get("time_us") == time_us for position in place.store.positions().values())


async def mastodon_at_disconnects(place: Place, *, disconnects: int, seed: int, token_env: str) -> None:
    """One post in ten is only in the timelines, and some requests of timelines fail."""
    rng, wanted = random.Random(seed), set[str]()
    async with Mastodon().running() as server:
        settings = MastodonSettings(
            name="m", kind="mastodon", server=server.url, token_env=token_env, hashtags=("acme", "fly")
        )
        while (done := server.connections) < disconnects:
            async with place.running(MastodonSource(settings), kill=True) as run:
                await run.until(lambda: server.subscribed == 2, "the subscription")
                while server.connections < min(done + LIFE, disconnects):
                    if rng.random() < 0.1 and not server.refuse:
                        server.refuse.append((503, {}))
                    for _ in range(rng.randrange(4)):
                        tag, stream = rng.choice(("acme", "fly")), rng.random() < 0.9
                        wanted.add(await server.add(f"acme {len(server.statuses)}", tag, stream=stream))
                    before = server.connections
                    server.cut()
                    await run.until(lambda count=before: server.connections > count, "a connection")  # type: ignore[misc]
                server.cut()
                await run.until(partial(place.has_all, wanted), "all posts")
    assert set(place.received()) == wanted
    assert place.store.gaps() == []


async def hacker_news_at_failures(place: Place, *, failures: int, seed: int) -> None:
    """Three requests in ten fail. Each life ends at any moment, also between a record and its position."""
    site = HackerNewsSite(Failures(rng=random.Random(seed)))
    first = site.newest + 1
    async with WebServer(site).running() as server:
        settings = HackerNewsSettings(name="hn", kind="hacker-news", api=server.url, poll_seconds=0.01)
        async with place.running(HackerNewsSource(settings)) as run:
            await run.until(lambda: bool(place.store.positions()), "the first position")
        site.failures.share = 0.3
        while (done := site.failures.number) < failures:
            async with place.running(HackerNewsSource(settings), kill=True):
                while site.failures.number < min(done + LIFE, failures):
                    site.newest += site.failures.rng.randrange(10)
                    await asyncio.sleep(0.01)
        site.failures.share = 0.0
        wanted = {str(number) for number in range(first, site.newest + 1)}
        async with place.running(HackerNewsSource(settings)) as run:
            await run.until(partial(place.has_all, wanted), "all items")
    assert set(place.received()) == wanted
    assert place.store.gaps() == []


async def feed_at_failures(place: Place, *, failures: int, seed: int) -> None:
    """Half of the requests fail. Between two lives more items come than the feed shows: a gap."""
    site, wanted, gaps = FeedSite(Failures(rng=random.Random(seed))), set[str](), 0
    async with WebServer(site).running() as server:
        url = f"{server.url}/rss"
        settings = FeedSettings(name="news", kind="feed", urls=(url,), poll_minutes=0.000_1)

        def saved() -> bool:
            position = place.store.positions().get("news")
            return position is not None and position.cursor[url]["etag"] == site.etag

        while (done := site.failures.number) < failures:
            async with place.running(FeedSource(settings), kill=True) as run:
                site.failures.share = 0.5
                await run.until(saved, "the position after the first look")
                while site.failures.number < min(done + LIFE, failures):
                    site.publish(site.failures.rng.randrange(1, 4))
                    wanted |= site.shown()
                    await run.until(saved, "the position after these items")
                site.failures.share = 0.0
                await run.until(partial(place.has_all, wanted), "all items")
            if site.failures.number < failures:
                # A feed gives times in whole seconds; an item of the second of the last look is no gap for sure.
                await asyncio.sleep(1.1)
                site.publish(2 * SHOWN)
                wanted |= site.shown()
                gaps += 1
    assert set(place.received()) == wanted
    assert len(place.store.gaps()) == gaps, place.store.gaps()

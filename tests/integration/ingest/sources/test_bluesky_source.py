"""Bluesky against a Jetstream server with faults, and a real broker: nothing is lost, and each gap is known."""

import asyncio
import time
import uuid
from collections import deque
from functools import partial
from pathlib import Path

import pytest

from brandpulse.devstack.embedded_servers import EmbeddedBroker
from ingest.sources.connectors import bluesky
from ingest.sources.connectors.bluesky import BlueskySettings, BlueskySource
from tests.support.sources.disconnects import bluesky_at_disconnects
from tests.support.sources.jetstream_server import Fault, Jetstream
from tests.support.sources.source_runs import Place

SECOND = 1_000_000
ENDS = ("abort", "close", "slow")


@pytest.fixture
def start_us() -> int:
    """The time of now: a source that has read nothing yet begins there."""
    return time.time_ns() // 1_000


@pytest.fixture
def place(embedded_broker: EmbeddedBroker, tmp_path: Path) -> Place:
    return Place(embedded_broker.bootstrap_servers, f"posts-{uuid.uuid4().hex[:8]}", tmp_path)


def a_source(*servers: Jetstream, version: int = 2) -> BlueskySource:
    return BlueskySource(
        BlueskySettings(name="bluesky", kind="bluesky", servers=tuple(s.url for s in servers), version=version)
    )


async def connected(server: Jetstream, number: int) -> None:
    async with server.connected:
        await server.connected.wait_for(lambda: len(server.requests) >= number)


@pytest.mark.parametrize("version", [1, 2])
def test_posts_that_name_a_brand_arrive_and_others_are_counted(version: int, place: Place, start_us: int) -> None:
    async def run() -> None:
        async with Jetstream().running() as server:
            async with place.running(a_source(server, version=version)) as source:
                await connected(server, 1)
                wanted = [server.add(f"acme {n}", at_us=start_us + n * SECOND) for n in range(5)]
                server.add("nothing to see", at_us=start_us + 9 * SECOND)
                await source.until(lambda: source.runner.state.outcomes.get("no_brand") == 1, "the last event")
            assert sorted(place.received()) == sorted(wanted)
            assert source.runner.state.outcomes == {"sent": 5, "no_brand": 1}

    asyncio.run(run())


@pytest.mark.parametrize("version", [1, 2])
def test_no_post_is_lost_at_random_disconnects(version: int, place: Place) -> None:
    asyncio.run(bluesky_at_disconnects(place, version=version, disconnects=150, seed=version))


def test_a_cut_off_process_resumes_after_the_last_confirmed_post(place: Place, start_us: int) -> None:
    async def run() -> None:
        server = Jetstream()
        async with server.running():
            wanted: list[str] = []
            for life in range(6):
                async with place.running(a_source(server), kill=True) as source:
                    await connected(server, life + 1)
                    wanted += [
                        server.add(f"acme {life} {n}", at_us=start_us + len(server.log) * SECOND) for n in range(20)
                    ]
                    await source.until(partial(place.has_more_than, 20 * life), "some posts")
            async with place.running(a_source(server)) as source:
                await source.until(lambda: set(wanted) <= set(place.received()), "all posts")
            assert place.store.gaps() == []

    asyncio.run(run())


@pytest.mark.parametrize("version", [1, 2])
def test_a_period_that_the_server_no_longer_keeps_is_a_gap(version: int, place: Place, start_us: int) -> None:
    async def run() -> None:
        server = Jetstream()
        async with server.running():
            async with place.running(a_source(server, version=version)) as source:
                await connected(server, 1)
                server.add("acme first", at_us=start_us)
                await source.until(lambda: place.newest_saved() is not None, "the position after the first post")
            for number in range(1, 10):
                server.add(f"acme {number}", at_us=start_us + number * 600 * SECOND)
            server.kept_from = 5
            async with place.running(a_source(server, version=version)) as source:
                await source.until(lambda: bool(place.store.gaps()), "the gap")
                await source.until(lambda: len(set(place.received())) == 6, "the posts that are kept")
            [gap] = place.store.gaps()
            assert (gap.begin.timestamp(), gap.end.timestamp()) == (start_us / 1e6, start_us / 1e6 + 5 * 600)
            assert gap.reason == "127.0.0.1 no longer keeps this period"

    asyncio.run(run())


def test_another_server_is_read_by_time_with_an_overlap(place: Place, start_us: int) -> None:
    """Sequence numbers of one server mean nothing to another; the overlap repeats posts, which workers drop."""

    async def run() -> None:
        first, second = Jetstream(first_seq=5_000), Jetstream(first_seq=1)
        async with first.running(), second.running():
            async with place.running(a_source(first, second)) as source:
                await connected(first, 1)
                ids = []
                for number in range(5):
                    at_us, key = start_us + number * SECOND, f"k{number}"
                    for server in (first, second):
                        post = server.add(f"acme {number}", at_us=at_us + (server is second) * 700_000, key=key)
                    ids.append(post)
                await source.until(lambda: set(place.received()) == set(ids), "the posts of the first server")
                first.faults = deque([Fault(refuse=503)] * 50)
                ids.append(second.add("acme 5", at_us=start_us + 5 * SECOND, key="k5"))
                for transport in list(first.transports):
                    transport.abort()
                await source.until(lambda: set(place.received()) == set(ids), "the post of the second server")
            assert second.requests[0]["cursor"] == start_us + 4 * SECOND - bluesky.OVERLAP_US
            assert place.store.gaps() == []

    asyncio.run(run())


@pytest.mark.parametrize("version", [1, 2])
def test_a_long_silence_before_the_first_post_is_no_gap(version: int, place: Place, start_us: int) -> None:
    async def run() -> None:
        server = Jetstream(faults=deque([Fault(after=0)]))
        async with server.running(), place.running(a_source(server, version=version)) as source:
            await connected(server, 2)
            wanted = server.add("acme at last", at_us=start_us + 3_600 * SECOND)
            await source.until(lambda: wanted in place.received(), "the post")
        assert place.store.gaps() == []

    asyncio.run(run())


def test_a_server_that_sends_events_is_asked_again_after_a_break(place: Place, start_us: int) -> None:
    async def run() -> None:
        first, second = Jetstream(), Jetstream()
        async with first.running(), second.running(), place.running(a_source(first, second)) as source:
            await connected(first, 1)
            for number in range(5):
                post = first.add(f"acme {number}", at_us=start_us + number * SECOND)
                await source.until(partial(place.has_more_than, number), "the post")
                first.transports[-1].abort()
                await connected(first, number + 2)
            assert second.requests == []
            assert first.requests[-1]["cursor"] == 5  # the sequence number of the last post
            assert post in place.received()

    asyncio.run(run())


def test_a_silent_connection_is_opened_again(place: Place, monkeypatch: pytest.MonkeyPatch, start_us: int) -> None:
    monkeypatch.setattr(bluesky, "SILENCE_SECONDS", 0.2)

    async def run() -> None:
        server = Jetstream(faults=deque([Fault(after=0, end="silence")]))
        async with server.running(), place.running(a_source(server)) as source:
            await connected(server, 1)
            await source.until(lambda: len(server.requests) > 1, "a second connection")
            await connected(server, 2)
            wanted = server.add("acme at last", at_us=start_us)
            await source.until(lambda: wanted in place.received(), "the post")

    asyncio.run(run())


def test_a_source_that_the_platform_refuses_stops_with_the_reason(place: Place) -> None:
    async def run() -> None:
        server = Jetstream(faults=deque([Fault(refuse=403)] * 9))
        async with server.running(), place.running(a_source(server)) as source:
            await source.until(lambda: source.runner.state.status == "refused", "the refusal")
            assert "403" in source.runner.state.reason
            assert len(server.requests) == 1

    asyncio.run(run())

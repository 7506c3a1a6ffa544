"""All sources of a file in one process: they start, stop and change with it, and one does not stop another."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import aiohttp
import msgspec
import pytest

from brandpulse.devstack.embedded_servers import EmbeddedBroker
from brandpulse.errors import ConfigError
from brandpulse.runtime.lifecycle import listening
from brandpulse.runtime.metric_definitions import INGEST_METRICS
from brandpulse.runtime.metrics import Telemetry
from ingest.sources import service as module
from ingest.sources.brand_filter import BrandFilter
from ingest.sources.delivery import PostDelivery
from ingest.sources.runner import Destination
from ingest.sources.service import SourcesService, source_context
from ingest.sources.source import SourceContext
from tests.support.patience import patience, wait_until_async
from tests.support.sources.jetstream_server import Jetstream
from tests.support.sources.source_runs import Place, a_brands_file
from tests.support.sources.x_server import TOKEN as X_TOKEN
from tests.support.sources.x_server import X


@pytest.fixture
def place(embedded_broker: EmbeddedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(module, "RELOAD_SECONDS", 0.02)
    return Place(embedded_broker.bootstrap_servers, f"posts-{uuid.uuid4().hex[:8]}", tmp_path)


def write(path: Path, *sources: dict[str, object]) -> None:
    path.write_text(json.dumps({"sources": list(sources)}))


def a_bluesky(name: str, server: Jetstream) -> dict[str, object]:
    return {"name": name, "kind": "bluesky", "servers": [server.url]}


async def states(url: str) -> dict[str, str]:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as answer:
        body = await answer.json()
        return {name: state["status"] for name, state in body["sources"].items()}


async def until(url: str, wanted: dict[str, str]) -> None:
    limit = asyncio.get_running_loop().time() + patience(20)
    while (found := await states(url)) != wanted:
        assert asyncio.get_running_loop().time() < limit, found
        await asyncio.sleep(0.02)


def a_service(place: Place, path: Path, context: SourceContext, delivery: PostDelivery) -> SourcesService:
    return SourcesService(
        path,
        destination=Destination(delivery, place.store, lambda: place.topic_id, place.applied),
        context=context,
        brands=BrandFilter(a_brands_file(place.folder)),
        telemetry=Telemetry(INGEST_METRICS),
    )


def test_sources_start_and_stop_as_the_file_changes(place: Place) -> None:
    path = place.folder / "sources.yaml"

    async def run() -> None:
        stop = asyncio.Event()
        delivery = PostDelivery(place.servers, place.topic)
        async with Jetstream().running() as one, Jetstream().running() as two:
            write(path, a_bluesky("one", one), {"name": "m", "kind": "mastodon", "server": "https://far.example"}
                  | {"token_env": "NOT_SET_IN_THIS_TEST", "hashtags": ["a"]})  # fmt: skip
            async with source_context(BrandFilter(a_brands_file(place.folder)), stop) as context:
                service = a_service(place, path, context, delivery)
                running = asyncio.create_task(service.run())
                async with listening(service.app(), "127.0.0.1", 0) as url:
                    await until(url, {"one": "reading", "m": "refused"})
                    write(path, a_bluesky("one", one), a_bluesky("two", two))
                    await until(url, {"one": "reading", "two": "reading"})
                    assert len(one.requests) == 1  # an unchanged source goes on
                    path.write_text("sources: 5")
                    await asyncio.sleep(0.1)
                    assert await states(url) == {"one": "reading", "two": "reading"}
                    write(path, a_bluesky("two", two) | {"enabled": False})
                    await until(url, {})
                stop.set()
                await running
        await delivery.close(5)

    asyncio.run(run())


def test_an_interruption_is_stored_and_later_refilled(place: Place) -> None:
    path, brands = place.folder / "sources.yaml", BrandFilter(a_brands_file(place.folder))

    async def run_until(server: Jetstream, holds: Callable[[], bool]) -> None:
        stop, delivery = asyncio.Event(), PostDelivery(place.servers, place.topic)
        write(path, a_bluesky("one", server))
        async with source_context(brands, stop) as context:
            running = asyncio.create_task(a_service(place, path, context, delivery).run())
            await wait_until_async(holds)
            stop.set()
            await running
        await delivery.close(5)

    async def run() -> None:
        async with Jetstream().running() as server:
            server.add("acme one", at_us=time.time_ns() // 1_000)
            await run_until(server, lambda: "one" in place.store.positions() and "one" in place.store.states())
            before = place.store.states()["one"]
            assert (before.status, before.kind, before.reconnects) == ("stopped", "bluesky", 0)
            begin = before.updated_at - timedelta(hours=2)
            place.store.save_states({"one": msgspec.structs.replace(before, updated_at=begin)})
            server.add("acme two", at_us=time.time_ns() // 1_000)
            await run_until(server, lambda: place.store.states()["one"].rereading is not None)
            assert place.store.gaps() == []
            server.add("acme three", at_us=time.time_ns() // 1_000 + 3_600_000_000)
            await run_until(server, lambda: bool(place.store.gaps()))
            (gap,) = place.store.gaps()
            assert (gap.source, gap.begin, gap.refilled) == ("one", begin, True)
            assert place.store.states()["one"].outcomes == {"sent": 1}

    asyncio.run(run())


def test_money_of_a_source_is_in_the_metrics(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_X_TOKEN", X_TOKEN)
    path, brands = place.folder / "sources.yaml", BrandFilter(a_brands_file(place.folder))

    async def run() -> None:
        stop, delivery = asyncio.Event(), PostDelivery(place.servers, place.topic)
        async with X().running() as server, source_context(brands, stop) as context:
            keys = {"name": "x", "kind": "x", "token_env": "TEST_X_TOKEN", "api": server.url}
            write(path, keys | {"budget_dollars_per_day": 5})
            service = a_service(place, path, context, delivery)
            running = asyncio.create_task(service.run())
            async with listening(service.app(), "127.0.0.1", 0) as url, aiohttp.ClientSession() as session:
                await until(url, {"x": "reading"})
                async with session.get(f"{url}/metrics") as answer:
                    shown = await answer.text()
                assert 'brandpulse_source_budget_dollars{name="x"} 5.0' in shown
                assert 'brandpulse_source_spent_dollars{name="x"} 0.25' in shown  # the first 50 posts are booked
            stop.set()
            await running
        await delivery.close(5)

    asyncio.run(run())


def test_a_wrong_file_at_the_start_is_an_error(place: Place) -> None:
    async def run() -> None:
        path, stop = place.folder / "sources.yaml", asyncio.Event()
        path.write_text("sources: 5")
        delivery = PostDelivery(place.servers, place.topic)
        async with source_context(BrandFilter(a_brands_file(place.folder)), stop) as context:
            with pytest.raises(ConfigError, match="must hold the key `sources`"):
                await a_service(place, path, context, delivery).run()
        await delivery.close(5)

    asyncio.run(run())

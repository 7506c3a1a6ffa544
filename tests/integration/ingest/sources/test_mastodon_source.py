"""Mastodon against a server with faults, and a real broker."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from brandpulse.devstack.embedded_servers import EmbeddedBroker
from brandpulse.errors import ConfigError
from ingest.sources.brand_filter import BrandFilter
from ingest.sources.connectors.mastodon import MastodonSettings, MastodonSource
from ingest.sources.service import source_context
from ingest.sources.source import SourceConfigError
from tests.support.sources.disconnects import mastodon_at_disconnects
from tests.support.sources.mastodon_server import TOKEN, Mastodon
from tests.support.sources.source_runs import Place, a_brands_file


@pytest.fixture
def place(embedded_broker: EmbeddedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("TEST_MASTODON_TOKEN", TOKEN)
    return Place(embedded_broker.bootstrap_servers, f"posts-{uuid.uuid4().hex[:8]}", tmp_path)


def a_source(server: Mastodon, *tags: str) -> MastodonSource:
    settings = MastodonSettings(
        name="m", kind="mastodon", server=server.url, token_env="TEST_MASTODON_TOKEN", hashtags=tags or ("acme",)
    )
    return MastodonSource(settings)


def test_no_post_is_lost_at_random_disconnects(place: Place) -> None:
    asyncio.run(mastodon_at_disconnects(place, disconnects=120, seed=3, token_env="TEST_MASTODON_TOKEN"))


def test_more_posts_than_a_page_are_read_after_an_absence(place: Place) -> None:
    async def run() -> None:
        async with Mastodon().running() as server:
            async with place.running(a_source(server)) as source:
                await source.until(lambda: server.subscribed == 1, "the subscription")
                first = await server.add("acme first", "acme")
                await source.until(partial(place.has_all, {first}), "the first post")
            missed = {await server.add(f"acme {n}", "acme") for n in range(95)}
            async with place.running(a_source(server)) as source:
                await source.until(partial(place.has_all, missed), "the posts of the absence")
        assert place.store.gaps() == []

    asyncio.run(run())


def test_a_hashtag_that_is_added_begins_now(place: Place) -> None:
    async def run() -> None:
        async with Mastodon().running() as server:
            async with place.running(a_source(server)) as source:
                await source.until(lambda: server.subscribed == 1, "the subscription")
            for number in range(50):
                await server.add(f"acme history {number}", "fly", stream=False)
            async with place.running(a_source(server, "acme", "fly")) as source:
                await source.until(lambda: server.subscribed == 2, "the subscription")
                new = await server.add("acme now", "fly")
                await source.until(partial(place.has_all, {new}), "the new post")
        assert place.received() == [new]

    asyncio.run(run())


def test_posts_of_an_absence_keep_their_own_times(place: Place) -> None:
    async def run() -> None:
        async with Mastodon().running() as server:
            async with place.running(a_source(server)) as source:
                await source.until(lambda: server.subscribed == 1, "the subscription")
            old = datetime.now(UTC) - timedelta(days=5)
            await server.add("acme of last week", "acme", created_at=old.isoformat())
            async with place.running(a_source(server)) as source:
                await source.until(lambda: source.runner.state.last_event is not None, "the post")
                assert source.runner.state.last_event == old

    asyncio.run(run())


def test_a_frame_that_is_no_object_is_skipped(place: Place) -> None:
    async def run() -> None:
        async with Mastodon().running() as server, place.running(a_source(server)) as source:
            await source.until(lambda: server.subscribed == 1, "the subscription")
            await server.send_raw("[5]")
            await server.send_raw('{"stream": ["hashtag", "acme"], "event": "update", "payload": 5}')
            await source.until(lambda: "not_an_object" in source.runner.state.outcomes, "the frame")
            assert source.runner.state.reconnects == 0

    asyncio.run(run())


def test_a_wrong_token_stops_the_source_with_the_servers_reason(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_MASTODON_TOKEN", "bad")

    async def run() -> None:
        async with Mastodon().running() as server, place.running(a_source(server)) as source:
            await source.until(lambda: source.runner.state.status == "refused", "the refusal")
            assert "401 Invalid access token" in source.runner.state.reason
            assert "TEST_MASTODON_TOKEN" in source.runner.state.reason

    asyncio.run(run())


def test_a_limit_of_the_server_is_waited_for(place: Place) -> None:
    async def run() -> None:
        server = Mastodon()
        server.refuse.append((429, {"X-RateLimit-Reset": "2099-01-01T00:00:00Z"}))
        async with server.running(), place.running(a_source(server)) as source:
            await source.until(lambda: source.runner.state.status == "waiting", "the pause")
            await asyncio.sleep(0.2)
            assert server.connections == 0

    asyncio.run(run())


def test_an_error_frame_of_a_stream_reconnects(place: Place) -> None:
    async def run() -> None:
        async with Mastodon().running() as server, place.running(a_source(server)) as source:
            await source.until(lambda: server.subscribed == 1, "the subscription")
            await server.send_raw('{"error": "Internal error", "status": 500}')
            await source.until(lambda: server.connections == 2, "a second connection")

    asyncio.run(run())


def test_a_server_without_hashtag_feeds_fails_the_check(place: Place) -> None:
    async def run() -> None:
        stop = asyncio.Event()
        async with source_context(BrandFilter(a_brands_file(place.folder)), stop) as context:
            async with Mastodon().running() as server:
                assert await a_source(server).check(context) == f"{server.url} accepts the token of @me"
            async with Mastodon(access={"remote": "disabled", "local": "public"}).running() as server:
                with pytest.raises(SourceConfigError, match="gives no remote posts of hashtags"):
                    await a_source(server).check(context)

    asyncio.run(run())


def test_a_missing_secret_names_source_and_variable(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_MASTODON_TOKEN")
    with pytest.raises(
        ConfigError, match="source 'm' needs its secret in the environment variable TEST_MASTODON_TOKEN"
    ):
        a_source(Mastodon(url="https://far.example"))

"""Hacker News and feeds against servers with faults, and a real broker."""

import asyncio
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from pathlib import Path

import pytest

from brandpulse.devstack.embedded_servers import EmbeddedBroker
from ingest.sources.connectors.feeds import FeedSettings, FeedSource
from ingest.sources.connectors.hacker_news import HackerNewsSettings, HackerNewsSource
from ingest.sources.position_store import Position
from tests.support.sources.disconnects import feed_at_failures, hacker_news_at_failures
from tests.support.sources.polled_sites import FeedSite
from tests.support.sources.source_runs import Place
from tests.support.sources.web_server import Reply, WebServer


@pytest.fixture
def place(embedded_broker: EmbeddedBroker, tmp_path: Path) -> Place:
    return Place(embedded_broker.bootstrap_servers, f"posts-{uuid.uuid4().hex[:8]}", tmp_path)


def test_no_item_of_hacker_news_is_lost(place: Place) -> None:
    asyncio.run(hacker_news_at_failures(place, failures=150, seed=7))


def test_each_item_of_a_feed_arrives_and_each_gap_is_real(place: Place) -> None:
    asyncio.run(feed_at_failures(place, failures=150, seed=8))


def test_each_item_of_a_feed_arrives_once_despite_faults(place: Place) -> None:
    async def run() -> None:
        site = FeedSite()
        site.publish(3)
        async with WebServer(site).running() as server:
            settings = FeedSettings(name="news", kind="feed", urls=(f"{server.url}/rss",), poll_minutes=0.000_5)
            for life in range(4):
                site.replies = [Reply(status=500), Reply(b"<rss" * 50, cut=True), Reply(b"<html></html>")][:life]
                site.publish(3)
                wanted = {f"127.0.0.1/{n}" for n in range(1, len(site.dates) + 1)}
                async with place.running(FeedSource(settings)) as source:
                    await source.until(partial(place.has_all, wanted), "all items")
        assert sorted(place.received()) == sorted(wanted)
        assert place.store.gaps() == []
        assert any("If-None-Match" in headers for _, headers in server.requests)

    asyncio.run(run())


def test_a_first_answer_that_is_cut_does_not_send_old_items(place: Place) -> None:
    at = format_datetime(datetime(2026, 1, 5, tzinfo=UTC))
    body = f"<rss version='2.0'><channel><item><title>acme old</title><pubDate>{at}</pubDate></item></channel></rss>"
    replies = [Reply(b"<html></html>"), Reply(body.encode())]

    async def run() -> None:
        async with WebServer(lambda *_: replies.pop(0) if len(replies) > 1 else replies[0]).running() as server:
            settings = FeedSettings(name="news", kind="feed", urls=(f"{server.url}/rss",), poll_minutes=0.000_5)
            async with place.running(FeedSource(settings)) as source:
                await source.until(lambda: source.runner.state.outcomes.get("before_start") == 1, "the old item")
        assert place.received() == []

    asyncio.run(run())


def test_one_feed_that_may_recover_keeps_the_source_alive(place: Place) -> None:
    async def run() -> None:
        gone, away = WebServer(lambda *_: Reply(status=410)), WebServer(lambda *_: Reply(status=503))
        async with gone.running(), away.running():
            settings = FeedSettings(name="news", kind="feed", urls=(f"{gone.url}/rss", f"{away.url}/rss"))
            async with place.running(FeedSource(settings)) as source:
                await source.until(lambda: source.runner.state.status in ("waiting", "refused"), "the fault")
                assert source.runner.state.status == "waiting"

    asyncio.run(run())


def test_an_item_of_hacker_news_that_never_appears_is_given_up(place: Place) -> None:
    def site(path: str, _: Mapping[str, str]) -> Reply:
        return Reply(b"102") if path.endswith("maxitem.json") else Reply(b"null")

    async def run() -> None:
        async with WebServer(site).running() as server:
            settings = HackerNewsSettings(name="hn", kind="hacker-news", api=server.url, poll_seconds=0.01)
            place.store.save("hn", Position({"item": 100}, datetime.now(UTC), place.topic_id))
            async with place.running(HackerNewsSource(settings)) as source:
                outcomes = source.runner.state.outcomes
                await source.until(lambda: outcomes.get("never_appeared") == 2, "the end of the tries")

    asyncio.run(run())


def test_a_feed_that_is_none_stops_with_the_reason(place: Place) -> None:
    async def run() -> None:
        async with WebServer(lambda *_: Reply(status=404)).running() as server:
            settings = FeedSettings(name="news", kind="feed", urls=(f"{server.url}/rss",))
            async with place.running(FeedSource(settings)) as source:
                await source.until(lambda: source.runner.state.status == "refused", "the refusal")
                assert "does not exist (404)" in source.runner.state.reason

    asyncio.run(run())


def test_a_failing_feed_does_not_hold_up_another(place: Place) -> None:
    async def run() -> None:
        site = FeedSite()
        site.publish(3)
        async with WebServer(site).running() as good, WebServer(lambda *_: Reply(status=410)).running() as gone:
            urls = (f"{gone.url}/rss", f"{good.url}/rss")
            settings = FeedSettings(name="news", kind="feed", urls=urls)
            async with place.running(FeedSource(settings)) as source:
                await source.until(lambda: len(place.received()) == 3, "the items of the other feed")
                assert source.runner.state.outcomes["feed_failed"] == 1

    asyncio.run(run())


def test_retry_after_of_a_server_is_obeyed(place: Place) -> None:
    async def run() -> None:
        async with WebServer(lambda *_: Reply(status=429, headers={"Retry-After": "3600"})).running() as server:
            settings = FeedSettings(name="news", kind="feed", urls=(f"{server.url}/rss",), poll_minutes=0.000_5)
            async with place.running(FeedSource(settings)) as source:
                await source.until(lambda: source.runner.state.status == "waiting", "the pause")
                await asyncio.sleep(0.3)
                assert len(server.requests) == 1

    asyncio.run(run())

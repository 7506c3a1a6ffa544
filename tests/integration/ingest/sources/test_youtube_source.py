"""YouTube against a server of its API with faults, and a real broker."""

import asyncio
import random
import uuid
from collections import deque
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from brandpulse.devstack.embedded_servers import EmbeddedBroker
from ingest.sources.connectors.youtube import YouTubeSettings, YouTubeSource
from ingest.sources.source import SourceConfigError
from tests.support.sources.source_runs import Place
from tests.support.sources.youtube_server import KEY, YouTube


@pytest.fixture
def place(embedded_broker: EmbeddedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("TEST_YOUTUBE_KEY", KEY)
    return Place(embedded_broker.bootstrap_servers, f"posts-{uuid.uuid4().hex[:8]}", tmp_path)


def a_source(server: YouTube, **changes: object) -> YouTubeSource:
    keys = {"name": "yt", "kind": "youtube", "key_env": "TEST_YOUTUBE_KEY", "api": server.url, "videos": ("v1",)}
    times = {"poll_minutes": 0.000_5, "units_per_day": 100_000_000}
    return YouTubeSource(YouTubeSettings.model_validate(keys | times | changes))


def test_no_comment_is_lost_at_random_faults_and_kills(place: Place) -> None:
    rng = random.Random(4)
    faults = ((500, "backendError"), (503, "backendError"), (400, "processingFailure"), (400, "invalidPageToken"))

    async def run() -> None:
        wanted = set[str]()
        async with YouTube(threads={"v1": [], "UC1": []}).running() as server:
            server.add("v1", "acme before the start")
            for life in range(6):
                source = a_source(server, channels=("UC1",))
                async with place.running(source, kill=True) as running:
                    await running.until(lambda: bool(place.store.positions()), "a position")
                    for _ in range(20):
                        if rng.random() < 0.15 and not server.refuse:
                            server.refuse.append(rng.choice(faults[:2] + faults[3:]))
                        wanted.add(server.add(rng.choice(("v1", "UC1")), "acme is late"))
                        await asyncio.sleep(rng.random() * 0.02)
                    server.refuse.clear()
                    await running.until(partial(place.has_all, wanted), "all comments")
                wanted |= {server.add("v1", f"acme {number} of absence {life}") for number in range(230)}
        assert set(place.received()) <= wanted
        assert place.store.gaps() == []

    asyncio.run(run())


def test_the_history_of_a_new_video_is_not_read(place: Place) -> None:
    async def run() -> None:
        async with YouTube().running() as server:
            for number in range(150):
                server.add("v1", f"acme {number}", at=datetime.now(UTC) - timedelta(minutes=150 - number))
            async with place.running(a_source(server)) as running:
                await running.until(lambda: len(server.requests) > 3, "some looks")
                new = server.add("v1", "acme now")
                await running.until(partial(place.has_all, {new}), "the new comment")
            assert place.received() == [new]

    asyncio.run(run())


def test_a_video_without_comments_does_not_hold_up_another(place: Place) -> None:
    async def run() -> None:
        async with YouTube(threads={"v1": [], "v2": []}, disabled={"v1"}).running() as server:
            async with place.running(a_source(server, videos=("v1", "v2"))) as running:
                await running.until(lambda: len(server.requests) > 4, "some looks")
                new = server.add("v2", "acme now")
                await running.until(partial(place.has_all, {new}), "the comment of the other video")
                assert running.runner.state.outcomes["comments_disabled"] == 1
                with pytest.raises(SourceConfigError, match=r"for video:v1 \(commentsDisabled: .*remove them"):
                    await a_source(server, videos=("v1", "v2")).check(running.context)
            assert sum(request.get("videoId") == "v1" for request in server.requests) == 2

    asyncio.run(run())


def test_the_own_budget_stops_before_the_quota(place: Place) -> None:
    async def run() -> None:
        async with YouTube(threads={"v1": []}).running() as server:
            source = a_source(server, units_per_day=4)
            async with place.running(source) as running:
                for _ in range(3):
                    await source.check(running.context)
                await running.until(lambda: len(server.requests) == 4, "the last unit")
            async with place.running(source, ledger=running.context.ledger) as running:
                await running.until(lambda: running.runner.state.status == "waiting", "the end of the budget")
                assert "the budget of 4 units a day is used up until" in running.runner.state.reason
            assert len(server.requests) == 4

    asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "reason", "state", "words"),
    [
        (403, "quotaExceeded", "waiting", "used up until midnight Pacific time"),
        (403, "accessNotConfigured", "refused", "enable the YouTube Data API v3 for the project of the key"),
        (403, "rateLimitExceeded", "waiting", "rateLimitExceeded"),
        (404, "videoNotFound", "refused", "no video or channel gives comments"),
        (400, "invalidChannelId", "refused", "check the id in the sources file"),
    ],
)
def test_a_refusal_names_fault_and_cure(place: Place, status: int, reason: str, state: str, words: str) -> None:
    async def run() -> None:
        youtube = YouTube(threads={"v1": []}, refuse=deque([(status, reason)] * 5))
        async with youtube.running() as server, place.running(a_source(server)) as running:
            await running.until(lambda: running.runner.state.status == state, state)
            assert words in running.runner.state.reason
            await asyncio.sleep(0.1)
            assert len(server.requests) == 1

    asyncio.run(run())


def test_a_wrong_key_is_named_and_not_shown(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_YOUTUBE_KEY", "bad-key")

    async def run() -> None:
        async with YouTube(threads={"v1": []}).running() as server, place.running(a_source(server)) as running:
            await running.until(lambda: running.runner.state.status == "refused", "the refusal")
            assert "check the API key in TEST_YOUTUBE_KEY" in running.runner.state.reason
            assert "bad-key" not in running.runner.state.reason

    asyncio.run(run())

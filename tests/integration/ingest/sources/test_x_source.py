"""X against a server of its API with faults, and a real broker."""

import asyncio
import time
import uuid
from collections import deque
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from brandpulse.devstack.embedded_servers import EmbeddedBroker
from ingest.sources import brand_filter
from ingest.sources.brand_filter import BrandFilter
from ingest.sources.connectors.x import api
from ingest.sources.connectors.x import source as module
from ingest.sources.connectors.x.source import XSource
from ingest.sources.position_store import new_position
from ingest.sources.service import source_context
from ingest.sources.source import SourceConfigError
from tests.support.sources.source_runs import Place, a_brands_file
from tests.support.sources.x_disconnects import x_at_disconnects, x_settings
from tests.support.sources.x_server import PROBLEM, TOKEN, Fault, X


@pytest.fixture
def place(embedded_broker: EmbeddedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("TEST_X_TOKEN", TOKEN)
    # The search's index is complete at once here.
    monkeypatch.setattr(module, "SEARCHABLE_AFTER", timedelta(seconds=-1))
    monkeypatch.setattr(api, "LIMIT_PAUSE_SECONDS", 0.06)
    monkeypatch.setattr(api, "FIRST_PAUSE_SECONDS", 0.01)
    return Place(embedded_broker.bootstrap_servers, f"posts-{uuid.uuid4().hex[:8]}", tmp_path)


def a_source(server: X, **changes: object) -> XSource:
    return XSource(x_settings(server, token_env="TEST_X_TOKEN", **changes))


def test_no_post_is_lost_at_random_disconnects(place: Place) -> None:
    asyncio.run(x_at_disconnects(place, disconnects=120, seed=5, token_env="TEST_X_TOKEN"))


def test_posts_of_an_absence_are_searched(place: Place) -> None:
    async def run() -> None:
        async with X().running() as server:
            async with place.running(a_source(server)) as source:
                await source.until(lambda: bool(place.store.positions()), "a position")
            missed = {server.add(f"acme {number}") for number in range(150)}
            async with place.running(a_source(server)) as source:
                await source.until(partial(place.has_all, missed), "the posts of the absence")
        assert place.store.gaps() == []

    asyncio.run(run())


def test_an_absence_longer_than_refill_hours_is_a_gap(place: Place) -> None:
    async def run() -> None:
        begin = datetime.now(UTC) - timedelta(hours=5)
        cursor = {"until": begin.isoformat(), "since_id": ""}
        place.store.save("x", new_position(cursor, topic_id=place.topic_id, sent={}, last_event=None))
        async with X().running() as server, place.running(a_source(server, refill_hours=2)) as source:
            server.add("acme is too old", at=datetime.now(UTC) - timedelta(hours=4))
            recent = server.add("acme is read", at=datetime.now(UTC) - timedelta(hours=1))
            await source.until(partial(place.has_all, {recent}), "the newer post")
            await source.until(lambda: bool(place.store.gaps()), "the gap")
        (gap,) = place.store.gaps()
        assert gap.begin == begin
        assert abs(gap.end - (datetime.now(UTC) - timedelta(hours=2))) < timedelta(minutes=1)
        assert place.received() == [recent]

    asyncio.run(run())


def test_the_stream_stops_before_the_budget_is_exceeded(place: Place) -> None:
    async def run() -> None:
        async with X().running() as server:
            source = a_source(server, budget_dollars_per_day=0.5)  # 100 posts
            async with place.running(source) as running:
                await running.until(lambda: server.open == 1, "the stream")
                for number in range(200):
                    server.add(f"acme {number}")
                    await server.tell()
                    await asyncio.sleep(0.002)
                await running.until(lambda: running.runner.state.status == "waiting", "the end of the budget")
                assert "the budget of $0.50 a day is used up until" in running.runner.state.reason
                assert 90 <= len(server.meter) <= 100
                await running.until(lambda: set(place.received()) == set(server.meter), "each paid post")
                (spending,) = running.context.ledger.spendings(datetime.now(UTC))
                assert spending.spent == len(server.meter) * 5_000
            # A new run does not read either.
            connections = server.connections
            async with place.running(source, ledger=running.context.ledger) as running:
                await running.until(lambda: running.runner.state.status == "waiting", "the refusal of the budget")
                assert server.connections == connections

    asyncio.run(run())


def test_a_search_stops_before_the_budget_is_exceeded(place: Place) -> None:
    async def run() -> None:
        async with X().running() as server:
            begin = datetime.now(UTC) - timedelta(minutes=30)
            cursor = {"until": begin.isoformat(), "since_id": ""}
            place.store.save("x", new_position(cursor, topic_id=place.topic_id, sent={}, last_event=None))
            for number in range(300):
                server.add(f"acme {number}", at=begin + timedelta(seconds=number))
            source = a_source(server, budget_dollars_per_day=1.0, mode="search")  # 200 posts
            async with place.running(source) as running:
                await running.until(lambda: running.runner.state.status == "waiting", "the end of the budget")
            assert len(server.meter) == 200
            assert [gap.reason for gap in place.store.gaps()] == ["the budget of $1.00 a day was used up"]
            assert place.store.positions()["x"].cursor["reason"] == "budget"

    asyncio.run(run())


def test_the_search_mode_pays_each_post_once(place: Place) -> None:
    async def run() -> None:
        async with X().running() as server:
            source = a_source(server, mode="search", poll_minutes=0.000_5)
            async with place.running(source) as running:
                await running.until(lambda: len(server.requests) > 3, "some searches")
                wanted = set()
                for number in range(20):
                    wanted.add(server.add(f"acme {number}"))
                    await asyncio.sleep(0.02)
                await running.until(partial(place.has_all, wanted), "all posts")
            assert sorted(server.meter) == sorted(wanted)

    asyncio.run(run())


def test_rules_follow_the_brands_file(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RULES_SECONDS", 0.02)
    monkeypatch.setattr(brand_filter, "RELOAD_SECONDS", 0.02)

    async def run() -> None:
        async with X().running() as server:
            server.rules["99"] = {"value": "cats", "tag": "of another program"}
            async with place.running(a_source(server)) as running:
                await running.until(lambda: server.open == 1, "the stream")
                rules = {rule["value"]: rule["tag"] for rule in server.rules.values()}
                assert rules == {"cats": "of another program", '("acme" OR #acme) -is:retweet': "brandpulse: Acme Air"}
                (place.folder / "brands.yaml").write_text('brands:\n  - name: Nordbank\n    handles: ["@nordbank"]\n')
                await running.until(
                    lambda: {rule["value"] for rule in server.rules.values()} == {"cats", "@nordbank -is:retweet"},
                    "the rules of the new brands",
                )
                wanted = server.add("thanks @nordbank")
                await server.tell()
                await running.until(partial(place.has_all, {wanted}), "a post of the new brand")
                assert server.connections == 1

    asyncio.run(run())


def test_a_refused_rule_keeps_the_others(place: Place) -> None:
    async def run() -> None:
        async with X(wrong_words=("oddly",)).running() as server:
            brands = 'brands:\n  - {name: Odd, terms: ["oddly"]}\n  - {name: Acme Air, terms: ["acme"]}\n'
            async with place.running(a_source(server), brands=brands) as running:
                await running.until(lambda: server.open == 1, "the stream")
                assert [rule["tag"] for rule in server.rules.values()] == ["brandpulse: Acme Air"]
                await running.until(lambda: running.runner.state.outcomes.get("rule_refused") == 1, "the outcome")
                with pytest.raises(SourceConfigError, match=r"that of brand 'Odd': no viable alternative"):
                    await a_source(server).check(running.context)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "body", "state", "words"),
    [
        (401, {"title": "Unauthorized"}, "refused", "check that TEST_X_TOKEN holds the Bearer token"),
        (402, {"title": "Payment Required", "type": PROBLEM + "credits-depleted"}, "waiting", "no credit is left"),
        (403, {"title": "Client Forbidden", "detail": "enroll"}, "refused", "pay-per-use project with credit"),
        (429, {"title": "Too Many Requests"}, "waiting", "X answered 429"),
        (503, {"title": "Service Unavailable"}, "waiting", "X answered 503"),
    ],
)
def test_a_refusal_names_fault_and_cure(
    place: Place, status: int, body: dict[str, str], state: str, words: str
) -> None:
    async def run() -> None:
        headers = {"x-rate-limit-reset": str(int(time.time()) + 600)}
        faults = deque([Fault(refuse=status, body=body, headers=headers)] * 50)
        async with X(faults=faults).running() as server, place.running(a_source(server)) as running:
            await running.until(lambda: running.runner.state.status == state, state)
            assert words in running.runner.state.reason
            if status in (402, 429):
                await asyncio.sleep(0.2)
                assert server.connections == 1  # neither asks again before the time that X named

    asyncio.run(run())


def test_an_old_connection_is_closed_in_the_end(place: Place) -> None:
    async def run() -> None:
        async with X(crowded=True).running() as server, place.running(a_source(server)) as running:
            await running.until(lambda: server.open == 1, "the stream")
            assert server.connections == 3

    asyncio.run(run())


def test_a_silent_stream_is_connected_again(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(api, "SILENCE_SECONDS", 0.2)

    async def run() -> None:
        async with X(faults=deque([Fault(keep_alive=0)])).running() as server, place.running(a_source(server)) as one:
            await one.until(lambda: one.runner.state.reconnects >= 1, "the silence")
            server.cut()
            await server.tell()
            await one.until(lambda: server.connections >= 2, "another connection")
        reasons = [record.__dict__.get("reason", "") for record in caplog.records]
        assert "X sent nothing, not even an empty line, for too long" in reasons

    asyncio.run(run())


def test_empty_lines_move_the_position(place: Place) -> None:
    async def run() -> None:
        async with X().running() as server, place.running(a_source(server)) as running:
            await running.until(lambda: bool(place.store.positions()), "a position")
            first = place.store.positions()["x"].cursor["until"]
            await running.until(lambda: place.store.positions()["x"].cursor["until"] > first, "a later position")
            assert server.meter == []

    asyncio.run(run())


def test_the_check_shows_rules_and_money(place: Place) -> None:
    async def run() -> None:
        brands = BrandFilter(a_brands_file(place.folder))
        async with X().running() as server, source_context(brands, asyncio.Event()) as context:
            server.rules["99"] = {"value": "cats", "tag": ""}
            answer = await a_source(server, budget_dollars_per_day=5).check(context)
            assert answer == (
                "X accepts the token and the 1 rules of 1 brands; 1 rules of other programs also bring posts that "
                "cost money; $0.00 of $5.00 used today"
            )
            assert len(server.rules) == 1  # the check changes nothing

    asyncio.run(run())

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request

from brandpulse.config.settings import load_settings
from brandpulse.errors import ConfigError, TransientError
from brandpulse.schema.silences import OperatorRequests
from brandpulse.state.operator_requests import OperatorRequestStore
from dashboards.page.access import Access
from dashboards.page.event_stream import BEAT, EventStream
from dashboards.page.read_cache import ReadCache
from dashboards.page.redis_reader import PageStore, page_client
from dashboards.page.server import PageServer, describe
from dashboards.settings import PageSettings
from tests.support.dashboards.stored_state import ACME, END, StoredStream, an_episode
from tests.support.repository import ROOT

TOKEN = "correct horse battery"
Client = TestClient[Any, Any]


async def client_of(server: PageServer) -> Client:
    client: Client = TestClient(TestServer(server.app()))
    await client.start_server()
    return client


@pytest.fixture
async def open_client(redis_client: redis.Redis, namespace: str) -> AsyncIterator[Client]:
    """A server without a token, over one brand."""
    stream = StoredStream(redis_client, namespace)
    stream.add(ACME, END, negative=1)
    stream.store(END)
    client = await client_of(PageServer(PageStore(redis_client, namespace), token=None, max_open_pages=1))
    yield client
    await client.close()


@pytest.fixture
async def guarded_client(redis_client: redis.Redis, namespace: str) -> AsyncIterator[Client]:
    client = await client_of(PageServer(PageStore(redis_client, namespace), token=TOKEN, max_open_pages=9))
    yield client
    await client.close()


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/api/brands/Nobody/series", 404, "no posts about a brand named 'Nobody'"),
        ("/api/brands/Nobody/facets", 404, "no posts about a brand named 'Nobody'"),
        ("/api/negatives", 404, "no posts about a brand named ''"),
        ("/api/brands/Acme%20Air/series?hours=0", 400, "hours must be a whole number from 1 to 2160, got '0'"),
        ("/api/brands/Acme%20Air/series?hours=²", 400, "hours must be a whole number"),
        ("/api/brands/Acme%20Air/series?hours=99999999999999999999999", 400, "hours must be a whole number"),
        ("/static/../run.py", 404, ""),
        ("/static/..%2frun.py", 404, "file not found"),
        ("/nowhere", 404, ""),
    ],
)
async def test_invalid_request_gets_an_error_message(open_client: Client, path: str, status: int, message: str) -> None:
    answer = await open_client.get(path)

    assert answer.status == status
    assert message in (await answer.json())["error"]


async def test_every_response_forbids_foreign_scripts(open_client: Client) -> None:
    for path in ("/", "/static/app.js", "/api/overview", "/nowhere", "/healthz"):
        answer = await open_client.get(path)
        assert "default-src 'none'; script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_foreign_host_name_is_rejected(open_client: Client) -> None:
    assert (await open_client.get("/api/overview", headers={"Host": "evil.example:80"})).status == 421
    assert (await open_client.get("/api/overview", headers={"Host": "[::1]:80"})).status == 200
    assert (await open_client.get("/api/overview", headers={"Host": "localhost"})).status == 200


async def test_cached_file_gets_304(open_client: Client) -> None:
    first = await open_client.get("/static/app.js")

    again = await open_client.get("/static/app.js", headers={"If-None-Match": first.headers["ETag"]})

    assert again.status == 304


async def test_page_over_the_limit_gets_503(open_client: Client) -> None:
    async with open_client.get("/api/events") as first:
        assert (await first.content.readuntil(b"\n\n")).startswith(b"retry")
        assert (await first.content.readuntil(b"\n\n")).startswith(b"event: snapshot\ndata: {")
        second = await open_client.get("/api/events")
        assert second.status == 503


async def test_lost_redis_is_reported_to_page_and_supervisor() -> None:
    lost = PageStore(page_client("redis://127.0.0.1:1"), "any")
    client = await client_of(PageServer(lost, token=None, max_open_pages=9))

    assert (await client.get("/healthz")).status == 200
    assert (await client.get("/readyz")).status == 503
    assert "Redis is unreachable" in (await (await client.get("/api/overview")).json())["error"]
    async with client.get("/api/events") as events:
        await events.content.readuntil(b"\n\n")  # retry
        assert (await events.content.readuntil(b"\n\n")).startswith(b'event: trouble\ndata: {"error":"Redis is')
    await client.close()


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"headers": {"Authorization": "Bearer wrong"}},
        {"headers": {"Authorization": f"Basic {TOKEN}"}},
        {"headers": {"Cookie": f"brandpulse_page={TOKEN}"}},
        {"params": {"token": "wrong"}},
        {"params": {"token": "ÿ"}},
    ],
)
async def test_request_without_the_token_gets_401(guarded_client: Client, shown: dict[str, Any]) -> None:
    for path in ("/", "/api/overview", "/api/events", "/static/app.js"):
        assert (await guarded_client.get(path, **shown)).status == 401
    assert (await guarded_client.get("/healthz")).status == 200


@pytest.mark.parametrize("path", ["//evil.example/?token={}&brand=Acme", "/?brand=Acme&token={}"])
async def test_redirect_after_the_token_stays_on_this_server(path: str) -> None:
    answer = Access(TOKEN).check(make_mocked_request("GET", path.format(TOKEN.replace(" ", "+"))))

    assert answer is not None
    assert answer.status == 302
    assert answer.headers["Location"] in {"/evil.example/?brand=Acme", "/?brand=Acme"}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "ops.example.com"])
def test_host_reachable_by_others_requires_a_token(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("BRANDPULSE_PAGE_HOST", host)
    with pytest.raises(ConfigError, match=f"BRANDPULSE_PAGE_TOKEN: .*BRANDPULSE_PAGE_HOST={host}"):
        load_settings(PageSettings)

    monkeypatch.setenv("BRANDPULSE_PAGE_TOKEN", TOKEN)
    assert load_settings(PageSettings).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_host_needs_no_token(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("BRANDPULSE_PAGE_HOST", host)

    assert load_settings(PageSettings).token is None


async def test_simultaneous_requests_share_one_read() -> None:
    reads = 0
    begun, gate = asyncio.Event(), asyncio.Event()

    async def read() -> bytes:
        nonlocal reads
        reads += 1
        begun.set()
        await gate.wait()
        return b"answer"

    cache = ReadCache(life_seconds=60)
    asked = [asyncio.ensure_future(cache.get("key", read)) for _ in range(100)]
    await begun.wait()
    asked[0].cancel()
    gate.set()

    assert await asyncio.gather(*asked[1:]) == [b"answer"] * 99
    assert await cache.get("key", read) == b"answer"
    assert reads == 1


async def test_failed_read_raises_for_all_and_is_retried() -> None:
    answers: list[Any] = [TransientError("down"), b"up"]

    async def read() -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return bytes(answer)

    cache = ReadCache(life_seconds=60)
    first = await asyncio.gather(cache.get("key", read), cache.get("key", read), return_exceptions=True)

    assert [str(error) for error in first] == ["down", "down"]
    assert await cache.get("key", read) == b"up"


async def test_event_stream_sends_each_change_once_and_beats_between() -> None:
    contents = iter([b"1", b"1", b"1", b"1"])
    store = [b"1"]

    async def read() -> bytes:
        store[0] = next(contents, b"2")
        return store[0]

    stream = EventStream(read, describe, interval_seconds=0.01, beat_seconds=0.02)
    running = asyncio.create_task(stream.run())
    received = []
    async for message in stream.messages():
        if message != BEAT:
            received.append(message)
        if received and received[-1].endswith(b"2\n\n"):
            break
    running.cancel()

    assert received == [b"event: snapshot\ndata: 1\n\n", b"event: snapshot\ndata: 2\n\n"]


async def test_without_open_pages_nothing_is_read() -> None:
    reads = 0

    async def read() -> bytes:
        nonlocal reads
        reads += 1
        return b"1"

    stream = EventStream(read, describe, interval_seconds=0.0)
    running = asyncio.create_task(stream.run())
    async with contextlib.aclosing(stream.messages()) as messages:
        assert await anext(messages) == b"event: snapshot\ndata: 1\n\n"
    before = reads
    for _ in range(100):
        await asyncio.sleep(0)
    running.cancel()

    assert stream.listeners == 0
    assert reads - before <= 1


def test_static_files_load_nothing_external_and_build_no_html() -> None:
    static = ROOT / "dashboards" / "page" / "static"
    for path in static.iterdir():
        text = path.read_text()
        assert "innerHTML" not in text
        assert "insertAdjacentHTML" not in text
        assert "https://" not in text
        assert " style=" not in text


def orders(redis_client: redis.Redis, namespace: str) -> OperatorRequests:
    return OperatorRequestStore(redis_client, namespace).read(datetime.now(UTC))


async def test_silence_can_be_created_listed_and_ended(
    open_client: Client, redis_client: redis.Redis, namespace: str
) -> None:
    made = await open_client.post("/api/silences", json={"brand": ACME, "rule": "negative_share", "for": "2h"})
    assert made.status == 201
    silence = await made.json()
    [stored] = orders(redis_client, namespace).silences
    assert (stored.id, stored.brand, stored.by) == (silence["id"], ACME, "live page")
    assert stored.ends_at - stored.starts_at == timedelta(hours=2)
    snapshot = await (await open_client.get("/api/snapshot")).json()
    assert [one["id"] for one in snapshot["silences"]] == [stored.id]
    ended = await open_client.post(f"/api/silences/{stored.id}/expire", json={})
    assert ended.status == 200
    assert not orders(redis_client, namespace).silences[0].is_active(datetime.now(UTC))


async def test_only_an_open_episode_can_be_acknowledged(
    open_client: Client, redis_client: redis.Redis, namespace: str
) -> None:
    StoredStream(redis_client, namespace).write_open(an_episode())
    key = an_episode().key
    assert (await open_client.post("/api/acknowledgements", json={"key": key, "by": "kim"})).status == 202
    assert [(one.key, one.by) for one in orders(redis_client, namespace).acknowledgements] == [(key, "kim")]
    refused = await open_client.post("/api/acknowledgements", json={"key": "other"})
    assert refused.status == 409
    assert "no open episode" in (await refused.json())["error"]


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        ({"for": "2h"}, 409, "needs a brand, a rule"),
        ({"brand": ACME, "for": "soon"}, 409, "for example 90m"),
        ({"brand": ACME}, 400, "for: is missing"),
        ({"brand": ACME, "for": "1h", "below": "bad"}, 400, "below: must be "),
        ({"brand": ACME, "for": "1h", "colour": "red"}, 400, "colour: is not known here"),
        ({"brand": ACME, "for": "1h", "why": "x" * 5_000}, 413, "exceeds 4096 bytes"),
    ],
)
async def test_invalid_silence_is_rejected_with_the_reason(
    open_client: Client, content: dict[str, Any], status: int, message: str
) -> None:
    answer = await open_client.post("/api/silences", json=content)
    assert answer.status == status
    assert message in (await answer.json())["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "application/json", "Origin": "http://evil.example"}, 403),
        ({"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Type": "application/json", "Host": "evil.example"}, 421),
    ],
)
async def test_cross_site_request_cannot_silence(
    open_client: Client, redis_client: redis.Redis, namespace: str, headers: dict[str, str], status: int
) -> None:
    answer = await open_client.post("/api/silences", data=b'{"brand": "Acme Air", "for": "1h"}', headers=headers)
    assert answer.status == status
    assert orders(redis_client, namespace).silences == []


@pytest.mark.parametrize("path", ["/api/silences", "/api/silences/00000000/expire", "/api/acknowledgements"])
async def test_action_without_the_token_gets_401(guarded_client: Client, path: str) -> None:
    assert (await guarded_client.post(path, json={"brand": ACME, "for": "1h"})).status == 401


OPERATORS = {"kim": "token-of-kim-16-chars", "lee": "token-of-lee-16-chars"}


@pytest.fixture
async def shared_client(redis_client: redis.Redis, namespace: str) -> AsyncIterator[Client]:
    """A server with a read-only token and two operators, over one open episode."""
    StoredStream(redis_client, namespace).write_open(an_episode())
    server = PageServer(PageStore(redis_client, namespace), token=TOKEN, operators=OPERATORS, max_open_pages=9)
    client = await client_of(server)
    yield client
    await client.close()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/api/silences", {"brand": ACME, "for": "1h"}),
        ("/api/silences/00000000/expire", {}),
        ("/api/acknowledgements", {"key": an_episode().key, "by": "kim"}),
    ],
)
async def test_read_only_token_can_read_and_cannot_act(
    shared_client: Client, redis_client: redis.Redis, namespace: str, path: str, content: dict[str, Any]
) -> None:
    assert (await shared_client.get("/api/episodes", headers=bearer(TOKEN))).status == 200
    me = await shared_client.get("/api/me", headers=bearer(TOKEN))
    assert await me.json() == {"name": None, "may_act": False}
    refused = await shared_client.post(path, json=content, headers=bearer(TOKEN))
    assert refused.status == 403
    assert "BRANDPULSE_PAGE_OPERATOR_TOKENS" in (await refused.json())["error"]
    assert orders(redis_client, namespace) == OperatorRequests([], [])


async def test_action_is_recorded_under_the_operator_of_the_token(
    shared_client: Client, redis_client: redis.Redis, namespace: str
) -> None:
    kim = bearer(OPERATORS["kim"])
    assert await (await shared_client.get("/api/me", headers=kim)).json() == {"name": "kim", "may_act": True}
    silence = {"brand": ACME, "for": "1h", "by": "other"}
    assert (await shared_client.post("/api/silences", json=silence, headers=kim)).status == 201
    acknowledgement = {"key": an_episode().key, "by": "other"}
    answer = await shared_client.post("/api/acknowledgements", json=acknowledgement, headers=bearer(OPERATORS["lee"]))
    assert answer.status == 202
    stored = orders(redis_client, namespace)
    assert [silence.by for silence in stored.silences] == ["kim"]
    assert [one.by for one in stored.acknowledgements] == ["lee"]


async def test_link_with_the_read_only_token_keeps_operator_access(shared_client: Client) -> None:
    for token, may_act in ((TOKEN, False), (OPERATORS["kim"], True), (TOKEN, True)):
        await shared_client.get("/", params={"token": token})
        me = await (await shared_client.get("/api/me")).json()
        assert me["may_act"] is may_act


async def test_operator_tokens_alone_leave_reading_open(redis_client: redis.Redis, namespace: str) -> None:
    server = PageServer(PageStore(redis_client, namespace), token=None, operators=OPERATORS, max_open_pages=9)
    client = await client_of(server)
    assert (await client.get("/api/episodes")).status == 200
    assert (await client.post("/api/silences", json={"brand": ACME, "for": "1h"})).status == 403
    await client.close()


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("kim", "name=token pairs"),
        ("kim=short", "the token of 'kim' must have at least 16"),
        ("kim=0123456789abcdef,kim=fedcba9876543210", "names an operator twice"),
        ("kim=0123456789abcdef,lee=0123456789abcdef", "repeats a token"),
        ("kim=correct horse battery", "repeats a token, or contains the one of BRANDPULSE_PAGE_TOKEN"),
    ],
)
def test_invalid_operator_tokens_stop_the_start_and_stay_secret(
    monkeypatch: pytest.MonkeyPatch, value: str, error: str
) -> None:
    monkeypatch.setenv("BRANDPULSE_PAGE_TOKEN", TOKEN)
    monkeypatch.setenv("BRANDPULSE_PAGE_OPERATOR_TOKENS", value)
    with pytest.raises(ConfigError, match=error) as caught:
        load_settings(PageSettings)
    assert "0123456789abcdef" not in str(caught.value)

"""The webhook receiver against a real broker and unfriendly senders: a 200 means stored, and nothing else does."""

import asyncio
import gzip
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from brandpulse.devstack.embedded_servers import EmbeddedBroker
from brandpulse.kafka.topics import Topic, ensure_topics
from brandpulse.runtime.metric_definitions import INGEST_METRICS
from brandpulse.runtime.metrics import Telemetry
from ingest.topic_reader import TopicReader
from ingest.webhook import receiver, service
from ingest.webhook.service import WebhookService
from tests.support.patience import patience
from tests.support.webhook.sender import (
    BEARER,
    JSON,
    OLD_STANDARD_SECRET,
    OLD_TOKEN,
    SECRETS,
    SLOW_TOKEN,
    SOURCES,
    STANDARD_SECRET,
    TOKEN,
    RawRequest,
    a_body,
    a_post,
    github,
    standard,
    stripe,
)


@dataclass
class Running:
    """A receiver, and a client of it."""

    servers: str
    topic: str
    file: Path
    service: WebhookService
    telemetry: Telemetry
    session: aiohttp.ClientSession
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        state = self.service.state()
        assert state is not None
        return state["url"]

    async def post(self, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any], dict[str, str]]:
        async with self.session.post(self.url, data=body, headers={**JSON, **headers}) as response:
            return response.status, json.loads(await response.read()), dict(response.headers)

    async def status(self, body: bytes, headers: dict[str, str]) -> int:
        return (await self.post(body, headers))[0]

    def stored(self) -> list[str]:
        """Ids of all records of the topic, repeats included."""
        with TopicReader(self.servers, self.topic) as reader:
            ends = reader.ends()
            return sorted(post.id for post in reader.posts_between(ends.low, ends.high))

    def counted(self, name: str, **labels: str) -> float:
        for family in text_string_to_metric_families(self.telemetry.expose().decode()):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return 0.0

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        limit = time.monotonic() + patience(20)
        while not holds():
            assert time.monotonic() < limit, what
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


@asynccontextmanager
async def running(broker: EmbeddedBroker, folder: Path) -> AsyncIterator[Running]:
    topic = f"posts-{uuid.uuid4().hex[:8]}"
    ensure_topics(broker.bootstrap_servers, [Topic(topic, 2)])
    file = folder / "sources.yaml"
    file.write_text(SOURCES.replace("PORT", "0"))
    telemetry = Telemetry(INGEST_METRICS)
    webhook = WebhookService(file, bootstrap_servers=broker.bootstrap_servers, topic=topic, telemetry=telemetry)
    async with aiohttp.ClientSession() as session:
        one = Running(broker.bootstrap_servers, topic, file, webhook, telemetry, session)
        async with webhook.running(one.stop):
            try:
                yield one
            finally:
                one.stop.set()


async def test_posts_of_each_kind_of_sender_are_stored(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    async with running(embedded_broker, tmp_path) as one:
        assert (await one.post(a_body(1, 2), BEARER))[:2] == (200, {"taken": 2, "refused": []})
        for number, sign in ((3, standard), (4, github), (5, stripe)):
            body = a_body(number)
            assert await one.status(body, sign(body)) == 200
        lines = b"\n".join(json.dumps(a_post(number)).encode() for number in (6, 7))
        assert await one.status(lines, {**BEARER, "Content-Type": "application/x-ndjson"}) == 200
        assert await one.status(json.dumps(a_post(8)).encode(), BEARER) == 200
        assert one.stored() == [f"p{number}" for number in range(1, 9)]
        assert one.counted("brandpulse_webhook_requests_total", sender="forum", code="200") == 3
        assert one.counted("brandpulse_webhook_posts_total", sender="forum", outcome="taken") == 5


async def test_old_secrets_and_several_signatures_are_taken(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    async with running(embedded_broker, tmp_path) as one:
        assert await one.status(a_body(1), {"Authorization": f"Bearer {OLD_TOKEN}"}) == 200
        for number, secrets in enumerate(
            ([OLD_STANDARD_SECRET], [OLD_STANDARD_SECRET, STANDARD_SECRET], ["whsec_" + "Zz99" * 8, STANDARD_SECRET])
        ):
            body = a_body(f"s{number}")
            assert await one.status(body, standard(body, identity=f"m{number}", secrets=secrets)) == 200
        assert len(one.stored()) == 4


async def test_requests_that_are_not_genuine_get_401_and_no_hint(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    body = a_body(1)
    wrong = {
        "nothing": {},
        "wrong token": {"Authorization": "Bearer something else"},
        "basic": {"Authorization": f"Basic {TOKEN}"},
        "wrong secret": standard(body, secrets=["whsec_" + "Zz99" * 8]),
        "10 minutes ago": standard(body, away=-600),
        "in 10 minutes": standard(body, away=600),
        "stripe in 10 minutes": stripe(body, away=600),
        "another body": github(body + b" "),
        "secret of another kind": github(body, TOKEN),
        "no id": {**standard(body), "webhook-id": ""},
        "malformed": {**standard(body), "webhook-signature": "v1"},
        "not ASCII": {"X-Hub-Signature-256": "sha256=é"},
    }
    async with running(embedded_broker, tmp_path) as one:
        answers = {name: await one.post(body, headers) for name, headers in wrong.items()}
        assert {name: answer[:2] for name, answer in answers.items()} == dict.fromkeys(
            wrong, (401, {"error": "unauthorized"})
        )
        assert len({json.dumps({k: v for k, v in a[2].items() if k != "Date"}) for a in answers.values()}) <= 2
        assert one.stored() == []
        assert one.counted("brandpulse_webhook_requests_total", sender="unknown", code="401") == len(wrong)


async def test_bad_posts_are_listed_and_the_others_are_stored(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    body = json.dumps([a_post(1), a_post(2, text=5), a_post(3)]).encode()
    async with running(embedded_broker, tmp_path) as one:
        status, answer, _ = await one.post(body, BEARER)
        reason = "must be text: put the value in quotes"
        assert (status, answer) == (422, {"taken": 2, "refused": [{"index": 1, "field": "text", "reason": reason}]})
        assert one.stored() == ["p1", "p3"]
        bad_utf_8 = b"[" + json.dumps(a_post(4)).encode() + b"," + a_body("?")[1:].replace(b"?", b"\xff")
        status, answer, _ = await one.post(bad_utf_8, BEARER)
        assert (status, answer["taken"], answer["refused"][0]["reason"]) == (422, 1, "is not UTF-8 text")
        assert one.counted("brandpulse_webhook_posts_total", sender="forum", outcome="refused") == 2


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"[", {}, 400),
        (b"\xff", {}, 400),
        (a_body(1), {"Content-Type": "text/plain"}, 415),
        (a_body(1), {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (a_body(1), {"Content-Type": "application/json; charset=latin-1"}, 415),
        (gzip.compress(a_body(1)), {"Content-Encoding": "gzip"}, 415),
        (b"[" + b" " * 200_000 + b"]", {}, 413),
        (b"[" + b",".join([b"1"] * 1_001) + b"]", {}, 413),
    ],
)
async def test_body_that_cannot_be_taken_is_refused_whole(
    body: bytes, headers: dict[str, str], status: int, embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    async with running(embedded_broker, tmp_path) as one:
        assert await one.status(body, {**BEARER, **headers}) == status
        assert await one.status(a_body("after"), BEARER) == 200
        assert one.stored() == ["pafter"]


async def test_endless_body_is_refused_at_the_limit(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    async with running(embedded_broker, tmp_path) as one:
        raw = await RawRequest.open(one.url)
        await raw.head({**BEARER, **JSON, "Transfer-Encoding": "chunked"})
        answer = asyncio.create_task(raw.status())
        sent = 0
        while not answer.done() and sent < 50_000_000:
            try:
                await raw.write(b"1000\r\n" + b" " * 4_096 + b"\r\n")
            except ConnectionError:
                break
            sent += 4_096
            await asyncio.sleep(0)
        assert await answer == 413
        assert sent < 5_000_000


async def test_request_longer_than_declared_is_not_taken(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    body = a_body(1)
    async with running(embedded_broker, tmp_path) as one:
        raw = await RawRequest.open(one.url)
        await raw.head({**JSON, **github(body), "Content-Length": str(len(body) - 5)})
        await raw.write(body)
        assert await raw.status() in (400, 401)
        assert one.stored() == []


async def test_slow_body_is_refused_and_holds_up_no_other(
    embedded_broker: EmbeddedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "BODY_SECONDS", patience(0.5))
    async with running(embedded_broker, tmp_path) as one:
        raw = await RawRequest.open(one.url)
        await raw.head({**JSON, **BEARER, "Content-Length": "1000"})
        await raw.write(b"[")
        assert await one.status(a_body(1), BEARER) == 200
        assert await raw.status() == 408


async def test_sender_that_leaves_in_its_body_stores_nothing(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    async with running(embedded_broker, tmp_path) as one:
        raw = await RawRequest.open(one.url)
        await raw.head({**JSON, **BEARER, "Content-Length": "1000"})
        await raw.write(a_body(1))
        raw.abort()
        await one.until(
            lambda: one.counted("brandpulse_webhook_requests_total", sender="unknown", code="400") == 1, "400"
        )
        assert one.stored() == []


async def test_sender_that_leaves_before_the_answer_loses_nothing(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    body = a_body(1)
    headers = {**JSON, **standard(body)}
    async with running(embedded_broker, tmp_path) as one:
        raw = await RawRequest.open(one.url)
        await raw.head({**headers, "Content-Length": str(len(body))})
        await raw.write(body)
        raw.abort()
        await one.until(lambda: one.counted("brandpulse_webhook_requests_total", sender="desk", code="200") == 1, "200")
        assert (await one.post(body, headers))[:2] == (200, {"taken": 0, "refused": [], "repeated": True})
        assert one.stored() == ["p1"]


async def test_repeated_id_is_sent_once(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    body = a_body(1)
    async with running(embedded_broker, tmp_path) as one:
        results = await asyncio.gather(*(one.post(body, standard(body, identity="same")) for _ in range(5)))
        assert [status for status, _, _ in results] == [200] * 5
        assert sorted(answer["taken"] for _, answer, _ in results) == [0, 0, 0, 0, 1]
        assert await one.status(body, standard(body, identity="other")) == 200
        assert one.stored() == ["p1", "p1"]


async def test_sender_above_its_rate_gets_429_and_others_go_on(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    slow = {"Authorization": f"Bearer {SLOW_TOKEN}"}
    async with running(embedded_broker, tmp_path) as one:
        assert await one.status(a_body(*range(999)), slow) == 200
        status, _, headers = await one.post(a_body(*range(100)), slow)
        assert (status, 90 <= int(headers["Retry-After"]) <= 100) == (429, True)
        assert await one.status(a_body("other"), BEARER) == 200
        assert len(one.stored()) == 1_000


async def test_broker_down_gives_503_and_the_retry_is_stored_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "DELIVERY_SECONDS", patience(1.0))
    broker = EmbeddedBroker(tmp_path)
    body = a_body(1)
    async with running(broker, tmp_path) as one:
        # A broker that has just started may need longer for its first record than the short time of this test.
        limit = time.monotonic() + patience(30)
        while await one.status(a_body(0), BEARER) != 200:
            assert time.monotonic() < limit
        broker.stop()
        status, answer, headers = await one.post(body, standard(body))
        assert (status, headers["Retry-After"]) == (503, "5")
        assert answer == {"error": "the posts could not be stored; send the request again"}
        state = one.service.state()
        assert state is not None
        assert state["status"] == "failing"
        again = EmbeddedBroker(tmp_path, port=broker.port)
        try:
            ensure_topics(one.servers, [Topic(one.topic, 2)])
            limit = time.monotonic() + patience(30)
            while await one.status(body, standard(body)) != 200:
                assert time.monotonic() < limit
                await asyncio.sleep(0.1)
            assert one.stored() == ["p1"]
            state = one.service.state()
            assert state is not None
            assert state["status"] == "listening"
        finally:
            again.stop()


async def test_full_queue_gives_503_at_once(
    embedded_broker: EmbeddedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(embedded_broker, tmp_path) as one:
        monkeypatch.setattr("ingest.sources.delivery.QUEUE_POSTS", 2)
        status, _, headers = await one.post(a_body(1, 2, 3), BEARER)
        assert (status, headers["Retry-After"]) == (503, "5")
        assert await one.status(a_body(1, 2), BEARER) == 200
        assert one.stored() == ["p1", "p2"]


async def test_changed_file_changes_senders_and_a_wrong_one_does_not(
    embedded_broker: EmbeddedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "RELOAD_SECONDS", 0.02)
    async with running(embedded_broker, tmp_path) as one:
        before = one.url
        text = one.file.read_text()
        one.file.write_text("webhook: {senders: []}\n")
        await asyncio.sleep(0.2)
        assert await one.status(a_body(1), BEARER) == 200
        one.file.write_text(text.replace("FORUM_TOKEN, FORUM_TOKEN_OLD", "FORUM_TOKEN"))
        old = {"Authorization": f"Bearer {OLD_TOKEN}"}
        limit = time.monotonic() + patience(10)
        while await one.status(a_body(2), old) != 401:
            assert time.monotonic() < limit
        assert (one.url, await one.status(a_body(3), BEARER)) == (before, 200)
        one.file.write_text("sources: []\n")
        await one.until(lambda: one.service.state() is None, "the end of the receiver")
        with pytest.raises(aiohttp.ClientConnectionError):
            async with one.session.post(before, data=b""):
                pass


async def test_stop_finishes_open_requests(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    body = a_body(1)
    async with running(embedded_broker, tmp_path) as one:
        raw = await RawRequest.open(one.url)
        url = one.url
        await raw.head({**JSON, **BEARER, "Content-Length": str(len(body))})
        await raw.write(body[:10])
        await one.status(a_body(0), BEARER)
        one.stop.set()
        await asyncio.sleep(0.1)
        with pytest.raises(ConnectionError):
            await RawRequest.open(url)
        await raw.write(body[10:])
        assert await raw.status() == 200
        assert one.stored() == ["p0", "p1"]

import asyncio
from typing import Any

import aiohttp
import pytest

from brandpulse.devstack.mock_receiver import MAX_EVENT_BYTES, Incidents, MockReceiver, problems


def an_event(action: str = "trigger", **changes: Any) -> dict[str, Any]:
    event: dict[str, Any] = {"routing_key": "0" * 32, "event_action": action, "dedup_key": "k", **changes}
    if action == "trigger":
        event.setdefault(
            "payload",
            {"summary": "s", "source": "b", "severity": "error", "timestamp": "2026-03-02T10:00:00+00:00"},
        )
    return event


def payload(**changes: Any) -> dict[str, Any]:
    return an_event(payload=an_event()["payload"] | changes)


@pytest.mark.parametrize(
    ("event", "complaints"),
    [
        (an_event(), 0),
        (an_event("resolve"), 0),
        (an_event("acknowledge"), 0),
        ([], 1),
        (an_event(routing_key="short"), 1),
        (an_event("shout"), 1),
        (an_event("resolve", dedup_key=None), 1),
        (an_event(dedup_key="💥" * 255), 0),
        (an_event(dedup_key="k" * 256), 1),
        (payload(summary="💥" * 1_024), 0),
        (payload(summary="s" * 1_025), 1),
        (payload(severity="loud"), 1),
        (payload(source=""), 1),
        (payload(timestamp="2026-03-02T10:00:00"), 1),
        (payload(timestamp="soon"), 1),
        (an_event(payload=None), 1),
    ],
)
def test_fields_are_accepted_at_the_limit_and_rejected_beyond(event: Any, complaints: int) -> None:
    assert len(problems(event)) == complaints


def replay(*actions: str) -> Incidents:
    incidents = Incidents()
    for action in actions:
        incidents.process(an_event(action))
    return incidents


@pytest.mark.parametrize(
    ("actions", "statuses", "dropped"),
    [
        (["trigger", "trigger"], ["open"], 0),
        (["trigger", "acknowledge"], ["acknowledged"], 0),
        (["trigger", "resolve"], ["resolved"], 0),
        (["resolve", "trigger"], ["open"], 1),
        (["trigger", "resolve", "resolve"], ["resolved"], 1),
        (["trigger", "resolve", "trigger"], ["resolved", "open"], 0),
    ],
)
def test_incidents_open_and_close_like_pagerdutys(actions: list[str], statuses: list[str], dropped: int) -> None:
    incidents = replay(*actions)
    assert [incident.status for incident in incidents.all] == statuses
    assert incidents.dropped == dropped


async def test_a_client_that_disconnects_leaves_no_log_and_no_incident(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with MockReceiver() as mock:
        host, port = mock.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v2/enqueue HTTP/1.1\r\nHost: mock\r\nContent-Length: 1000\r\n\r\n{")
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.transport.abort()
        await asyncio.sleep(0.1)
        assert (mock.incidents.all, caplog.messages) == ([], [])


async def test_http_answers_follow_events_v2_and_events_are_listed() -> None:
    async with MockReceiver() as mock, aiohttp.ClientSession() as session:
        async with session.post(f"{mock.url}/v2/enqueue", json=an_event()) as answer:
            assert answer.status == 202
            assert await answer.json() == {"status": "success", "message": "Event processed", "dedup_key": "k"}
        async with session.post(f"{mock.url}/v2/enqueue", json=an_event(routing_key="")) as answer:
            assert answer.status == 400
            assert (await answer.json())["status"] == "invalid event"
        async with session.post(f"{mock.url}/v2/enqueue", data=b"x" * (MAX_EVENT_BYTES + 1)) as answer:
            assert answer.status == 413
        async with session.post(f"{mock.url}/faults", json=[{"status": 429, "retry_after": "3"}]) as answer:
            assert answer.status == 200
        async with session.post(f"{mock.url}/webhook/chat", json={"a": 1}) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "3")
        async with session.get(f"{mock.url}/incidents") as answer:
            assert [incident["status"] for incident in await answer.json()] == ["open"]
        async with session.get(f"{mock.url}/events") as answer:
            assert await answer.json() == [an_event()]

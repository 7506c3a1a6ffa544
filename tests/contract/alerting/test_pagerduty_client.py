"""The Events v2 bodies and the mock receiver, compared with PagerDuty's own client."""

import asyncio
from typing import Any

import pytest
from pagerduty import EventsApiV2Client

from alerting.notifications.receivers.pagerduty import event
from brandpulse.devstack.mock_receiver import MockReceiver
from brandpulse.schema.episodes import Notification
from tests.support.alerting.episode_builders import a_notification

ROUTING_KEY = "0" * 32


def theirs(url: str, notification: Notification) -> None:
    """What their client sends for it."""
    ours = event(notification, routing_key=ROUTING_KEY)
    client = EventsApiV2Client(ROUTING_KEY)
    client._url = url  # its setter wants https, which a mock on loopback has not
    key = ours["dedup_key"]
    if ours["event_action"] == "resolve":
        client.resolve(key)
    elif ours["event_action"] == "acknowledge":
        client.acknowledge(key)
    else:
        payload = ours["payload"]
        client.trigger(
            payload["summary"],
            payload["source"],
            dedup_key=key,
            severity=payload["severity"],
            custom_details=payload["custom_details"],
            links=ours.get("links"),
            payload={name: payload[name] for name in ("timestamp", "component", "group", "class")},
        )


def _without_ours(body: dict[str, Any]) -> dict[str, Any]:
    """`client` and `client_url` differ on purpose: PagerDuty's client gives its own name. Empty lists are ignored."""
    return {name: value for name, value in body.items() if name not in ("client", "client_url") and value}


@pytest.mark.parametrize("link", [None, "https://page.example/?brand=Acme"])
@pytest.mark.parametrize("transition", ["triggered", "updated", "acknowledged", "resolved"])
async def test_event_bodies_equal_those_of_pagerdutys_client(transition: Any, link: str | None) -> None:
    notification = a_notification(transition).model_copy(update={"link": link})
    async with MockReceiver() as mock:
        await asyncio.to_thread(theirs, mock.url, notification)
        [sent] = [one["body"] for one in mock.events]
    assert _without_ours(event(notification, routing_key=ROUTING_KEY)) == _without_ours(sent)


async def test_pagerdutys_client_works_with_the_mock_receiver() -> None:
    async with MockReceiver() as mock:
        for transition in ("triggered", "triggered", "acknowledged", "resolved", "resolved"):
            await asyncio.to_thread(theirs, mock.url, a_notification(transition))
    assert [(one.status, one.triggers) for one in mock.incidents.all] == [("resolved", 2)]
    assert mock.incidents.dropped == 1

"""Services of apprise, over a real socket."""

from typing import Any

import pytest
from pydantic import SecretStr

from alerting.notifications.receivers.apprise import Apprise
from brandpulse.devstack.mock_receiver import Fault, MockReceiver
from brandpulse.errors import ConfigError
from tests.support.alerting.episode_builders import a_notification


def receiver(url: str) -> Apprise:
    return Apprise("any", url=SecretStr(url), min_severity="info", timeout_seconds=2)


async def test_apprise_sends_title_and_lines() -> None:
    async with MockReceiver() as mock:
        address = mock.url.removeprefix("http://")
        outcome = await receiver(f"json://{address}/webhook/apprise").deliver(a_notification("resolved"))
    assert outcome.status == 202
    [event] = mock.events
    body: dict[str, Any] = event["body"]
    assert (body["title"], body["type"]) == ("[resolved] Acme Air is over: negative share", "success")
    assert "30 of 50 authors" in body["message"]


async def test_a_failure_of_apprise_is_retried() -> None:
    async with MockReceiver([Fault(status=500)]) as mock:
        address = mock.url.removeprefix("http://")
        outcome = await receiver(f"json://{address}/webhook/apprise").deliver(a_notification())
    assert outcome.status is None


def test_an_unsupported_apprise_url_stops_the_start_and_stays_secret() -> None:
    with pytest.raises(ConfigError, match="apprise does not support") as caught:
        receiver("pigeon://sssecret")
    assert "sssecret" not in str(caught.value)

"""What a service's answer through apprise means for the delivery."""

import json
import random
from typing import Any
from unittest import mock

import pytest
import requests
from pydantic import SecretStr

from alerting.notifications.delivery import RetryPolicy, SendResult, delivery_result
from alerting.notifications.receivers.apprise import Apprise, failure_of
from tests.support.alerting.episode_builders import a_delivery, a_notification

URL = "tgram://123456789:abcdefg_hijklmnop-ABCDEFGHIJKLMNO/12315544/"
POLICY = RetryPolicy()


async def outcome(answer: int | Exception) -> SendResult:
    def post(*_: Any, **__: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        made = mock.Mock(status_code=answer, headers={}, text="")
        made.content = json.dumps({"ok": False, "description": "Bad Request: can't parse entities"}).encode()
        return made

    with mock.patch("requests.post", post):
        receiver = Apprise("any", url=SecretStr(URL), min_severity="info", timeout_seconds=5)
        return await receiver.deliver(a_notification())


def result_of(found: SendResult, attempts: int) -> str:
    delivery = a_delivery(attempts=attempts)
    return delivery_result(delivery, found, now_ms=1_000, policy=POLICY, rng=random.Random(1)).outcome


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413])
async def test_a_permanent_status_quarantines_the_delivery(status: int) -> None:
    found = await outcome(status)
    assert found.status == status
    assert result_of(found, attempts=0) == "quarantined"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
async def test_a_temporary_status_is_retried_without_end(status: int) -> None:
    assert result_of(await outcome(status), attempts=10_000) == "retried"


async def test_a_network_error_is_retried_without_end() -> None:
    found = await outcome(requests.ConnectionError("no route"))
    assert found.status is None
    assert result_of(found, attempts=10_000) == "retried"


async def test_the_response_is_stored_without_the_token() -> None:
    found = await outcome(400)
    assert "can't parse entities" in found.answer
    assert "abcdefg" not in found.answer


@pytest.mark.parametrize(("attempts", "expected"), [(0, "retried"), (28, "retried"), (29, "quarantined")])
def test_a_failure_without_a_reason_is_tried_thirty_times(attempts: int, expected: str) -> None:
    assert result_of(failure_of(False), attempts) == expected

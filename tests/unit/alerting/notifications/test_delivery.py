import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.notifications.delivery import RetryPolicy, SendResult, delivery_result, retry_after_seconds
from tests.support.alerting.episode_builders import a_delivery

POLICY = RetryPolicy()
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "delivered"),
        (202, "delivered"),
        (301, "quarantined"),
        (400, "quarantined"),
        (401, "quarantined"),
        (403, "quarantined"),
        (404, "quarantined"),
        (413, "quarantined"),
        (408, "retried"),
        (429, "retried"),
        (500, "retried"),
        (503, "retried"),
        (None, "retried"),
    ],
)
def test_each_status_has_its_outcome(status: int | None, outcome: str) -> None:
    result = delivery_result(a_delivery(), SendResult(status, "so"), now_ms=0, policy=POLICY, rng=random.Random(1))
    assert result.outcome == outcome


@given(st.integers(0, 10_000), st.integers(0, 2**32))
def test_the_wait_grows_with_full_jitter_up_to_five_minutes(attempts: int, seed: int) -> None:
    result = delivery_result(
        a_delivery(attempts=attempts), SendResult(503), now_ms=7, policy=POLICY, rng=random.Random(seed)
    )
    assert 7 <= result.next_attempt_ms <= 7 + min(300, 2**attempts) * 1_000


def test_status_429_pauses_the_whole_receiver_for_a_minute() -> None:
    result = delivery_result(a_delivery(), SendResult(429), now_ms=0, policy=POLICY, rng=random.Random(1))
    assert result.next_attempt_ms >= 60_000
    assert result.pauses_receiver


def test_retry_after_is_obeyed_up_to_a_limit() -> None:
    def wait(seconds: float) -> int:
        outcome = SendResult(503, retry_after_seconds=seconds)
        return delivery_result(a_delivery(), outcome, now_ms=0, policy=POLICY, rng=random.Random(1)).next_attempt_ms

    assert wait(900) == 900_000
    assert wait(10**9) == 3_600_000


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        ("Mon, 02 Mar 2026 10:01:30 GMT", 90.0),
        ("Mon, 02 Mar 2026 09:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
    ],
)
def test_retry_after_is_read_in_both_its_forms(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, now=NOW) == seconds


def test_a_delivery_undelivered_for_a_week_is_quarantined() -> None:
    week = 7 * 86_400 * 1_000
    away = SendResult(None, "connection refused")
    for now_ms, outcome in ((week, "retried"), (week + 1, "quarantined")):
        result = delivery_result(a_delivery(decided_ms=0), away, now_ms=now_ms, policy=POLICY, rng=random.Random(1))
        assert result.outcome == outcome
    assert result.reason == "not delivered within 7 days; last no answer: connection refused"
    taken = delivery_result(
        a_delivery(decided_ms=0), SendResult(202), now_ms=2 * week, policy=POLICY, rng=random.Random(1)
    )
    assert taken.outcome == "delivered"

"""`brandpulse outbox`, as an operator calls it."""

import json

import pytest
import redis
from typer.testing import CliRunner, Result

from alerting.store.redis_store import RedisAlertStore
from brandpulse.cli.alerting.outbox import app
from brandpulse.ops.doctor.alerting_checks import check_outbox
from tests.support.alerting.episode_builders import a_delivery


@pytest.fixture
def store(
    redis_client: redis.Redis, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> RedisAlertStore:
    """One notification is refused, two are pending."""
    monkeypatch.setenv("BRANDPULSE_REDIS_URL", redis_url)
    monkeypatch.setenv("BRANDPULSE_NAMESPACE", namespace)
    store = RedisAlertStore(redis_client, namespace)
    token = store.acquire("me", lease_ms=60_000)
    assert token is not None
    store.enqueue([a_delivery(), a_delivery("resolved"), a_delivery(key="other")], token=token)
    store.quarantine(a_delivery(attempts=1, answer="refused with 400: no"), token=token)
    return store


def outbox(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_list_shows_pending_and_refused_notifications(store: RedisAlertStore) -> None:
    rows = [json.loads(line) for line in outbox("list", "--json").stdout.splitlines()]
    assert [(row["id"], row["answer"]) for row in rows] == [
        ("k:resolved@pager", "waits: "),
        ("other:triggered@pager", "waits: "),
        ("k:triggered@pager", "refused: refused with 400: no"),
    ]
    assert "refused with 400" in outbox("list").stdout


def test_show_prints_one_notification(store: RedisAlertStore) -> None:
    assert json.loads(outbox("show", "k:triggered@pager").stdout)["notification"]["transition"] == "triggered"
    assert outbox("show", "nothing").exit_code == 1


def test_retry_puts_a_trigger_before_its_resolve(store: RedisAlertStore) -> None:
    assert outbox("retry", "k:triggered@pager").exit_code == 0
    assert [delivery.id for delivery in store.pending()][:2] == ["k:triggered@pager", "k:resolved@pager"]
    assert outbox("retry", "k:triggered@pager").exit_code == 1


def test_a_trigger_whose_resolve_was_delivered_is_not_retried(store: RedisAlertStore) -> None:
    token = store.acquire("me", lease_ms=60_000)
    assert token is not None
    store.mark_delivered(a_delivery("resolved", delivered_ms=1), token=token)
    assert outbox("retry", "k:triggered@pager").exit_code == 1
    assert store.quarantined() != []


def test_retry_all_of_a_receiver_keeps_the_order(store: RedisAlertStore) -> None:
    token = store.acquire("me", lease_ms=60_000)
    assert token is not None
    store.quarantine(a_delivery("resolved", decided_ms=1), token=token)
    assert "0 pending again" in outbox("retry", "--all", "--receiver", "chat").stdout
    assert "2 pending again; 0 stay refused" in outbox("retry", "--all", "--receiver", "pager").stdout
    assert [one.id for one in store.pending()][:2] == ["k:triggered@pager", "k:resolved@pager"]
    assert store.quarantined() == []


@pytest.mark.parametrize("arguments", [(), ("--all", "k:triggered@pager"), ("--receiver", "pager")])
def test_retry_without_an_id_or_all_is_wrong_usage(arguments: tuple[str, ...]) -> None:
    assert outbox("retry", *arguments).exit_code == 2


def test_doctor_counts_refused_notifications_by_receiver(store: RedisAlertStore) -> None:
    [finding] = check_outbox()
    assert (finding.subject, finding.warning) == ("outbox", True)
    assert finding.observation == "pager refused 1 notifications; last answer: refused with 400: no"
    assert "outbox retry --all --receiver pager" in finding.remedy

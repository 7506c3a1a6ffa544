"""`brandpulse silence` and `brandpulse episodes`, as an operator calls them."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import redis
from typer.testing import CliRunner

from alerting.episodes.lifecycle import Memory, OpenEpisode
from alerting.store.alert_store import Commit
from alerting.store.redis_store import RedisAlertStore
from brandpulse.cli.alerting import episodes as episodes_cli
from brandpulse.cli.alerting import silence as silence_cli
from brandpulse.errors import ConfigError, TransientError
from brandpulse.schema.silences import RefusedError, Silence, silence_length
from brandpulse.state.keys import NamespaceKeys
from brandpulse.state.operator_requests import MOST_SILENCES, OperatorRequestStore
from tests.support.alerting.episode_builders import AT, an_episode


@pytest.fixture
def requests(
    redis_client: redis.Redis, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> OperatorRequestStore:
    monkeypatch.setenv("BRANDPULSE_REDIS_URL", redis_url)
    monkeypatch.setenv("BRANDPULSE_NAMESPACE", namespace)
    return OperatorRequestStore(redis_client, namespace)


def silence(*arguments: str) -> str:
    result = CliRunner().invoke(silence_cli.app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def now() -> datetime:
    return datetime.now(UTC)


def test_a_silence_is_added_listed_and_ended(requests: OperatorRequestStore) -> None:
    added = silence(
        "add", "--brand", "Acme Air", "--below", "critical", "--for", "2h", "--why", "planned", "--by", "kim"
    )
    silence_id = added.splitlines()[0]
    [row] = [json.loads(line) for line in silence("list", "--json").splitlines()]
    assert (row["id"], row["brand"], row["below"], row["by"], row["why"]) == (
        silence_id,
        "Acme Air",
        "critical",
        "kim",
        "planned",
    )
    [one] = requests.read(now()).silences
    assert one.ends_at - one.starts_at == timedelta(hours=2)
    assert one.is_active(now())
    assert "active" in silence("list")
    silence("expire", silence_id)
    assert "No silence is active" in silence("list")
    assert "ended" in silence("list", "--all")


def test_a_brand_without_posts_is_silenced_with_a_warning(
    requests: OperatorRequestStore, redis_client: redis.Redis, namespace: str
) -> None:
    redis_client.sadd(NamespaceKeys(namespace).brands, "Acme Air", "Nordbank")
    warning = CliRunner().invoke(silence_cli.app, ["add", "--brand", "Acme Ari", "--for", "2h"]).stderr
    assert "'Acme Ari'" in warning
    assert "Acme Air" in warning
    assert "Nordbank" not in warning
    assert "No post" not in CliRunner().invoke(silence_cli.app, ["add", "--brand", "Acme Air", "--for", "2h"]).stderr
    assert len(requests.read(now()).silences) == 2


def test_a_silence_with_a_later_start_is_not_active_yet(requests: OperatorRequestStore) -> None:
    begins = (now() + timedelta(days=1)).replace(microsecond=0, tzinfo=None)
    silence("add", "--everything", "--from", begins.isoformat(), "--for", "90m")
    [one] = requests.read(now()).silences
    assert not one.is_active(now())
    assert one.is_active(now() + timedelta(days=1, minutes=89))
    assert one.starts_at == begins.replace(tzinfo=UTC)
    assert "later" in silence("list")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--for", "2h"], "--everything"),
        (["--brand", "a"], "--for 2h"),
        (["--brand", "a", "--for", "2h", "--until", "2090-01-01"], "one of --for"),
        (["--brand", "a", "--for", "soon"], "for example 90m, 2h"),
        (["--brand", "a", "--for", "9999d"], "of up to 366 days"),
        (["--brand", "a", "--until", "2020-01-01"], "ends in the past, at 2020-01-01 00:00 UTC"),
        (["--below", "bad", "--for", "2h"], "use one of info, warning, error, critical"),
        (["--brand", "a" * 201, "--for", "2h"], "brand must have at most 200"),
    ],
)
def test_wrong_options_of_silence_add_are_wrong_usage(
    requests: OperatorRequestStore, arguments: list[str], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        silence("add", *arguments)
    assert message in str(caught.value)
    assert requests.read(now()).silences == []


@pytest.mark.parametrize(
    ("text", "length"), [("90m", 90), ("2h", 120), ("1d12h", 36 * 60), ("1w", 7 * 24 * 60), ("1H30M", 90)]
)
def test_a_duration_has_weeks_days_hours_and_minutes(text: str, length: int) -> None:
    assert silence_length(text) == timedelta(minutes=length)


def test_an_unknown_or_ended_silence_cannot_be_ended(requests: OperatorRequestStore) -> None:
    with pytest.raises(RefusedError, match="no silence 'abc'"):
        silence("expire", "abc")
    silence_id = silence("add", "--brand", "a", "--for", "1h").splitlines()[0]
    silence("expire", silence_id)
    with pytest.raises(RefusedError, match="already"):
        silence("expire", silence_id)


def test_silences_are_bounded_and_ended_ones_are_removed(requests: OperatorRequestStore) -> None:
    then = now() - timedelta(days=8)
    for _ in range(MOST_SILENCES):
        requests.add(Silence(brand="a", starts_at=then, ends_at=then + timedelta(hours=1), created_at=then))
    with pytest.raises(RefusedError, match="1000 silences already"):
        silence("add", "--brand", "a", "--for", "1h")
    assert requests.read(now()).silences == []
    silence("add", "--brand", "a", "--for", "1h")


def test_a_firing_episode_is_acknowledged_once(
    requests: OperatorRequestStore, redis_client: redis.Redis, namespace: str
) -> None:
    store = RedisAlertStore(redis_client, namespace)
    token = store.acquire("me", lease_ms=60_000)
    assert token is not None
    store.commit(Commit(None, 1, open={"k": OpenEpisode(an_episode("k"), Memory(told_at=AT))}), token=token)
    runner = CliRunner()
    assert "k" in runner.invoke(episodes_cli.app, ["list"]).stdout
    assert runner.invoke(episodes_cli.app, ["ack", "k", "--by", "kim"]).exit_code == 0
    assert [(one.key, one.by) for one in requests.read(now()).acknowledgements] == [("k", "kim")]
    acknowledged = an_episode("k", acknowledged_at=AT, acknowledged_by="kim")
    store.commit(Commit(1, 2, open={"k": OpenEpisode(acknowledged, Memory(told_at=AT))}), token=token)
    with pytest.raises(RefusedError, match="acknowledged by kim"):
        runner.invoke(episodes_cli.app, ["ack", "k"], catch_exceptions=False)
    with pytest.raises(RefusedError, match="no open episode"):
        runner.invoke(episodes_cli.app, ["ack", "other"], catch_exceptions=False)


def test_an_unreachable_redis_is_reported_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANDPULSE_REDIS_URL", "redis://127.0.0.1:1/0")
    with pytest.raises(TransientError, match="Redis is unreachable"):
        silence("list")

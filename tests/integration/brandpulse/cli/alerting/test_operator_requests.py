"""`brandpulse silence` and `brandpulse episodes`, as a person types them."""

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
from brandpulse.errors import TransientError
from brandpulse.schema.silences import RefusedError, Silence, silence_length
from brandpulse.state.keys import NamespaceKeys
from brandpulse.state.operator_requests import MOST_SILENCES, OperatorRequestStore
from tests.support.alerting.episode_builders import AT, an_episode


@pytest.fixture
def book(
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


def test_a_silence_is_added_listed_and_ended(book: OperatorRequestStore) -> None:
    added = silence(
        "add", "--brand", "Acme Air", "--below", "critical", "--for", "2h", "--why", "planned", "--by", "kim"
    )
    number = added.splitlines()[0]
    [row] = [json.loads(line) for line in silence("list", "--json").splitlines()]
    assert (row["id"], row["brand"], row["below"], row["by"], row["why"]) == (
        number,
        "Acme Air",
        "critical",
        "kim",
        "planned",
    )
    [one] = book.read(now()).silences
    assert one.ends_at - one.starts_at == timedelta(hours=2)
    assert one.is_active(now())
    assert "active" in silence("list")
    silence("expire", number)
    assert "Nothing is silenced" in silence("list")
    assert "ended" in silence("list", "--all")


def test_a_brand_that_no_post_has_named_is_silenced_with_a_warning(
    book: OperatorRequestStore, redis_client: redis.Redis, namespace: str
) -> None:
    redis_client.sadd(NamespaceKeys(namespace).brands, "Acme Air", "Nordbank")
    told = CliRunner().invoke(silence_cli.app, ["add", "--brand", "Acme Ari", "--for", "2h"]).stderr
    assert "'Acme Ari'" in told
    assert "Acme Air" in told
    assert "Nordbank" not in told
    assert "No post" not in CliRunner().invoke(silence_cli.app, ["add", "--brand", "Acme Air", "--for", "2h"]).stderr
    assert len(book.read(now()).silences) == 2


def test_a_maintenance_window_begins_later(book: OperatorRequestStore) -> None:
    begins = (now() + timedelta(days=1)).replace(microsecond=0, tzinfo=None)
    silence("add", "--everything", "--from", begins.isoformat(), "--for", "90m")
    [one] = book.read(now()).silences
    assert not one.is_active(now())
    assert one.is_active(now() + timedelta(days=1, minutes=89))
    assert one.starts_at == begins.replace(tzinfo=UTC)
    assert "later" in silence("list")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--for", "2h"], "--everything"),
        (["--brand", "a"], "--for 2h"),
        (["--brand", "a", "--for", "2h", "--until", "2090-01-01"], "one way"),
        (["--brand", "a", "--for", "soon"], "right ones: 90m, 2h"),
        (["--brand", "a", "--for", "9999d"], "of up to 366 days"),
        (["--brand", "a", "--until", "2020-01-01"], "ended at 2020-01-01 00:00 UTC already"),
        (["--below", "bad", "--for", "2h"], "right ones: info, warning, error, critical"),
        (["--brand", "a" * 201, "--for", "2h"], "brand must have at most 200"),
    ],
)
def test_what_makes_no_silence_is_said(book: OperatorRequestStore, arguments: list[str], told: str) -> None:
    with pytest.raises(RefusedError) as caught:
        silence("add", *arguments)
    assert told in str(caught.value)
    assert book.read(now()).silences == []


@pytest.mark.parametrize(
    ("text", "length"), [("90m", 90), ("2h", 120), ("1d12h", 36 * 60), ("1w", 7 * 24 * 60), ("1H30M", 90)]
)
def test_a_duration_is_what_people_write(text: str, length: int) -> None:
    assert silence_length(text) == timedelta(minutes=length)


def test_ending_what_is_not_there_or_over_is_refused(book: OperatorRequestStore) -> None:
    with pytest.raises(RefusedError, match="no silence 'abc'"):
        silence("expire", "abc")
    number = silence("add", "--brand", "a", "--for", "1h").splitlines()[0]
    silence("expire", number)
    with pytest.raises(RefusedError, match="already"):
        silence("expire", number)


def test_silences_are_bounded_and_old_ones_forgotten(book: OperatorRequestStore) -> None:
    then = now() - timedelta(days=8)
    for _ in range(MOST_SILENCES):
        book.add(Silence(brand="a", starts_at=then, ends_at=then + timedelta(hours=1), created_at=then))
    with pytest.raises(RefusedError, match="1000 silences already"):
        silence("add", "--brand", "a", "--for", "1h")
    assert book.read(now()).silences == []
    silence("add", "--brand", "a", "--for", "1h")


def test_an_open_episode_is_taken_on_once(
    book: OperatorRequestStore, redis_client: redis.Redis, namespace: str
) -> None:
    store = RedisAlertStore(redis_client, namespace)
    token = store.acquire("me", lease_ms=60_000)
    assert token is not None
    store.commit(Commit(None, 1, open={"k": OpenEpisode(an_episode("k"), Memory(told_at=AT))}), token=token)
    runner = CliRunner()
    assert "k" in runner.invoke(episodes_cli.app, ["list"]).stdout
    assert runner.invoke(episodes_cli.app, ["ack", "k", "--by", "kim"]).exit_code == 0
    assert [(one.key, one.by) for one in book.read(now()).acknowledgements] == [("k", "kim")]
    taken = an_episode("k", acknowledged_at=AT, acknowledged_by="kim")
    store.commit(Commit(1, 2, open={"k": OpenEpisode(taken, Memory(told_at=AT))}), token=token)
    with pytest.raises(RefusedError, match="acknowledged by kim"):
        runner.invoke(episodes_cli.app, ["ack", "k"], catch_exceptions=False)
    with pytest.raises(RefusedError, match="no open episode"):
        runner.invoke(episodes_cli.app, ["ack", "other"], catch_exceptions=False)


def test_a_store_that_is_away_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANDPULSE_REDIS_URL", "redis://127.0.0.1:1/0")
    with pytest.raises(TransientError, match="Redis is unreachable"):
        silence("list")

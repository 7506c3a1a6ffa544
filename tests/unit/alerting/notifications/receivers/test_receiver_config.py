"""The kinds of receivers in a file, and what is built from them."""

from pathlib import Path

import aiohttp
import pytest

from alerting.notifications.links import link_for
from alerting.notifications.receivers.alertmanager import Alertmanager
from alerting.notifications.receivers.factory import build_receivers
from alerting.notifications.receivers.receivers_file import load_receivers
from brandpulse.devstack.mock_receiver import Fault, MockReceiver
from brandpulse.errors import ConfigError
from tests.support.alerting.episode_builders import AT, a_notification

ALL = """receivers:
- {name: pager, kind: pagerduty, routing_key_env: KEY}
- {name: hook, kind: webhook, url: "http://127.0.0.1:1/"}
- {name: am, kind: alertmanager, url: "http://127.0.0.1:1", labels: {team: brand}, token_env: KEY}
- {name: chat, kind: slack, url_env: HOOK, min_severity: error}
- {name: mail, kind: email, host: 127.0.0.1, port: 25, tls: none, sender: a@b.example, to: [c@d.example]}
- {name: any, kind: apprise, url_env: ANY}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "receivers.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "0" * 32)
    monkeypatch.setenv("HOOK", "http://127.0.0.1:1/services/T/B/sssecret")
    monkeypatch.setenv("ANY", "json://127.0.0.1:1/sssecret")


async def test_each_kind_of_the_file_becomes_a_receiver(tmp_path: Path) -> None:
    configs = load_receivers(written(tmp_path, ALL))
    async with aiohttp.ClientSession() as session:
        built = build_receivers(configs, topic=None, session=session, timeout_seconds=1)
    assert [(one.name, one.min_severity) for one in built] == [
        ("pager", "info"),
        ("hook", "info"),
        ("am", "info"),
        ("chat", "error"),
        ("mail", "info"),
        ("any", "info"),
    ]
    assert "sssecret" not in repr(configs)


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        (
            "{name: a, kind: slack, url: 'https://hooks.example/sssecret'}",
            r"0.url_env \(receiver 'a'\): is missing",
        ),
        ("{name: a, kind: slack, url_env: UNSET}", "variable UNSET, which is not set"),
        ("{name: a, kind: alertmanager, url: 'http://x', labels: {'a b': c}}", "labels"),
        ("{name: a, kind: alertmanager, url: 'http://x', resend_seconds: 0}", "0.resend_seconds"),
        ("{name: a, kind: email, host: h, sender: a@b.c, to: []}", r"0.to \(receiver 'a'\)"),
        ("{name: a, kind: email, host: h, sender: nobody, to: [a@b.c]}", r"0.sender.*got 'nobody'"),
        ("{name: a, kind: email, host: h, sender: a@b.c, to: [a@b.c], username: u}", "go together"),
        (
            "{name: a, kind: email, host: h, tls: none, sender: a@b.c, to: [a@b.c], username: u, password_env: KEY}",
            "the password unencrypted",
        ),
        ("{name: a, kind: pigeon}", "alertmanager.*slack.*email.*apprise"),
    ],
)
def test_an_invalid_entry_is_reported_with_its_line_without_secrets(tmp_path: Path, entry: str, complaint: str) -> None:
    path = written(tmp_path, f"receivers:\n- {entry}\n")
    with pytest.raises(ConfigError, match=complaint) as caught:
        load_receivers(path)
    assert "sssecret" not in str(caught.value)


async def test_slack_gets_a_message_and_its_429_is_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with MockReceiver([Fault(status=429, retry_after="7")]) as mock, aiohttp.ClientSession() as session:
        monkeypatch.setenv("HOOK", f"{mock.url}/webhook/slack")
        [chat] = load_receivers(written(tmp_path, "receivers: [{name: chat, kind: slack, url_env: HOOK}]"))
        [slack] = build_receivers([chat], topic=None, session=session, timeout_seconds=1)
        limited = await slack.deliver(a_notification())
        assert (limited.status, limited.retry_after_seconds) == (429, 7)
        assert (await slack.deliver(a_notification())).status == 202
        assert mock.events[0]["body"]["text"] == "[critical] Acme Air fires: negative share"


async def test_alertmanager_resends_equal_the_first_alert() -> None:
    async with MockReceiver() as mock, aiohttp.ClientSession() as session:
        receiver = Alertmanager(
            "am",
            url=f"{mock.url}/webhook/am",
            token=None,
            labels={},
            resend_seconds=60,
            min_severity="info",
            session=session,
            timeout_seconds=2,
            now=lambda: AT,
            link="http://page/?brand={brand}&at={at}",
        )
        first = a_notification()
        link = link_for("http://page/?brand={brand}&at={at}", first.episode)
        await receiver.deliver(first.model_copy(update={"link": link}))
        await receiver.resend([first.episode])
        await receiver.deliver(a_notification("updated").model_copy(update={"link": link}))
    one, again, updated = (event["body"][-1] for event in mock.events)
    assert one["annotations"] == again["annotations"] == updated["annotations"]
    assert one["generatorURL"] == again["generatorURL"] == link
    assert one["annotations"]["summary"] == "Acme Air: 30 of 50 people negative (60%), usually 20% (negative share)"

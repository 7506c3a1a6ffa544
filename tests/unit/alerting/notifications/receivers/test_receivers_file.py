from pathlib import Path

import pytest

from alerting.notifications.receivers.receiver_config import PagerDutyConfig
from alerting.notifications.receivers.receivers_file import EXAMPLE, load_receivers, secret_of
from brandpulse.errors import ConfigError

ENVIRONMENT = {"PAGERDUTY_ROUTING_KEY": "a" * 32, "CHAT_SECRET": "s3cret"}


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "receivers.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_example_is_valid_with_secrets_from_the_environment(tmp_path: Path) -> None:
    pager, chat = load_receivers(written(tmp_path, EXAMPLE), ENVIRONMENT)
    assert (pager.name, pager.min_severity) == ("on-call", "error")
    assert isinstance(pager, PagerDutyConfig)
    assert str(pager.url) == "https://events.pagerduty.com/v2/enqueue"
    secret = secret_of(pager, ENVIRONMENT)
    assert secret is not None
    assert secret.get_secret_value() == "a" * 32
    assert "aaaa" not in repr(secret)
    assert chat.kind == "webhook"


PAGER = "name: p, kind: pagerduty, routing_key: sssssecret"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("receivers: [{name: p, kind: pagerduty}]", r"0 \(receiver 'p'\): needs exactly one of routing_key and"),
        (f"receivers: [{{{PAGER}, routing_key_env: X}}]", r"needs exactly one of routing_key and"),
        (f"receivers: [{{{PAGER}, min_severity: loud}}]", r"0.min_severity \(receiver 'p'\).*got 'loud'"),
        (f"receivers: [{{{PAGER}, url: 'ftp://x'}}]", r"0.url \(receiver 'p'\).*got 'ftp://x'"),
        (f"receivers: [{{{PAGER}, colour: red}}]", r"0.colour \(receiver 'p'\): is not known here"),
        ("receivers: [{name: p, kind: pigeon}]", r"0 \(receiver 'p'\).*pigeon"),
        ("receivers: [{name: 'a b', kind: webhook, url: 'http://x'}]", r"0.name.*got 'a b'"),
        ("receivers: [{name: kafka, kind: webhook, url: 'http://x'}]", r"two receivers have the name 'kafka'"),
        (f"receivers: [{{{PAGER}}}, {{{PAGER}}}]", r"two receivers have the name 'p'"),
        ("receivers: [{name: p, kind: pagerduty, routing_key_env: UNSET}]", r"variable UNSET, which is not set"),
        ("receivers: [p", r"is not YAML"),
        ("receivers: 5", r"the file: must be a list, got '5'"),
    ],
)
def test_an_invalid_file_is_reported_by_field_without_secrets(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as caught:
        load_receivers(written(tmp_path, text), ENVIRONMENT)
    assert "sssssecret" not in str(caught.value)


def test_a_missing_file_is_reported_with_its_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="BRANDPULSE_RECEIVERS_FILE"):
        load_receivers(tmp_path / "none.yaml", ENVIRONMENT)

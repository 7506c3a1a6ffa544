from pathlib import Path

import pytest

from brandpulse.errors import ConfigError
from ingest.sources.sources_file import load_sources
from ingest.webhook.settings import EXAMPLE, load_webhook

SECRET = "a secret of the helpdesk"
ENVIRONMENT = {
    "A": SECRET,
    "B": "another secret of it",
    "SHORT": "short",
    "W": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}


def a_file(folder: Path, text: str) -> Path:
    path = folder / "sources.yaml"
    path.write_text(text)
    return path


def one(sender: str) -> str:
    return f"webhook:\n  senders:\n    - {{{sender}}}\n"


def test_the_example_is_read_with_defaults(tmp_path: Path) -> None:
    path = a_file(tmp_path, EXAMPLE)
    found = load_webhook(path, {"HELPDESK_SECRET": SECRET})
    assert found is not None
    assert (found.settings.host, found.settings.port, found.settings.max_posts) == ("127.0.0.1", 9_104, 1_000)
    assert found.secrets[0][0].get_secret_value() == SECRET
    assert SECRET not in repr(found)
    assert load_sources(path) == []


def test_file_without_webhook_has_no_receiver(tmp_path: Path) -> None:
    path = a_file(tmp_path, "sources:\n  - {name: bluesky, kind: bluesky}\n")
    assert load_webhook(path) is None
    assert len(load_sources(path)) == 1


def test_two_secrets_are_read(tmp_path: Path) -> None:
    found = load_webhook(a_file(tmp_path, one("name: a, kind: github, secret_env: [A, B]")), ENVIRONMENT)
    assert found is not None
    assert [secret.get_secret_value() for secret in found.secrets[0]] == [SECRET, "another secret of it"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("webhook:", r"sources\.yaml:1: webhook: .*must be fields"),
        ("webhook: {port: 1}", r"webhook\.senders: is missing|senders: is missing"),
        ("webhook: {senders: []}", "senders: needs at least 1 entry"),
        ("webhook: {senders: !!set {a}}", r"yaml:1: senders\.0: must be fields"),
        (one("name: A b, kind: github, secret_env: A"), r"yaml:3: senders\.0\.name \(sender 'A b'\)"),
        (
            one("name: a, kind: hmac, secret_env: A"),
            "kind .*must be 'bearer', 'standard-webhooks', 'github' or 'stripe'",
        ),
        (one("name: a, kind: github"), "secret_env .*is missing"),
        (one("name: a, kind: github, secret_env: [A, B, C]"), "secret_env .*may have at most 2 entries"),
        (one("name: a, kind: github, secret_env: a secret-"), "secret_env.*must match the pattern"),
        (
            one("name: a, kind: github, secret_env: UNSET"),
            r"yaml:3: sender 'a': the environment variable UNSET is not set",
        ),
        (one("name: a, kind: github, secret_env: SHORT"), "SHORT must hold at least 16 characters"),
        (one("name: a, kind: standard-webhooks, secret_env: A"), "variable A must be `whsec_` and base64"),
        (
            one("name: a, kind: github, secret_env: A}\n    - {name: a, kind: github, secret_env: B"),
            "yaml:4: .*has this name",
        ),
        (
            one("name: a, kind: github, secret_env: A}\n    - {name: b, kind: bearer, secret_env: A"),
            "secret of sender 'a', too",
        ),
    ],
)
def test_wrong_settings_are_named_with_line_and_sender(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        load_webhook(a_file(tmp_path, text), ENVIRONMENT)
    assert "secret_env: HELPDESK_SECRET" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_secret_in_the_file_is_not_repeated_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_webhook(a_file(tmp_path, one(f"name: a, kind: github, secret_env: {SECRET}")), ENVIRONMENT)
    assert SECRET not in str(caught.value)

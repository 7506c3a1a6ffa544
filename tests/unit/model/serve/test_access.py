"""Access control."""

from collections.abc import Iterator

import httpx
import pytest

from brandpulse.config.settings import load_settings
from brandpulse.errors import ConfigError
from model.serve.request_guard import GuardRules
from model.serve.service import Service
from model.serve.settings import ServeSettings
from tests.support.model.serve_builders import WatchedScorer, serving, serving_keywords

TOKEN, METRICS = "t" * 16, "m" * 16
RIGHT = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def guarded() -> Iterator[httpx.Client]:
    with serving(Service(scorer=WatchedScorer()), GuardRules(token=TOKEN, metrics_token=METRICS)) as client:
        yield client


@pytest.fixture(scope="module")
def unguarded() -> Iterator[httpx.Client]:
    with serving_keywords() as client:
        yield client


@pytest.mark.parametrize(
    ("path", "shown", "status"),
    [
        ("/v1/model", None, 401),
        ("/v1/model", f"Bearer {TOKEN}", 200),
        ("/v1/model", f"bearer  {TOKEN}", 200),
        ("/v1/model", TOKEN, 401),
        ("/v1/model", f"Basic {TOKEN}", 401),
        ("/v1/model", f"Bearer {TOKEN[:-1]}", 401),
        ("/v1/model", f"Bearer {TOKEN}x", 401),
        ("/v1/model", "Bearer", 401),
        ("/v1/model", "Bearer \xe9", 401),
        ("/v1/model", f"Bearer {METRICS}", 401),
        ("/metrics", None, 401),
        ("/metrics", f"Bearer {TOKEN}", 200),
        ("/metrics", f"Bearer {METRICS}", 200),
        ("/nothing", None, 401),
        ("/v1/model/", None, 401),
        ("/healthz", None, 200),
        ("/readyz", None, 200),
        ("/openapi.json", None, 200),
        ("/", None, 200),
    ],
)
def test_a_wrong_token_is_401(guarded: httpx.Client, path: str, shown: str | None, status: int) -> None:
    headers = [] if shown is None else [(b"Authorization", shown.encode("latin-1"))]

    answer = guarded.get(path, headers=headers)

    assert answer.status_code == status
    if status == 401:
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.json()["detail"].startswith("Send the header Authorization: Bearer TOKEN")
        assert TOKEN not in answer.text


def test_only_the_token_allows_scoring(guarded: httpx.Client) -> None:
    for path, body in (("/v1/score", {"text": "great"}), ("/v1/tickets", {"subject": "great"})):
        assert guarded.post(path, json=body).status_code == 401
        assert guarded.post(path, json=body, headers=RIGHT).status_code == 200


def test_a_body_without_the_token_is_never_parsed(guarded: httpx.Client) -> None:
    assert guarded.post("/v1/score", content=b"{", headers={"Content-Type": "application/json"}).status_code == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("[::1]:8080", 200),
        ("[::1]", 200),
        ("evil.example", 421),
        ("evil.example:8080", 421),
        ("127.0.0.1.evil.example", 421),
        ("10.0.0.1", 421),
        ("", 421),
    ],
)
def test_without_a_token_only_loopback_names_are_allowed(unguarded: httpx.Client, host: str, status: int) -> None:
    for path in ("/", "/v1/model"):
        assert unguarded.get(path, headers={"Host": host}).status_code == status


def test_with_a_token_any_host_name_is_allowed(guarded: httpx.Client) -> None:
    assert guarded.get("/v1/model", headers={**RIGHT, "Host": "model.example"}).status_code == 200


def test_every_response_has_security_headers(guarded: httpx.Client) -> None:
    for path in ("/", "/v1/model", "/nothing", "/healthz"):
        headers = guarded.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"HOST": "0.0.0.0"}, "BRANDPULSE_SERVE_TOKEN: .*BRANDPULSE_SERVE_HOST=0.0.0.0"),
        ({"HOST": "::"}, "BRANDPULSE_SERVE_TOKEN"),
        ({"TOKEN": "short"}, "BRANDPULSE_SERVE_TOKEN"),
        ({"PORT": "70000"}, "BRANDPULSE_SERVE_PORT.*70000"),
        ({"MAX_TEXTS": "500", "MAX_WAITING_TEXTS": "100"}, "BRANDPULSE_SERVE_MAX_TEXTS.*MAX_WAITING_TEXTS=100"),
        ({"MAX_BATCH_TEXTS": "0"}, "BRANDPULSE_SERVE_MAX_BATCH_TEXTS.*'0'"),
    ],
)
def test_an_invalid_setting_stops_the_start_and_is_named(
    monkeypatch: pytest.MonkeyPatch, env: dict[str, str], words: str
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(f"BRANDPULSE_SERVE_{name}", value)

    with pytest.raises(ConfigError, match=words) as refused:
        load_settings(ServeSettings)
    assert "short" not in str(refused.value)


def test_a_token_allows_public_hosts_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANDPULSE_SERVE_HOST", "0.0.0.0")
    monkeypatch.setenv("BRANDPULSE_SERVE_TOKEN", TOKEN)

    settings = load_settings(ServeSettings)

    assert settings.token is not None
    assert settings.token.get_secret_value() == TOKEN
    assert TOKEN not in repr(settings)

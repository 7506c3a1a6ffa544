import pytest
from pydantic import SecretStr

from brandpulse.errors import ConfigError
from brandpulse.runtime.http_security import has_token, is_loopback, metrics_token


@pytest.mark.parametrize(
    ("host", "only_here"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("127.9.9.9", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.org", False),
    ],
)
def test_loopback_hosts_are_recognized(host: str, only_here: bool) -> None:
    assert is_loopback(host) is only_here


def test_token_is_required_beyond_loopback() -> None:
    assert metrics_token("127.0.0.1", None, variable="BRANDPULSE_WORKER_HOST") is None
    with pytest.raises(ConfigError, match=r"BRANDPULSE_METRICS_TOKEN.*BRANDPULSE_WORKER_HOST=0\.0\.0\.0"):
        metrics_token("0.0.0.0", None, variable="BRANDPULSE_WORKER_HOST")
    assert metrics_token("0.0.0.0", SecretStr("s" * 16), variable="X") == "s" * 16


@pytest.mark.parametrize(
    ("header", "passes"),
    [("Bearer secret", True), ("bearer secret", True), ("Bearer wrong", False), ("secret", False), ("", False)],
)
def test_only_the_right_token_passes(header: str, passes: bool) -> None:
    assert has_token(header, "secret") is passes
    assert has_token(header, None)

"""Ports bind to loopback unless told, and beyond it they want a token."""

import hmac
import ipaddress

from pydantic import SecretStr

from brandpulse.errors import ConfigError


def is_loopback(host: str) -> bool:
    """Whether *host* (a name or an address, no port) can only be reached from this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def metrics_token(host: str, token: SecretStr | None, *, variable: str) -> str | None:
    """The token that /metrics wants, or None where only this machine can ask.

    Metrics name brands and how they fare. Raises ConfigError when other machines can reach *host*, the value of
    *variable*, and there is no token.
    """
    if token is None and not is_loopback(host):
        raise ConfigError(
            f"BRANDPULSE_METRICS_TOKEN is required, because other machines can reach {variable}={host}. "
            "Set both here and as Prometheus' credentials, for example BRANDPULSE_METRICS_TOKEN=$(openssl rand -hex 24)"
        )
    return None if token is None else token.get_secret_value()


def shows_token(authorization: str, token: str | None) -> bool:
    """Whether the header's value is `Bearer` and the wanted *token*; always, where none is wanted."""
    if token is None:
        return True
    scheme, _, shown = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(), token.encode())

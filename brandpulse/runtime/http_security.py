"""Rules for every HTTP port: loopback unless configured otherwise, a token beyond it, headers for browsers."""

import hmac
import ipaddress

from pydantic import SecretStr

from brandpulse.errors import ConfigError

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""On every answer of the page and of `model serve`: a browser loads only their own files and shows them in no frame."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach *host* (a name or an address, no port)."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def metrics_token(host: str, token: SecretStr | None, *, variable: str) -> str | None:
    """The token that /metrics requires; None where only this machine can reach it.

    Metrics name brands and their sentiment. Raises ConfigError if other machines can reach *host*, the value of
    *variable*, and there is no token.
    """
    if token is None and not is_loopback(host):
        raise ConfigError(
            f"BRANDPULSE_METRICS_TOKEN is required, because other machines can reach {variable}={host}. "
            "Set both here and as Prometheus' credentials, for example BRANDPULSE_METRICS_TOKEN=$(openssl rand -hex 24)"
        )
    return None if token is None else token.get_secret_value()


def has_token(authorization: str, token: str | None) -> bool:
    """Whether the header's value is `Bearer` and *token*; always true without one."""
    if token is None:
        return True
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())

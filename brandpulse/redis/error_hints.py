"""Redis's errors, with the setting or the right that mends them."""

import contextlib
from collections.abc import Iterator

import redis

from brandpulse.errors import BrandpulseError, ConfigError, StateError, TransientError
from brandpulse.runtime.tls import certificate_remedy

OUTAGES = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.BusyLoadingError,
    # A cluster without a majority, or a slot between two primaries. The first is not a RedisError.
    redis.exceptions.RedisClusterException,
    redis.exceptions.ClusterDownError,
    redis.exceptions.TryAgainError,
    # Until an administrator grants it.
    redis.exceptions.NoPermissionError,
)
"""Errors that may pass: try again."""
DOCS = "docs/reference/access-rights.md"
_CERTIFICATE = "BRANDPULSE_REDIS_CERT_FILE and BRANDPULSE_REDIS_KEY_FILE"
_NO_TLS = "the server does not use TLS on that port: begin BRANDPULSE_REDIS_URL with redis://, or name another port"
_TLS_REMEDIES = (
    ("certificate required", f"the server requires a client certificate: set {_CERTIFICATE}"),
    # The connection may close before its reason was read.
    (
        "EOF occurred in violation of protocol",
        f"the server closed the connection. If it requires a client certificate, set {_CERTIFICATE}",
    ),
    ("alert", f"set {_CERTIFICATE} to a certificate that the server trusts"),
    ("WRONG_VERSION_NUMBER", _NO_TLS),
    ("record layer failure", _NO_TLS),
)
"""Part of OpenSSL's message -> what to do."""


def redis_fault(error: Exception) -> BrandpulseError:
    """*error* of redis-py as ConfigError with the setting that mends it, or as TransientError where waiting may."""
    text = str(error)
    if isinstance(error, redis.exceptions.AuthenticationError) or "WRONGPASS" in text or "NOAUTH" in text:
        return ConfigError(
            f"Redis refused the login ({text}). Check BRANDPULSE_REDIS_USERNAME and BRANDPULSE_REDIS_PASSWORD, "
            "or user and password in BRANDPULSE_REDIS_URL"
        )
    if isinstance(error, redis.exceptions.NoPermissionError) or "NOPERM" in text or "ACL failure" in text:
        return TransientError(
            f"Redis denied access ({text}). Give BRANDPULSE_REDIS_USERNAME the rules of deploy/redis-users.acl ({DOCS})"
        )
    if "certificate verify failed" in text:
        reason = text.partition("certificate verify failed:")[2].partition("(")[0].strip()
        remedy = certificate_remedy(reason, ca_file="BRANDPULSE_REDIS_CA_FILE")
        return ConfigError(f"TLS handshake with Redis failed: {remedy}")
    for mark, remedy in _TLS_REMEDIES:
        if mark in text and "ssl" in text.casefold():
            return ConfigError(f"TLS handshake with Redis failed ({text}): {remedy}")
    if isinstance(error, OUTAGES):
        return TransientError(f"Redis is unreachable: {text}")
    return TransientError(f"Redis refuses: {text}")


def redis_outage(error: Exception) -> TransientError:
    """The same for a running service, which tries again whatever the reason."""
    return TransientError(str(redis_fault(error)))


@contextlib.contextmanager
def reaching_redis() -> Iterator[None]:
    """Raises errors that may pass as TransientError with their reason."""
    try:
        yield
    except OUTAGES as error:
        raise redis_outage(error) from error


def state_fault(error: redis.ResponseError) -> StateError | TransientError | None:
    """*error* of a write or a script, if the server is full or read-only or a value has another shape; else None."""
    if isinstance(error, redis.exceptions.OutOfMemoryError):
        return TransientError(f"Redis is full (maxmemory) and accepts no more data: {error}")
    if isinstance(error, redis.exceptions.ReadOnlyError):
        return TransientError(f"Redis is a read-only replica: {error}")
    text = str(error)
    if text.startswith("STATE") or "WRONGTYPE" in text or "wrong type of key" in text:
        return StateError(f"a stored value has an unexpected shape: {text}")
    return None


@contextlib.contextmanager
def reaching_state(*, retry_refusals: bool = False) -> Iterator[None]:
    """`reaching_redis`, and `state_fault` where it knows the error.

    Other errors of Redis pass unchanged, or with *retry_refusals* as TransientError.
    """
    try:
        with reaching_redis():
            yield
    except redis.ResponseError as error:
        if (fault := state_fault(error)) is not None:
            raise fault from error
        if retry_refusals:
            raise redis_outage(error) from error
        raise

"""Verifies who sent a request: a bearer token, or a signature over the raw body. Pure; compares in constant time.

Each check returns None if the request is genuine, else the reason for the log. The sender never receives the reason.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

SenderKind = Literal["bearer", "standard-webhooks", "github", "stripe"]
CLOCK_SECONDS = 300.0
"""How far a signed time may be from the clock, in both directions."""
STANDARD_PREFIX = "whsec_"
_WRONG = "the signature does not match"
_SECONDS = re.compile(r"[0-9]{1,12}")


class Authenticator(Protocol):
    """Verifies requests with one or two secrets, so that a secret can be replaced without a refused request."""

    def concerns(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with *headers* may be from this sender; checked before its body is read."""
        ...

    def fault(self, headers: Mapping[str, str], body: bytes, now: float) -> str | None:
        """Why the request is not genuine, or None. *now*: seconds since 1970."""
        ...


@dataclass(frozen=True, slots=True)
class Bearer:
    """`Authorization: Bearer TOKEN`."""

    secrets: Sequence[bytes] = field(repr=False)

    def concerns(self, headers: Mapping[str, str]) -> bool:
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and _is_one_of(_raw(token.strip()), self.secrets)

    def fault(self, headers: Mapping[str, str], body: bytes, now: float) -> str | None:
        del body, now
        return None if self.concerns(headers) else "the token is wrong"


@dataclass(frozen=True, slots=True)
class StandardWebhooks:
    """https://www.standardwebhooks.com: `v1,BASE64` of HMAC-SHA256 over `ID.TIMESTAMP.BODY`; several are allowed."""

    secrets: Sequence[bytes] = field(repr=False)

    def concerns(self, headers: Mapping[str, str]) -> bool:
        return "webhook-signature" in headers

    def fault(self, headers: Mapping[str, str], body: bytes, now: float) -> str | None:
        identity, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not identity:
            return "webhook-id is missing"
        if (fault := _clock_fault(timestamp, now)) is not None:
            return fault
        content = b".".join((_raw(identity), timestamp.encode(), body))
        wanted = [base64.b64encode(_hmac(secret, content)) for secret in self.secrets]
        parts = (part.partition(",") for part in headers["webhook-signature"].split(" "))
        given = [_raw(value) for version, _, value in parts if version == "v1"]
        return None if any(_is_one_of(value, wanted) for value in given) else _WRONG


@dataclass(frozen=True, slots=True)
class GitHub:
    """`X-Hub-Signature-256: sha256=HEX` of HMAC-SHA256 over the body. It has no time."""

    secrets: Sequence[bytes] = field(repr=False)

    def concerns(self, headers: Mapping[str, str]) -> bool:
        return "X-Hub-Signature-256" in headers

    def fault(self, headers: Mapping[str, str], body: bytes, now: float) -> str | None:
        del now
        wanted = [b"sha256=" + _hex(_hmac(secret, body)) for secret in self.secrets]
        return None if _is_one_of(_raw(headers["X-Hub-Signature-256"]), wanted) else _WRONG


@dataclass(frozen=True, slots=True)
class Stripe:
    """`Stripe-Signature: t=SECONDS,v1=HEX` of HMAC-SHA256 over `SECONDS.BODY`; several `v1` are allowed."""

    secrets: Sequence[bytes] = field(repr=False)

    def concerns(self, headers: Mapping[str, str]) -> bool:
        return "Stripe-Signature" in headers

    def fault(self, headers: Mapping[str, str], body: bytes, now: float) -> str | None:
        pairs = [part.partition("=")[::2] for part in headers["Stripe-Signature"].split(",")]
        timestamp = next((value for name, value in pairs if name.strip() == "t"), "")
        if (fault := _clock_fault(timestamp, now)) is not None:
            return fault
        content = timestamp.encode() + b"." + body
        wanted = [_hex(_hmac(secret, content)) for secret in self.secrets]
        given = [_raw(value) for name, value in pairs if name.strip() == "v1"]
        return None if any(_is_one_of(value, wanted) for value in given) else _WRONG


AUTHENTICATORS: Mapping[SenderKind, type[Bearer | StandardWebhooks | GitHub | Stripe]] = {
    "bearer": Bearer,
    "standard-webhooks": StandardWebhooks,
    "github": GitHub,
    "stripe": Stripe,
}


def key_of(kind: SenderKind, secret: str) -> bytes:
    """The key that *secret* means for senders of *kind*. Raises ValueError: what it must be."""
    if kind != "standard-webhooks":
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(STANDARD_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(
            "must be `whsec_` and base64, for example from `echo whsec_$(openssl rand -base64 24)`"
        ) from None


def _clock_fault(timestamp: str, now: float) -> str | None:
    if not _SECONDS.fullmatch(timestamp):
        return "the time is missing, or is not in seconds since 1970"
    away = int(timestamp) - now
    if abs(away) > CLOCK_SECONDS:
        return f"the time is {abs(away):.0f} s {'ahead of' if away > 0 else 'behind'} the clock of this machine"
    return None


def _is_one_of(value: bytes, wanted: Sequence[bytes]) -> bool:
    # All are compared, so that the time does not show which secret is right.
    return sum(hmac.compare_digest(value, one) for one in wanted) > 0


def _hmac(secret: bytes, content: bytes) -> bytes:
    return hmac.digest(secret, content, "sha256")


def _hex(digest: bytes) -> bytes:
    return binascii.hexlify(digest)


def _raw(header: str) -> bytes:
    """The bytes of a header's value, as aiohttp decoded it."""
    return header.encode("utf-8", "surrogateescape")

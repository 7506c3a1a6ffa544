"""Signs requests as the documentation of each kind says, and sends raw ones as broken programs do."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

TOKEN, OLD_TOKEN = "token of the forum 2026", "token of the forum 2025"
GITHUB_SECRET, STRIPE_SECRET = "secret of the hub 2026", "secret of the shop 2026"
STANDARD_SECRET, OLD_STANDARD_SECRET = "whsec_" + "Ab12" * 8, "whsec_" + "Cd34" * 8
SECRETS = {
    "FORUM_TOKEN": TOKEN,
    "FORUM_TOKEN_OLD": OLD_TOKEN,
    "DESK_SECRET": STANDARD_SECRET,
    "DESK_SECRET_OLD": OLD_STANDARD_SECRET,
    "HUB_SECRET": GITHUB_SECRET,
    "SHOP_SECRET": STRIPE_SECRET,
}
SOURCES = """webhook:
  host: 127.0.0.1
  port: PORT
  max_body_bytes: 200000
  senders:
    - {name: forum, kind: bearer, secret_env: [FORUM_TOKEN, FORUM_TOKEN_OLD], posts_per_second: 1000}
    - {name: desk, kind: standard-webhooks, secret_env: [DESK_SECRET, DESK_SECRET_OLD]}
    - {name: hub, kind: github, secret_env: HUB_SECRET}
    - {name: shop, kind: stripe, secret_env: SHOP_SECRET}
    - {name: slow, kind: bearer, secret_env: SLOW_TOKEN, posts_per_second: 1}
"""
SLOW_TOKEN = "token of the slow one 2026"
SECRETS |= {"SLOW_TOKEN": SLOW_TOKEN}
JSON = {"Content-Type": "application/json"}
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def a_post(number: object, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"p{number}",
        "text": "acme lost my bag",
        "created_at": "2026-03-02T12:00:00Z",
        "author_id": "kim",
        **changes,
    }


def a_body(*numbers: object) -> bytes:
    return json.dumps([a_post(number) for number in numbers]).encode()


def standard(
    body: bytes, *, identity: str = "msg_1", secrets: Sequence[str] = (STANDARD_SECRET,), away: float = 0
) -> dict[str, str]:
    """Headers of Standard Webhooks, one signature for each of *secrets*, signed *away* seconds from now."""
    at = str(int(time.time() + away))
    content = f"{identity}.{at}.".encode() + body
    digests = [_digest(base64.b64decode(secret.removeprefix("whsec_")), content) for secret in secrets]
    signatures = " ".join("v1," + base64.b64encode(digest).decode() for digest in digests)
    return {"webhook-id": identity, "webhook-timestamp": at, "webhook-signature": signatures}


def github(body: bytes, secret: str = GITHUB_SECRET) -> dict[str, str]:
    return {"X-Hub-Signature-256": "sha256=" + _digest(secret.encode(), body).hex()}


def stripe(body: bytes, secret: str = STRIPE_SECRET, *, away: float = 0) -> dict[str, str]:
    at = str(int(time.time() + away))
    return {"Stripe-Signature": f"t={at},v1={_digest(secret.encode(), at.encode() + b'.' + body).hex()},v0=0"}


def _digest(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).digest()


class RawRequest:
    """A connection on which a test writes what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, path: str) -> None:
        self._reader, self.writer = reader, writer
        self._host, self._path = host, path

    @classmethod
    async def open(cls, url: str) -> "RawRequest":
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        return cls(reader, writer, parts.netloc, parts.path)

    async def head(self, headers: Mapping[str, str]) -> None:
        lines = [f"POST {self._path} HTTP/1.1", f"Host: {self._host}", *(f"{k}: {v}" for k, v in headers.items())]
        await self.write("\r\n".join([*lines, "", ""]).encode())

    async def write(self, content: bytes) -> None:
        self.writer.write(content)
        await self.writer.drain()

    async def status(self) -> int:
        """Of the next answer, which is read to its end."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        await self._reader.readexactly(int(fields.get(b"content-length", b"0")))
        return int(head.split(b" ", 2)[1])

    def abort(self) -> None:
        self.writer.transport.abort()

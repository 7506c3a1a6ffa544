"""What sources that ask a server again and again share: one request with its limits, and what its answer means."""

import email.utils
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from ingest.sources.source import SourceConfigError, SourceContext, SourceError

REQUEST_SECONDS = 30.0
MAX_BYTES = 10 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def json_object(body: bytes) -> dict[str, Any]:
    """The object in *body*; empty if *body* holds no JSON object."""
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def check_web_address(url: str, example: str) -> str:
    """*url* without a slash at its end. Raises ValueError that shows *example*."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no web address, for example {example}")
    return url.rstrip("/")


async def get(
    context: SourceContext, url: str, *, headers: Mapping[str, str] | None = None, max_bytes: int = MAX_BYTES
) -> Answer:
    """The answer of *url* with status 200 or 304. Raises SourceError, SourceConfigError for another."""
    answer = await ask(context, url, headers=headers, max_bytes=max_bytes, read=(200, 304))
    if answer.status not in (200, 304):
        raise refusal(url, answer.status, answer.headers)
    return answer


async def ask(
    context: SourceContext,
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    json: object = None,
    max_bytes: int = MAX_BYTES,
    read: Sequence[int] | None = None,
) -> Answer:
    """The answer of *url* with any status; its body is read for the statuses *read*, by default for all.

    *params* may hold a secret: no error shows them. Raises SourceError, SourceConfigError if there is no whole answer.
    """
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    try:
        async with context.session.request(
            method, url, headers=headers, params=params, json=json, timeout=timeout, max_redirects=5
        ) as answer:
            body = bytearray()
            async for chunk in answer.content.iter_chunked(64 * 1024):
                if read is not None and answer.status not in read:
                    break
                body += chunk
                if len(body) > max_bytes:
                    raise SourceConfigError(f"{url} answers with more than {max_bytes >> 20} MB")
            return Answer(answer.status, answer.headers, bytes(body))
    except aiohttp.InvalidURL as error:
        raise SourceConfigError(f"{url} is no web address") from error
    except aiohttp.TooManyRedirects as error:
        raise SourceError(f"{url} redirects in a circle") from error
    except TimeoutError as error:
        raise SourceError(f"{url} did not answer within {REQUEST_SECONDS:.0f} s") from error
    except aiohttp.ClientError as error:
        raise SourceError(f"cannot reach {url}: {error}; check the network, a proxy, and the address") from error


def refusal(url: str, status: int, headers: Mapping[str, str]) -> SourceError | SourceConfigError:
    """The error for an answer with *status*."""
    if status in (401, 403, 404, 410):
        meaning = {401: "asks for a login", 403: "denies access", 404: "does not exist", 410: "is gone for good"}
        return SourceConfigError(f"{url} {meaning[status]} ({status})")
    return SourceError(f"{url} answered {status}", retry_after_seconds=retry_after(headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The header's seconds, from a number or a date; None without a valid one."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    reset = headers.get("X-RateLimit-Reset") or headers.get("x-rate-limit-reset") or ""
    moment = _http_date(value) or _reset(reset.strip())
    return None if moment is None else max(0.0, moment.timestamp() - time.time())


def _http_date(value: str) -> datetime | None:
    try:
        return email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None


def _reset(value: str) -> datetime | None:
    """The time at which a limit ends: Mastodon gives it in ISO form, X in seconds since 1970."""
    try:
        return datetime.fromtimestamp(int(value), UTC) if value.isdecimal() else datetime.fromisoformat(value)
    except (ValueError, OverflowError, OSError):
        return None

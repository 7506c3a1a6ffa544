"""One POST with a time limit, and its response as a SendResult."""

from collections.abc import Mapping
from datetime import UTC, datetime

import aiohttp

from alerting.notifications.delivery import SendResult, retry_after_seconds

ANSWER_BYTES = 2_000
"""The start of the response body is stored for people to read; it is not parsed."""


async def post(
    session: aiohttp.ClientSession, url: str, body: bytes, *, headers: Mapping[str, str], timeout_seconds: float
) -> SendResult:
    """The result of one POST. No status within *timeout_seconds* is a result without a status."""
    try:
        async with session.post(
            url,
            data=body,
            headers={"Content-Type": "application/json", "User-Agent": "brandpulse"} | dict(headers),
            timeout=aiohttp.ClientTimeout(total=timeout_seconds),
            allow_redirects=False,
        ) as response:
            answer = await response.content.read(ANSWER_BYTES)
            return SendResult(
                response.status,
                answer.decode(errors="replace"),
                retry_after_seconds(response.headers.get("Retry-After"), now=datetime.now(UTC)),
            )
    except TimeoutError:
        return SendResult(None, f"no answer within {timeout_seconds:g} s")
    except (aiohttp.ClientError, OSError) as error:
        return SendResult(None, f"{type(error).__name__}: {error}")

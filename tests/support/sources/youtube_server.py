"""A server of the YouTube Data API v3: comment threads of videos and channels, its quota, and its refusals."""

from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from brandpulse.runtime.lifecycle import listening

KEY = "good-key-of-the-test"


def refusal(status: int, reason: str, message: str = "refused", *details: Mapping[str, str]) -> web.Response:
    errors = [{"message": message, "domain": "youtube.commentThread", "reason": reason}]
    error: dict[str, Any] = {"code": status, "message": message, "errors": errors}
    return web.json_response({"error": error | ({"details": list(details)} if details else {})}, status=status)


@dataclass(slots=True)
class YouTube:
    """Pages are named by the last comment before them, so that a comment written meanwhile moves none."""

    quota: int = 10_000
    threads: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Video or channel -> its threads, oldest first."""
    disabled: set[str] = field(default_factory=set)
    refuse: deque[tuple[int, str]] = field(default_factory=deque)
    """(status, reason) for the next requests."""
    requests: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def add(self, target: str, text: str, *, at: datetime | None = None, **changes: Any) -> str:
        """A new comment; returns its id."""
        made = self.threads.setdefault(target, [])
        number = f"Ug{target}{len(made):05d}"
        moment = (at or datetime.now(UTC)).isoformat(timespec="seconds").replace("+00:00", "Z")
        author = {"authorDisplayName": "@ann", "authorChannelId": {"value": "UCann"}}
        body = {"textOriginal": text, "textDisplay": text, "publishedAt": moment, "updatedAt": moment}
        body |= author | {"videoId": target} | changes
        comment = {"kind": "youtube#comment", "id": number, "snippet": body}
        made.append({"id": number, "snippet": {"videoId": target, "topLevelComment": comment, "totalReplyCount": 0}})
        return number

    @asynccontextmanager
    async def running(self) -> AsyncIterator["YouTube"]:
        app = web.Application()
        app.router.add_get("/youtube/v3/commentThreads", self._list)
        async with listening(app, "127.0.0.1", 0, shutdown_seconds=0.1) as url:
            self.url = url
            yield self

    async def _list(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        self.requests.append(query)
        if query.get("key") != KEY:
            details = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
            return refusal(400, "badRequest", "API key not valid. Please pass a valid API key.", details)
        if len(self.requests) > self.quota:
            said = 'The request cannot be completed because you have exceeded your <a href="/q">quota</a>.'
            return refusal(403, "quotaExceeded", said)
        if self.refuse:
            return refusal(*self.refuse.popleft())
        target = query.get("videoId") or query.get("allThreadsRelatedToChannelId") or ""
        if target in self.disabled:
            return refusal(403, "commentsDisabled", "The video has disabled comments.")
        if target not in self.threads:
            return refusal(404, "videoNotFound", "The video could not be found.")
        newest_first = self.threads[target][::-1]
        numbers, page = [thread["id"] for thread in newest_first], query.get("pageToken", "")
        if page and page not in numbers:
            return refusal(400, "invalidPageToken")
        first, most = numbers.index(page) + 1 if page else 0, int(query.get("maxResults", "20"))
        items = newest_first[first : first + most]
        more = {"nextPageToken": items[-1]["id"]} if first + most < len(numbers) else {}
        return web.json_response({"kind": "youtube#commentThreadListResponse", "items": items, **more})

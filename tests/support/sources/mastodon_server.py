"""A Mastodon server: timelines that page as the real ones, a stream without memory, and the faults of both."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from brandpulse.runtime.lifecycle import listening

TOKEN = "good-token-of-the-test"


@dataclass(slots=True)
class Mastodon:
    """Statuses with hashtags. Numbers are words that sort, since the API does not promise numbers."""

    access: dict[str, str] = field(default_factory=dict)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    refuse: deque[tuple[int, dict[str, str]]] = field(default_factory=deque)
    """(status, headers) for the next requests of timelines."""
    only_deletes: bool = False
    connections: int = 0
    url: str = ""
    _sockets: list[web.WebSocketResponse] = field(default_factory=list)
    _wanted: dict[int, list[dict[str, str]]] = field(default_factory=dict)

    async def add(self, text: str, *tags: str, stream: bool = True, **changes: Any) -> str:
        """A new status; returns its address. Without *stream* it is only in the timelines."""
        number = f"s{len(self.statuses):06d}"
        status = {
            "id": number,
            "uri": f"https://far.example/statuses/{number}",
            "url": f"https://far.example/@ann/{number}",
            "created_at": datetime.now(UTC).isoformat(),
            "content": f"<p>{text}</p>",
            "spoiler_text": "",
            "language": "en",
            "account": {"acct": "ann"},
            "tags": [{"name": tag} for tag in tags],
        } | changes
        self.statuses.append(status)
        if stream and not self.only_deletes:
            for tag in tags:
                await self.send(["hashtag", tag], "update", json.dumps(status))
        return str(status["uri"])

    async def send(self, stream: list[str], event: str, payload: str) -> None:
        for socket in list(self._sockets):
            wanted = self._wanted.get(id(socket), [])
            if not socket.closed and any([one["stream"], one.get("tag")] == stream for one in wanted):
                await socket.send_str(json.dumps({"stream": stream, "event": event, "payload": payload}))

    async def send_raw(self, text: str) -> None:
        for socket in list(self._sockets):
            await socket.send_str(text)

    def cut(self) -> None:
        """End all connections without a close frame."""
        for socket in self._sockets:
            transport = socket._req.transport if socket._req is not None else None
            if transport is not None:
                transport.abort()
        self._sockets.clear()

    @property
    def subscribed(self) -> int:
        return sum(len(self._wanted.get(id(socket), [])) for socket in self._sockets if not socket.closed)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Mastodon"]:
        app = web.Application()
        app.router.add_get("/api/v2/instance", self._instance)
        app.router.add_get("/api/v1/accounts/verify_credentials", self._account)
        app.router.add_get("/api/v1/timelines/tag/{tag}", self._timeline)
        app.router.add_get("/api/v1/streaming", self._stream)
        async with listening(app, "127.0.0.1", 0, shutdown_seconds=0.1) as url:
            self.url = url
            yield self

    async def _instance(self, _: web.Request) -> web.Response:
        urls = {"streaming": self.url.replace("http", "ws", 1)}
        return web.json_response({"configuration": {"urls": urls, "timelines_access": {"hashtag_feeds": self.access}}})

    async def _account(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"error": "The access token is invalid"}, status=401)
        return web.json_response({"acct": "me"})

    async def _timeline(self, request: web.Request) -> web.Response:
        if self.refuse:
            status, headers = self.refuse.popleft()
            return web.json_response({"error": "x"}, status=status, headers=headers)
        tag, lowest = request.match_info["tag"], request.query.get("min_id")
        limit = int(request.query.get("limit", 20))
        found = [one for one in self.statuses if any(each["name"] == tag for each in one["tags"])]
        if lowest is not None:
            # Forwards from min_id, then newest first within the page.
            found = [one for one in found if one["id"] > lowest][:limit]
        return web.json_response(list(reversed(found[-limit:])))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401, headers={"X-Error-Message": "Invalid access token"})
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        self._sockets.append(socket)
        self._wanted[id(socket)] = []
        async for message in socket:
            wanted = json.loads(message.data)
            self._wanted[id(socket)].append(wanted)
            await asyncio.sleep(0)
        return socket

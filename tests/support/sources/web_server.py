"""A web server that answers as a test says, and records what it was asked."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from brandpulse.runtime.lifecycle import listening


@dataclass(frozen=True, slots=True)
class Reply:
    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    """Announce the whole body, send half of it, and end the connection."""


@dataclass(slots=True)
class WebServer:
    """`answer` is called with each request's path and headers."""

    answer: Callable[[str, Mapping[str, str]], Reply]
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["WebServer"]:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._serve)
        async with listening(app, "127.0.0.1", 0, shutdown_seconds=0.1) as url:
            self.url = url
            yield self

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        headers = dict(request.headers)
        self.requests.append((request.path, headers))
        reply = self.answer(request.path, headers)
        if not reply.cut:
            return web.Response(body=reply.body, status=reply.status, headers=dict(reply.headers))
        response = web.StreamResponse(status=reply.status, headers={"Content-Length": str(len(reply.body))})
        await response.prepare(request)
        await response.write(reply.body[: len(reply.body) // 2])
        if request.transport is not None:
            request.transport.abort()
        return response

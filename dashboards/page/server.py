"""The web server of the live page: static files, JSON, and one event stream per open page.

GET /                               the page
GET /api/events                     server-sent events: `snapshot` (overview, episodes, health), `trouble`, `beat`
GET /api/snapshot                   the same as one response, for proxies that block event streams
GET /api/overview                   each brand's last hour and last 24 h of event time
GET /api/brands/{name}/series       ?hours=1..2160 &until=<ms>: bars by sentiment
GET /api/brands/{name}/facets       each facet's share of the brand's people, its baseline, its rules
GET /api/episodes                   open and closed
GET /api/negatives                  ?brand=: newest negative posts
GET /api/health                     partitions, counters, alerter
GET /api/silences                   active and future silences
GET /api/me                         {"name": of the operator or null, "may_act": whether the next two are allowed}
POST /api/silences …                operator actions: see dashboards/page/operator_actions.py
GET /healthz  /readyz               for supervisors; no token needed
"""

import asyncio
import contextlib
import hashlib
import logging
import mimetypes
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec
from aiohttp import web

from brandpulse.errors import BrandpulseError, TransientError
from brandpulse.runtime.clock import wall_ms
from brandpulse.runtime.http_security import SECURITY_HEADERS
from brandpulse.schema.silences import RefusedError
from dashboards.page.access import READ_ONLY, Access
from dashboards.page.event_stream import EventStream
from dashboards.page.operator_actions import acknowledge, add_silence, body_of
from dashboards.page.read_cache import ReadCache
from dashboards.page.redis_reader import PageStore
from dashboards.page.series import MAX_HOURS

logger = logging.getLogger(__name__)
STATIC = Path(__file__).parent / "static"
CONTENT_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
Result = TypeVar("Result")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PageServer:
    """Request handlers over a PageStore. Two threads do the blocking reads; a cache makes 100 pages as cheap as one."""

    def __init__(
        self,
        store: PageStore,
        *,
        token: str | None,
        max_open_pages: int,
        operators: Mapping[str, str] | None = None,
        cache_seconds: float = 1.0,
    ) -> None:
        """*token* can read; *operators* maps each operator's name to a token that can also act."""
        self._store = store
        self._access = Access(token, operators)
        self._max_open_pages = max_open_pages
        self._cache = ReadCache(life_seconds=cache_seconds)
        self._slow_cache = ReadCache(life_seconds=5 * cache_seconds)
        """For reads that take tens of milliseconds and rarely change from one second to the next."""
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="page-store")
        self._files = {path.name: StaticFile(path) for path in STATIC.iterdir() if path.is_file()}
        self._event_stream: EventStream | None = None

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._authorize, self._errors_as_json])
        app.cleanup_ctx.append(self._run_event_stream)
        app.on_shutdown.append(self._close_event_stream)
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/static/{name}", self._static),
                web.get("/api/events", self._events),
                web.get("/api/snapshot", self._get_snapshot),
                web.get("/api/overview", self._get_overview),
                web.get("/api/brands/{name}/series", self._get_series),
                web.get("/api/brands/{name}/facets", self._get_facets),
                web.get("/api/episodes", self._get_episodes),
                web.get("/api/negatives", self._get_negatives),
                web.get("/api/health", self._get_health),
                web.get("/api/me", self._get_me),
                web.get("/api/silences", self._get_silences),
                web.post("/api/silences", self._add_silence),
                web.post("/api/silences/{id}/expire", self._expire_silence),
                web.post("/api/acknowledgements", self._acknowledge),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
            ]
        )
        return app

    @web.middleware
    async def _authorize(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        rejection = self._access.check(request)
        response = await handler(request) if rejection is None else rejection
        if not response.prepared:
            response.headers.update(SECURITY_HEADERS)
        return response

    @web.middleware
    async def _errors_as_json(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _json(describe(error.text or error.reason), status=error.status)
        except RefusedError as error:
            return _json(describe(error), status=409)
        except BrandpulseError as error:
            if not isinstance(error, TransientError):
                logger.warning("stored state unreadable", extra={"path": request.path, "reason": str(error)})
            return _json(describe(error), status=503)

    async def _run_event_stream(self, _: web.Application) -> AsyncIterator[None]:
        self._event_stream = EventStream(self._snapshot, describe)
        task = asyncio.create_task(self._event_stream.run(), name="page-feed")
        task.add_done_callback(_stop_if_failed)
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _close_event_stream(self, _: web.Application) -> None:
        if self._event_stream is not None:
            await self._event_stream.close()

    async def _read(self, key: Hashable, read: Callable[[], object], *, cache: ReadCache | None = None) -> bytes:
        loop = asyncio.get_running_loop()
        return await (cache or self._cache).get(
            key, lambda: loop.run_in_executor(self._threads, lambda: msgspec.json.encode(read()))
        )

    async def _overview(self) -> bytes:
        return await self._read("overview", self._store.overview)

    async def _episodes(self) -> bytes:
        return await self._read("episodes", self._store.episodes)

    async def _health(self) -> bytes:
        return await self._read("health", lambda: self._store.health(now_ms=wall_ms()))

    async def _silences(self) -> bytes:
        return await self._read("silences", lambda: self._store.silences(datetime.now(UTC)))

    async def _snapshot(self) -> bytes:
        parts = await asyncio.gather(self._overview(), self._episodes(), self._health(), self._silences())
        return b'{"overview":%b,"episodes":%b,"health":%b,"silences":%b}' % tuple(parts)

    async def _page(self, request: web.Request) -> web.Response:
        return self._files["index.html"].respond(request)

    async def _static(self, request: web.Request) -> web.Response:
        file = self._files.get(request.match_info["name"])
        if file is None:
            raise web.HTTPNotFound(text="file not found")
        return file.respond(request)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        stream = self._event_stream
        if stream is None or stream.listeners >= self._max_open_pages:
            return _json(describe("too many open pages; try again later"), status=503)
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",  # otherwise nginx buffers the events
                **SECURITY_HEADERS,
            }
        )
        await response.prepare(request)
        with contextlib.suppress(ConnectionResetError):
            await response.write(b"retry: 2000\n\n")
            async with contextlib.aclosing(stream.messages()) as messages:
                async for message in messages:
                    await response.write(message)
        return response

    async def _get_snapshot(self, _: web.Request) -> web.Response:
        return _json(await self._snapshot())

    async def _get_overview(self, _: web.Request) -> web.Response:
        return _json(await self._overview())

    async def _get_episodes(self, _: web.Request) -> web.Response:
        return _json(await self._episodes())

    async def _get_health(self, _: web.Request) -> web.Response:
        return _json(await self._health())

    async def _get_silences(self, _: web.Request) -> web.Response:
        return _json(await self._silences())

    async def _add_silence(self, request: web.Request) -> web.Response:
        by = self._operator(request)
        body = await body_of(request)
        silence = await self._run(lambda: add_silence(self._store.requests, body, by=by))
        return _json(silence.model_dump_json().encode(), status=201)

    async def _expire_silence(self, request: web.Request) -> web.Response:
        self._operator(request)
        await body_of(request)
        silence_id = request.match_info["id"]
        ended = await self._run(lambda: self._store.requests.expire(silence_id, datetime.now(UTC)))
        return _json(ended.model_dump_json().encode())

    async def _acknowledge(self, request: web.Request) -> web.Response:
        by = self._operator(request)
        body = await body_of(request)
        await self._run(lambda: acknowledge(self._store.requests, body, by=by))
        return _json(b"{}", status=202)

    def _operator(self, request: web.Request) -> str | None:
        """The name under which an action is recorded; None if the page has no operator names.

        Raises HTTPForbidden when the token may not act.
        """
        caller = self._access.caller(request)
        if not caller.may_act:
            raise web.HTTPForbidden(text=READ_ONLY)
        return caller.name

    async def _get_me(self, request: web.Request) -> web.Response:
        caller = self._access.caller(request)
        return _json(msgspec.json.encode({"name": caller.name, "may_act": caller.may_act}))

    async def _run(self, act: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, act)

    async def _get_series(self, request: web.Request) -> web.Response:
        brand = await self._known_brand(request.match_info["name"])
        hours = _number(request, "hours", default=24, low=1, high=MAX_HOURS) or 24
        until_ms = _number(request, "until", default=None, low=1, high=2**53)
        return _json(
            await self._read(("series", brand, hours, until_ms), lambda: self._store.series(brand, hours, until_ms))
        )

    async def _get_negatives(self, request: web.Request) -> web.Response:
        brand = await self._known_brand(request.query.get("brand", ""))
        return _json(await self._read(("negatives", brand), lambda: self._store.negatives(brand)))

    async def _get_facets(self, request: web.Request) -> web.Response:
        brand = await self._known_brand(request.match_info["name"])
        return _json(await self._read(brand, lambda: self._store.facets(brand), cache=self._slow_cache))

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        await self._read("ready", self._store.ready)
        return web.Response(text="ok\n")

    async def _known_brand(self, name: str) -> str:
        """*name*, if it is a known brand: unknown names must not fill the cache."""
        known: list[str] = msgspec.json.decode(await self._read("brands", self._store.brands))
        if name not in known:
            raise web.HTTPNotFound(text=f"no posts about a brand named {name[:200]!r}")
        return name


class StaticFile:
    """One static file, read once at start. Browsers revalidate it on each load and mostly get 304."""

    def __init__(self, path: Path) -> None:
        self._body = path.read_bytes()
        self._etag = hashlib.sha256(self._body).hexdigest()[:16]
        kind = CONTENT_TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        self._content_type = kind

    def respond(self, request: web.Request) -> web.Response:
        headers = {"ETag": f'"{self._etag}"', "Cache-Control": "no-cache"}
        if any(tag.value == self._etag for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        response = web.Response(body=self._body, headers=headers)
        response.content_type = self._content_type
        response.charset = "utf-8"
        response.enable_compression()
        return response


def describe(error: BrandpulseError | str) -> bytes:
    """The JSON body of an error."""
    return msgspec.json.encode({"error": str(error)})


def _json(body: bytes, *, status: int = 200) -> web.Response:
    return web.Response(
        body=body, status=status, content_type="application/json", headers={"Cache-Control": "no-store"}
    )


def _number(request: web.Request, name: str, *, default: int | None, low: int, high: int) -> int | None:
    raw = request.query.get(name)
    if raw is None:
        return default
    if not raw.isascii() or not raw.isdigit() or not low <= int(raw[:20]) <= high:
        raise web.HTTPBadRequest(text=f"{name} must be a whole number from {low} to {high}, got {raw[:40]!r}")
    return int(raw)


def _stop_if_failed(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.critical("event stream failed", exc_info=error)
        # Without the task, open pages would keep old figures: stop, so that the supervisor restarts the process.
        asyncio.get_running_loop().stop()

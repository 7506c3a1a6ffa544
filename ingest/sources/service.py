"""All sources of the sources file, in one process: starts and stops them as the file changes."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from brandpulse.config.yaml_file import Stamp, stamp_of
from brandpulse.errors import ConfigError, StateError, TransientError
from brandpulse.runtime.backoff import pause
from brandpulse.runtime.http_security import has_token
from brandpulse.runtime.metrics import CONTENT_TYPE, Telemetry
from brandpulse.state.live_sources import SourceRecord
from brandpulse.version import VERSION
from ingest.sources.brand_filter import BrandFilter
from ingest.sources.kinds import source_kinds
from ingest.sources.runner import Destination, SourceRunner
from ingest.sources.source import SourceContext, SourceSettings
from ingest.sources.sources_file import load_sources
from ingest.sources.spending.ledger import MICRO, Ledger, MemoryLedger, Spending

log = logging.getLogger(__name__)

RELOAD_SECONDS = 2.0
TOPIC_SECONDS = 5.0
"""How often the topic's id is read."""
USER_AGENT = f"brandpulse/{VERSION}"


@contextlib.asynccontextmanager
async def source_context(
    brands: BrandFilter, stop: asyncio.Event, *, ledger: Ledger | None = None
) -> AsyncIterator[SourceContext]:
    """A context with a session of its own, for all sources of a process. *ledger*: by default in memory."""
    # aiohttp's default total of 5 minutes would cut every stream.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=20, sock_read=90)
    async with aiohttp.ClientSession(timeout=timeout, headers={"User-Agent": USER_AGENT}) as session:
        books = ledger if ledger is not None else MemoryLedger()
        yield SourceContext(session, brands.names, stop, current_brands=brands.brands, ledger=books)


class TopicIdWatch:
    """The topic's id as last seen; read in a thread, since librdkafka's call blocks."""

    def __init__(self, first: str, read: Callable[[], str]) -> None:
        self._id = first
        self._read = read

    def __call__(self) -> str:
        return self._id

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await pause(stop, TOPIC_SECONDS)
            with contextlib.suppress(TransientError):
                self._id = await asyncio.to_thread(self._read)


@dataclass(slots=True)
class _Running:
    settings: SourceSettings
    runner: SourceRunner
    stop: asyncio.Event
    task: asyncio.Task[None]


class SourcesService:
    """Runs the sources of *path* until `run` is cancelled or its stop event is set."""

    def __init__(
        self,
        path: Path,
        *,
        destination: Destination,
        context: SourceContext,
        brands: BrandFilter,
        telemetry: Telemetry,
        metrics_token: str | None = None,
    ) -> None:
        self._path = path
        self._destination = destination
        self._context = context
        self._brands = brands
        self._telemetry = telemetry
        self._token = metrics_token
        self._running: dict[str, _Running] = {}
        self._refused: dict[str, str] = {}
        """Sources that could not be created, with the reason."""
        self._kinds: dict[str, str] = {}
        """Enabled source -> its kind."""
        self._records: dict[str, SourceRecord] = {}
        """What was stored last about each source."""

    async def run(self) -> None:
        """Raises ConfigError if the file is wrong at the start."""
        stamp: Stamp | None = stamp_of(self._path)
        with contextlib.suppress(TransientError, StateError):
            self._records = dict(await asyncio.to_thread(self._destination.store.states))
        await self._apply(load_sources(self._path))
        try:
            while not self._context.stop.is_set():
                await pause(self._context.stop, RELOAD_SECONDS)
                await self._store_states()
                if (now := stamp_of(self._path)) != stamp:
                    stamp = now
                    await self._reload()
        finally:
            await self._stop(list(self._running))
            await self._store_states()

    async def _store_states(self) -> None:
        """What the sources do, for `doctor`, `stats` and the page."""
        now = datetime.now(UTC)
        found = {name: running.runner.record(now) for name, running in self._running.items()}
        for name, reason in self._refused.items():
            before = self._records.get(name)
            since = (before.away_since or before.updated_at) if before is not None else now
            found[name] = SourceRecord(self._kinds.get(name, ""), "refused", now, reason, since)
        gone = [name for name in self._records if name not in self._kinds]
        stopped = {
            name: msgspec.structs.replace(record, status="stopped", reason="", updated_at=now)
            for name, record in self._records.items()
            if name in self._kinds and name not in found
        }
        self._records = stopped | found
        # A store that is away shows itself elsewhere; the states are stored again soon.
        with contextlib.suppress(TransientError):
            await asyncio.to_thread(self._destination.store.save_states, self._records, gone)

    async def _reload(self) -> None:
        try:
            wanted = load_sources(self._path)
        except ConfigError as error:
            log.warning("sources file invalid: the sources before go on", extra={"reason": str(error)})
            return
        log.info("sources file loaded", extra={"sources": len(wanted)})
        await self._apply(wanted)

    async def _apply(self, wanted: list[SourceSettings]) -> None:
        enabled = {settings.name: settings for settings in wanted if settings.enabled}
        self._kinds = {name: settings.kind for name, settings in enabled.items()}
        # A refused source starts again with the next change of the file, even if the change is elsewhere.
        ended = [name for name, running in self._running.items() if running.task.done()]
        changed = [name for name, running in self._running.items() if running.settings != enabled.get(name)]
        await self._stop(list(dict.fromkeys([*ended, *changed])))
        self._refused.clear()
        for name, settings in enabled.items():
            if name not in self._running:
                self._start(settings)

    def _start(self, settings: SourceSettings) -> None:
        stop = asyncio.Event()
        context = replace(self._context, stop=stop, brands=self._brands.names, note_spending=self._note_spending)
        try:
            source = source_kinds()[settings.kind].create(settings)
        except ConfigError as error:
            # A missing secret of one source must not stop the others.
            log.warning("source refused", extra={"source": settings.name, "reason": str(error)})
            self._refused[settings.name] = str(error)
            return
        before = self._records.get(settings.name)
        runner = SourceRunner(source, self._destination, context, self._brands, self._telemetry, before=before)
        task = asyncio.create_task(runner.run(), name=f"source {settings.name}")
        self._running[settings.name] = _Running(settings, runner, stop, task)
        log.info("source started", extra={"source": settings.name, "kind": settings.kind})

    def _note_spending(self, spending: Spending) -> None:
        unit, scale = spending.limit.unit, MICRO if spending.limit.unit == "dollars" else 1
        amounts = (("spent", spending.spent), ("budget", spending.limit.amount))
        for name, amount in amounts:
            self._telemetry.gauge(f"brandpulse_source_{name}_{unit}").labels(spending.source).set(amount / scale)

    async def _stop(self, names: list[str]) -> None:
        ending = [self._running.pop(name) for name in names]
        for running in ending:
            running.stop.set()
        if ending:
            await asyncio.wait([running.task for running in ending])
        now = datetime.now(UTC)
        for running in ending:
            self._records[running.settings.name] = running.runner.record(now)
            running.runner.forget()
            outcomes = running.runner.state.outcomes
            log.info("source stopped", extra={"source": running.settings.name, "outcomes": outcomes})

    def app(self, webhook: Callable[[], Mapping[str, str] | None] = lambda: None) -> web.Application:
        """/metrics for Prometheus, /healthz (the process runs), /readyz (each source, and whether one reads).

        *webhook*: the `status` of the webhook receiver and more, or None without one.
        """
        app = web.Application()

        async def metrics(request: web.Request) -> web.Response:
            if not has_token(request.headers.get("Authorization", ""), self._token):
                return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
            return web.Response(body=self._telemetry.expose(), headers={"Content-Type": CONTENT_TYPE})

        async def health(_: web.Request) -> web.Response:
            return web.json_response({"status": "alive"})

        async def ready(_: web.Request) -> web.Response:
            states = {name: running.runner.state for name, running in self._running.items()}
            receiver = webhook()
            statuses = [*(state.status for state in states.values()), *([receiver["status"]] if receiver else [])]
            reads = not statuses or any(status in ("reading", "listening") for status in statuses)
            refused = {name: {"status": "refused", "reason": reason} for name, reason in self._refused.items()}
            found = {name: {"status": state.status, "reason": state.reason} for name, state in states.items()}
            answer: dict[str, Any] = {"status": "ready" if reads else "no source reads", "sources": found | refused}
            if receiver:
                answer["webhook"] = dict(receiver)
            return web.json_response(answer, status=200 if reads else 503)

        app.router.add_get("/metrics", metrics)
        app.router.add_get("/healthz", health)
        app.router.add_get("/readyz", ready)
        return app

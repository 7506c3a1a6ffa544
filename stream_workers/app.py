"""The Faust app of a worker: a service that owns the reading thread, a bounded channel, and an agent.

Faust provides lifecycle, supervision, agents, timers and the web port. It opens no Kafka connection of its own: its
consumer commits past records whose batch raised or was cancelled, and costs an event-loop turn per record.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import faust
from faust.app.base import BootStrategy
from mode import Service

from brandpulse.runtime.http_security import has_token
from brandpulse.runtime.metrics import CONTENT_TYPE, Telemetry
from model.inference.scorer import Scorer
from stream_workers.consumer.adaptive_batch_size import AdaptiveBatchSize
from stream_workers.consumer.batches import ReadBatch
from stream_workers.consumer.post_reader import PostReader
from stream_workers.pipeline.batch_pipeline import BatchPipeline
from stream_workers.pipeline.stage_executor import StageExecutor

log = logging.getLogger(__name__)

EXIT_WATCHDOG = 70


class WithoutKafka(BootStrategy):  # type: ignore[misc]  # Faust ships no types mypy follows
    """Sensors, web and agents only: `PostReader` talks to Kafka."""

    enable_kafka = False


class WorkerApp(faust.App):  # type: ignore[misc]
    BootStrategy = WithoutKafka


class BatchSlots:
    """Limits the batches that are read and not yet counted."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._free = threading.BoundedSemaphore(number)

    def acquire(self, timeout_seconds: float) -> bool:
        return self._free.acquire(timeout=timeout_seconds)

    def release(self, number: int = 1) -> None:
        self._free.release(number)

    def drain(self, timeout_seconds: float) -> bool:
        """Wait until all are free, and keep them, so that no batch gets one. False after the timeout."""
        deadline = time.monotonic() + timeout_seconds
        return all(self._free.acquire(timeout=max(0.0, deadline - time.monotonic())) for _ in range(self._number))


class WorkerService(Service):  # type: ignore[misc]
    """Runs the reader's thread, and the three stages of the pipeline in one named thread each.

    Shutdown order: stop reading, finish what is in flight, commit, leave the group.
    """

    def __init__(
        self,
        app: WorkerApp,
        *,
        make_reader: "Callable[[Callable[[ReadBatch, float], bool]], PostReader]",
        make_pipeline: Callable[[PostReader], BatchPipeline],
        batches_in_flight: int,
        batch_size: AdaptiveBatchSize,
        watchdog_seconds: float,
        telemetry: Telemetry,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self._app = app
        self._telemetry = telemetry
        self._watchdog_seconds = watchdog_seconds
        self._slots = BatchSlots(batches_in_flight)
        self.channel = app.channel(maxsize=batches_in_flight)
        self.reader = make_reader(self._offer)
        self.pipeline = make_pipeline(self.reader)
        self._stages = StageExecutor(
            self.pipeline,
            max_posts=lambda: 2 * batch_size.posts,
            size_of=lambda parts: sum(len(part.rows) for part in parts),
            on_settled=self._slots.release,
            on_error=self._abort,
        )
        self._reading: threading.Thread | None = None
        self._event_loop: asyncio.AbstractEventLoop | None = None
        self._closing = False
        self._progress_at: float | None = None
        """When the pipeline last made progress, or had nothing to do (monotonic seconds)."""

    async def on_start(self) -> None:
        self._event_loop = asyncio.get_running_loop()
        # Faust opens its channels when its own consumer is assigned; that consumer never starts here.
        self._app.flow_control.resume()
        self._reading = threading.Thread(target=self._read, name="reader", daemon=True)
        self._reading.start()
        self.add_future(self._watch())

    async def handle(self, batch: ReadBatch) -> None:
        """Submit one batch to the pipeline."""
        if self._closing:
            # Not started yet: it is read again at the next start, sooner than a supervisor's patience ends.
            self._slots.release()
            return
        self._telemetry.histogram("brandpulse_batch_posts").observe(batch.posts)
        await self._stages.submit(batch)

    async def on_stop(self) -> None:
        self._closing = True
        self.reader.stop()
        if self._reading is not None:
            await asyncio.to_thread(self._reading.join, 30)
        if not await asyncio.to_thread(self._slots.drain, 30):
            log.warning("stopped with batches in flight: they are read again at the next start")
        await self._stages.close()
        await asyncio.to_thread(self.reader.close)

    def _offer(self, batch: ReadBatch, timeout_seconds: float) -> bool:
        """Put *batch* on the channel when a slot is free. Called by the reading thread."""
        if not self._slots.acquire(timeout_seconds):
            return False
        assert self._event_loop is not None  # noqa: S101 - the thread starts after it
        sent: Future[Any] = asyncio.run_coroutine_threadsafe(self.channel.send(value=batch), self._event_loop)
        sent.result(30)
        return True

    def _read(self) -> None:
        try:
            self.reader.run()
        except Exception as error:
            self._abort(error)

    def _abort(self, error: BaseException) -> None:
        log.critical("worker aborts: a bug or a fatal error", exc_info=error)
        assert self._event_loop is not None  # noqa: S101
        self._event_loop.call_soon_threadsafe(os._exit, 1)

    def health_problem(self) -> str | None:
        """Why this worker needs attention; None while it makes progress or has nothing to do.

        Reported after half of the time after which the watchdog ends the process.
        """
        if self._reading is None or self._closing:
            return None
        if not self._reading.is_alive():
            return "the thread that reads posts has ended"
        if (
            self._progress_at is not None
            and (idle := time.monotonic() - self._progress_at) > self._watchdog_seconds / 2
        ):
            return f"records are waiting, and none was counted for {idle:.0f} s"
        return None

    async def _watch(self) -> None:
        """End the process if there is lag and no progress: this checks the progress, not the process."""
        seen, since = self.pipeline.progress, time.monotonic()
        while not self.should_stop:
            self._progress_at = since
            await self.sleep(min(5.0, self._watchdog_seconds / 4))
            if self.pipeline.progress != seen or not await asyncio.to_thread(self.reader.lag):
                seen, since = self.pipeline.progress, time.monotonic()
            elif time.monotonic() - since > self._watchdog_seconds:
                log.critical("watchdog: lag and no progress", extra={"seconds": self._watchdog_seconds})
                os._exit(EXIT_WATCHDOG)


def build_app(
    *,
    host: str,
    port: int,
    data: str,
    token: str | None,
    telemetry: Telemetry,
    scorer: Scorer,
    make_service: Callable[..., WorkerService],
) -> tuple[WorkerApp, WorkerService]:
    """The app with its service, agent and pages: /metrics (which requires *token*, if set), /healthz, /readyz."""
    app = WorkerApp(
        "brandpulse-worker",
        broker="kafka://127.0.0.1:1",  # required by Faust, never connected to
        store="memory://",
        web_host=host,
        web_bind=host,
        web_port=port,
        datadir=data,
        topic_disable_leader=True,
        stream_wait_empty=False,
    )
    service = make_service(app)
    telemetry.gauge("brandpulse_model_info").labels(scorer.name, scorer.version).set(1)

    @app.agent(service.channel, concurrency=1, name="batch_pipeline")  # type: ignore[untyped-decorator]
    async def batch_pipeline(stream: Any) -> None:
        async for batch in stream:
            await service.handle(batch)

    @app.page("/metrics")  # type: ignore[untyped-decorator]
    async def metrics(web: Any, request: Any) -> Any:
        if not has_token(request.headers.get("Authorization", ""), token):
            return web.text("token required: Authorization: Bearer BRANDPULSE_METRICS_TOKEN\n", status=401)
        return web.bytes(telemetry.expose(), content_type=CONTENT_TYPE.split(";")[0])

    @app.page("/healthz")  # type: ignore[untyped-decorator]
    async def health(web: Any, _request: Any) -> Any:
        problem = service.health_problem()
        body = {"status": problem or "ok", "applied_batches": service.pipeline.progress}
        return web.json(body, status=200 if problem is None else 503)

    @app.page("/readyz")  # type: ignore[untyped-decorator]
    async def ready(web: Any, _request: Any) -> Any:
        reason = service.reader.not_ready()
        body = {"status": reason or "ready", "partitions": sorted(service.reader.partitions)}
        return web.json(body, status=200 if reason is None else 503)

    app.service(service)
    return app, service

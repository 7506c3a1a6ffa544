"""The Faust app of a worker: a service that owns the reading thread, a bounded channel, and an agent.

Faust does what it is good at: lifecycle, supervision, agents, timers, the web port. It opens no Kafka connection of its
own: its consumer commits past records whose batch raised or was cancelled, and costs an event-loop turn per record.
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
from stream_workers.consumer.adaptive_batch_size import Pace
from stream_workers.consumer.assigned_partition import ReadBatch
from stream_workers.consumer.post_reader import PostReader
from stream_workers.pipeline.batch_pipeline import BatchLane
from stream_workers.pipeline.stage_executor import Stages

log = logging.getLogger(__name__)

EXIT_WATCHDOG = 70


class WithoutKafka(BootStrategy):  # type: ignore[misc]  # Faust ships no types mypy follows
    """Sensors, web and agents only: our reader is the one that talks to Kafka."""

    enable_kafka = False


class WorkerApp(faust.App):  # type: ignore[misc]
    BootStrategy = WithoutKafka


class Slots:
    """Bounds everything that is read and not yet counted."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._free = threading.BoundedSemaphore(number)

    def take(self, timeout_seconds: float) -> bool:
        return self._free.acquire(timeout=timeout_seconds)

    def give_back(self, number: int = 1) -> None:
        self._free.release(number)

    def drain(self, timeout_seconds: float) -> bool:
        """Wait until all are free, and keep them: nothing new gets in. False when the time is up."""
        deadline = time.monotonic() + timeout_seconds
        return all(self._free.acquire(timeout=max(0.0, deadline - time.monotonic())) for _ in range(self._number))


class Lane(Service):  # type: ignore[misc]
    """Runs the reader's thread, and the lane's three stages in one named thread each.

    Shutdown order: stop reading, finish what is in flight, commit, leave the group.
    """

    def __init__(
        self,
        app: WorkerApp,
        *,
        make_reader: "Callable[[Callable[[ReadBatch, float], bool]], PostReader]",
        make_lane: Callable[[PostReader], BatchLane],
        batches_in_flight: int,
        pace: Pace,
        watchdog_seconds: float,
        telemetry: Telemetry,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self._app = app
        self._telemetry = telemetry
        self._watchdog_seconds = watchdog_seconds
        self._slots = Slots(batches_in_flight)
        self.channel = app.channel(maxsize=batches_in_flight)
        self.reader = make_reader(self._offer)
        self.lane = make_lane(self.reader)
        self._stages = Stages(
            self.lane,
            most=lambda: 2 * pace.posts,
            size_of=lambda parts: sum(len(part.rows) for part in parts),
            settled=self._slots.give_back,
            broken=self._die,
        )
        self._reading: threading.Thread | None = None
        self._event_loop: asyncio.AbstractEventLoop | None = None
        self._closing = False
        self._progress_at: float | None = None
        """When the lane was last seen to move, or to have nothing to do (monotonic seconds)."""

    async def on_start(self) -> None:
        self._event_loop = asyncio.get_running_loop()
        # Faust opens its channels once its own consumer is assigned; ours is, and that one never starts.
        self._app.flow_control.resume()
        self._reading = threading.Thread(target=self._read, name="reader", daemon=True)
        self._reading.start()
        self.add_future(self._watch())

    async def handle(self, batch: ReadBatch) -> None:
        """One batch into the lane."""
        if self._closing:
            # Not begun yet: it is read again at the next start, sooner than a supervisor's patience ends.
            self._slots.give_back()
            return
        self._telemetry.histogram("brandpulse_batch_posts").observe(batch.posts)
        await self._stages.take(batch)

    async def on_stop(self) -> None:
        self._closing = True
        self.reader.stop()
        if self._reading is not None:
            await asyncio.to_thread(self._reading.join, 30)
        if not await asyncio.to_thread(self._slots.drain, 30):
            log.warning("stopped with batches in flight: they are read again at the next start")
        await self._stages.finish()
        await asyncio.to_thread(self.reader.close)

    def _offer(self, batch: ReadBatch, timeout_seconds: float) -> bool:
        """Called by the reading thread: put *batch* on the channel once there is a free slot."""
        if not self._slots.take(timeout_seconds):
            return False
        assert self._event_loop is not None  # noqa: S101 - the thread starts after it
        sent: Future[Any] = asyncio.run_coroutine_threadsafe(self.channel.send(value=batch), self._event_loop)
        sent.result(30)
        return True

    def _read(self) -> None:
        try:
            self.reader.run()
        except Exception as error:
            self._die(error)

    def _die(self, error: BaseException) -> None:
        log.critical("the worker ends: a bug or a fatal fault", exc_info=error)
        assert self._event_loop is not None  # noqa: S101
        self._event_loop.call_soon_threadsafe(os._exit, 1)

    def unhealthy(self) -> str | None:
        """Why a supervisor should look at this worker; None while it makes progress or has nothing to do.

        Speaks at half of the time after which the watchdog ends the process.
        """
        if self._reading is None or self._closing:
            return None
        if not self._reading.is_alive():
            return "the thread that reads posts has ended"
        if (
            self._progress_at is not None
            and (idle := time.monotonic() - self._progress_at) > self._watchdog_seconds / 2
        ):
            return f"records wait, and none was counted for {idle:.0f} s"
        return None

    async def _watch(self) -> None:
        """Ends the process when there is lag and nothing moves: it is the progress that is probed, not the process."""
        seen, since = self.lane.progress, time.monotonic()
        while not self.should_stop:
            self._progress_at = since
            await self.sleep(min(5.0, self._watchdog_seconds / 4))
            if self.lane.progress != seen or not await asyncio.to_thread(self.reader.lag):
                seen, since = self.lane.progress, time.monotonic()
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
    make_service: Callable[..., Lane],
) -> tuple[WorkerApp, Lane]:
    """The app with its service, agent and pages: /metrics (which wants *token*, if there is one), /healthz, /readyz."""
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

    @app.agent(service.channel, concurrency=1, name="batch_lane")  # type: ignore[untyped-decorator]
    async def batch_lane(stream: Any) -> None:
        async for batch in stream:
            await service.handle(batch)

    @app.page("/metrics")  # type: ignore[untyped-decorator]
    async def metrics(web: Any, request: Any) -> Any:
        if not has_token(request.headers.get("Authorization", ""), token):
            return web.text("show the token: Authorization: Bearer BRANDPULSE_METRICS_TOKEN\n", status=401)
        return web.bytes(telemetry.expose(), content_type=CONTENT_TYPE.split(";")[0])

    @app.page("/healthz")  # type: ignore[untyped-decorator]
    async def health(web: Any, _request: Any) -> Any:
        fault = service.unhealthy()
        answer = {"status": fault or "ok", "applied_batches": service.lane.progress}
        return web.json(answer, status=200 if fault is None else 503)

    @app.page("/readyz")  # type: ignore[untyped-decorator]
    async def ready(web: Any, _request: Any) -> Any:
        reason = service.reader.not_ready()
        answer = {"status": reason or "ready", "partitions": sorted(service.reader.partitions)}
        return web.json(answer, status=200 if reason is None else 503)

    app.service(service)
    return app, service

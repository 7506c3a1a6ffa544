"""What the routes share: the scorer behind its batcher, thresholds, limits and metrics."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Scope

from brandpulse.runtime.metric_definitions import SERVE_METRICS
from brandpulse.runtime.metrics import Telemetry
from model.inference.score_cache import CachingScorer
from model.inference.scorer import Scorer
from model.serve.api_models import Limits
from model.serve.batching import Batch, Batcher
from model.text_scoring import TextRequest, TextScores, Thresholds, batch_scoring, score_json

STUCK_SECONDS = 60.0
"""A batch takes tens of milliseconds; one that takes this long never ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """How texts of several requests go through the model together; `model.serve.settings` says what each is for."""

    texts: int = 64
    wait_seconds: float = 0.002
    waiting: int = 2_048


@dataclass(slots=True, kw_only=True)
class Service:
    """What the routes share. Made before the event loop runs, used on it alone."""

    scorer: Scorer
    thresholds: Thresholds = field(default_factory=dict)
    batching: Batching = field(default_factory=Batching)
    limits: Limits = field(default_factory=Limits)
    telemetry: Telemetry = field(default_factory=lambda: Telemetry(SERVE_METRICS, service="serve"))
    draining: bool = False
    """Whether a stop was asked for: `/readyz` says so, while requests are still taken."""
    _cached: tuple[int, int] = (0, 0)
    _batcher: Batcher[TextRequest, TextScores] | None = None

    def __post_init__(self) -> None:
        self.telemetry.gauge("brandpulse_model_info").labels(self.scorer.name, self.scorer.version).set(1)
        self.telemetry.gauge("brandpulse_serve_waiting_texts").set_function(lambda: self.waiting)

    @property
    def waiting(self) -> int:
        """Texts that no batch has taken yet. Any thread may ask."""
        return 0 if self._batcher is None else self._batcher.waiting

    @property
    def batcher(self) -> Batcher[TextRequest, TextScores]:
        if self._batcher is None:
            raise RuntimeError("the service is used outside its `running`")
        return self._batcher

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While inside, texts are scored."""
        self._batcher = Batcher(
            batch_scoring(self.scorer),
            max_batch=self.batching.texts,
            max_wait_seconds=self.batching.wait_seconds,
            max_waiting=self.batching.waiting,
            on_batch=self._count_batch,
        )
        task = asyncio.create_task(self._batcher.run(), name="batcher")
        task.add_done_callback(_stop_on_crash)
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await self._batcher.close()

    async def score(self, asked: Sequence[TextRequest], *, all_emotions: bool = False) -> list[dict[str, Any]]:
        """One `model.serve.api_models.Score` each. Raises BusyError or JobFailedError."""
        judged = await self.batcher.submit(asked)
        self.telemetry.counter("brandpulse_posts_degraded_total").inc(sum(verdict.degraded for verdict in judged))
        return [
            score_json(one, verdict, self.thresholds, all_emotions=all_emotions)
            for one, verdict in zip(asked, judged, strict=True)
        ]

    def name(self) -> dict[str, str]:
        return {"name": self.scorer.name, "version": self.scorer.version}

    def unready(self) -> str:
        """Why no request should come here; empty when there is no reason."""
        if self.draining:
            return "a stop was asked for"
        if self.batcher.busy_seconds > STUCK_SECONDS:
            return f"the model has been at one batch for {self.batcher.busy_seconds:.0f} s"
        return ""

    def count_request(self, scope: Scope, status: int, seconds: float) -> None:
        path = getattr(scope.get("route"), "path", "other")
        self.telemetry.counter("brandpulse_serve_requests_total").labels(path, str(status)).inc()
        self.telemetry.histogram("brandpulse_serve_request_seconds").labels(path).observe(seconds)

    def _count_batch(self, batch: Batch) -> None:
        self.telemetry.histogram("brandpulse_serve_batch_texts").observe(batch.jobs)
        self.telemetry.histogram("brandpulse_serve_score_seconds").observe(batch.seconds)
        self.telemetry.counter("brandpulse_serve_failed_texts_total").inc(batch.failed)
        if isinstance(self.scorer, CachingScorer):
            before, self._cached = self._cached, (self.scorer.hits, self.scorer.misses)
            self.telemetry.counter("brandpulse_score_cache_hits_total").inc(self._cached[0] - before[0])
            self.telemetry.counter("brandpulse_score_cache_misses_total").inc(self._cached[1] - before[1])


def _stop_on_crash(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        # No text would be scored any more: end, and let the supervisor restart us.
        asyncio.get_running_loop().call_exception_handler(
            {"message": "the batcher died", "exception": task.exception(), "task": task}
        )
        asyncio.get_running_loop().stop()

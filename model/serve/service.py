"""State shared by the routes: the scorer with its batcher, thresholds, limits and metrics."""

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
from model.language_weights import LanguageModel
from model.serve.api_models import Limits
from model.serve.batching import Batch, Batcher
from model.text_scoring import TextRequest, TextScores, Thresholds, batch_scoring, score_json

STUCK_SECONDS = 60.0
"""A batch that takes longer is considered stuck; the usual time is tens of milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """Settings of the dynamic batching; see `model.serve.settings`."""

    texts: int = 64
    wait_seconds: float = 0.002
    waiting: int = 2_048


@dataclass(slots=True, kw_only=True)
class Service:
    """State shared by the routes. Created before the event loop runs; used only on it."""

    scorer: Scorer
    thresholds: Thresholds = field(default_factory=dict)
    languages: LanguageModel | None = None
    """Identifies the languages of texts; None: no text is identified, and *thresholds* are for all."""
    batching: Batching = field(default_factory=Batching)
    limits: Limits = field(default_factory=Limits)
    telemetry: Telemetry = field(default_factory=lambda: Telemetry(SERVE_METRICS, service="serve"))
    draining: bool = False
    """Whether a stop was requested: `/readyz` reports it, requests are still accepted."""
    _cached: tuple[int, int] = (0, 0)
    _batcher: Batcher[TextRequest, TextScores] | None = None

    def __post_init__(self) -> None:
        self.telemetry.gauge("brandpulse_model_info").labels(self.scorer.name, self.scorer.version).set(1)
        self.telemetry.gauge("brandpulse_serve_waiting_texts").set_function(lambda: self.waiting)

    @property
    def waiting(self) -> int:
        """Number of waiting texts. May be read from any thread."""
        return 0 if self._batcher is None else self._batcher.waiting

    @property
    def batcher(self) -> Batcher[TextRequest, TextScores]:
        if self._batcher is None:
            raise RuntimeError("the service is used outside of `running`")
        return self._batcher

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Scores texts while the context is open."""
        self._batcher = Batcher(
            batch_scoring(self.scorer, None if self.languages is None else self.languages.identifier),
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

    async def score(self, requests: Sequence[TextRequest], *, all_emotions: bool = False) -> list[dict[str, Any]]:
        """One `model.serve.api_models.Score` per request. Raises BusyError or JobFailedError."""
        results = await self.batcher.submit(requests)
        self.telemetry.counter("brandpulse_posts_degraded_total").inc(sum(scores.degraded for scores in results))
        return [
            self._score_json(request, scores, all_emotions=all_emotions)
            for request, scores in zip(requests, results, strict=True)
        ]

    def _score_json(self, request: TextRequest, scores: TextScores, *, all_emotions: bool) -> dict[str, Any]:
        if self.languages is None:
            return score_json(request, scores, self.thresholds, all_emotions=all_emotions)
        facts = self.languages.facts_of(scores.language)
        weights = facts.name if self.languages.routed else ""
        return score_json(request, scores, facts.thresholds, all_emotions=all_emotions, weights=weights)

    def name(self) -> dict[str, str]:
        return {"name": self.scorer.name, "version": self.scorer.version}

    def unready(self) -> str:
        """Why the service is not ready; empty if it is."""
        if self.draining:
            return "the service is stopping"
        if self.batcher.busy_seconds > STUCK_SECONDS:
            return f"the model has been busy with one batch for {self.batcher.busy_seconds:.0f} s"
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
        # Without the batcher no text is scored: stop, so that the supervisor restarts the process.
        asyncio.get_running_loop().call_exception_handler(
            {"message": "the batcher crashed", "exception": task.exception(), "task": task}
        )
        asyncio.get_running_loop().stop()

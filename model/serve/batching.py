"""Dynamic batching: one thread processes the jobs of many requests together.

Generic over jobs and results; independent of HTTP and the model.
"""

import asyncio
import logging
import math
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from brandpulse.errors import BrandpulseError

logger = logging.getLogger(__name__)
Job = TypeVar("Job")
Result = TypeVar("Result")


class BusyError(BrandpulseError):
    """The queue is full: the caller should retry after *retry_after_seconds*."""

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class JobFailedError(BrandpulseError):
    """The work failed on this single job; *position* is its index among the submitted jobs."""

    def __init__(self, position: int) -> None:
        super().__init__(f"job {position} failed")
        self.position = position


@dataclass(slots=True, eq=False)
class _PendingJob(Generic[Job, Result]):
    job: Job
    arrived: float
    answer: "asyncio.Future[Result]" = field(repr=False)


@dataclass(frozen=True, slots=True)
class Batch:
    """The result of one batch, for metrics."""

    jobs: int
    failed: int
    seconds: float


class Batcher(Generic[Job, Result]):
    """Calls *work* in one thread with at most *max_batch* jobs, one batch at a time.

    Jobs collect while the thread works. An idle thread waits up to *max_wait_seconds* after the first job for more. At
    most *max_waiting* jobs wait; more raise BusyError. Cancelled jobs are dropped before their batch is formed. If
    *work* raises, the batch is split in halves and retried until the failing job is alone.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Job]], Sequence[Result]],
        *,
        max_batch: int,
        max_wait_seconds: float,
        max_waiting: int,
        on_batch: Callable[[Batch], None] = lambda batch: None,
    ) -> None:
        self._work = work
        self._max_batch = max_batch
        self._max_wait_seconds = max_wait_seconds
        self._max_waiting = max_waiting
        self._on_batch = on_batch
        self._queue: OrderedDict[int, _PendingJob[Job, Result]] = OrderedDict()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scorer")
        self._busy_since: float | None = None
        self._seconds_per_job = 0.005

    @property
    def waiting(self) -> int:
        """Number of jobs in the queue."""
        return len(self._queue)

    @property
    def busy_seconds(self) -> float:
        """Seconds since the current batch started; 0 when idle."""
        return 0.0 if self._busy_since is None else time.monotonic() - self._busy_since

    async def submit(self, jobs: Sequence[Job]) -> list[Result]:
        """The results, in order. Raises BusyError at once, or JobFailedError.

        Cancelling the caller removes its jobs from the queue.
        """
        if len(self._queue) + len(jobs) > self._max_waiting:
            raise BusyError(
                f"{len(self._queue)} texts are waiting, the maximum is {self._max_waiting}",
                retry_after_seconds=self._retry_after_seconds(),
            )
        loop = asyncio.get_running_loop()
        arrived = time.monotonic()
        mine = [_PendingJob(job, arrived, loop.create_future()) for job in jobs]
        self._queue.update((id(waiting), waiting) for waiting in mine)
        self._arrived.set()
        try:
            return [await waiting.answer for waiting in mine]
        except _WorkError as error:
            position = next(at for at, waiting in enumerate(mine) if _has_failed(waiting.answer))
            raise JobFailedError(position) from error.__cause__
        finally:
            for waiting in mine:
                self._queue.pop(id(waiting), None)
                if not waiting.answer.cancel() and not waiting.answer.cancelled():
                    waiting.answer.exception()  # marks it as retrieved: asyncio would log a second failure

    async def run(self) -> None:
        """Processes batches until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wait_for_batch()
            batch = [self._queue.popitem(last=False)[1] for _ in range(min(len(self._queue), self._max_batch))]
            if not batch:
                continue  # all waiting jobs were cancelled
            self._busy_since = started = time.monotonic()
            try:
                results = await loop.run_in_executor(self._thread, self._results, [waiting.job for waiting in batch])
            finally:
                self._busy_since = None
            self._deliver(batch, results, time.monotonic() - started)

    async def close(self) -> None:
        """Waits for the current batch. Call it after the last `submit` has ended."""
        await asyncio.to_thread(self._thread.shutdown)

    async def _wait_for_batch(self) -> None:
        """Returns when a batch is full, or its oldest job has waited for the maximum time."""
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        until = next(iter(self._queue.values())).arrived + self._max_wait_seconds
        while 0 < len(self._queue) < self._max_batch and (left := until - time.monotonic()) > 0:
            self._arrived.clear()
            try:
                async with asyncio.timeout(left):
                    await self._arrived.wait()
            except TimeoutError:
                return

    def _results(self, jobs: list[Job]) -> "list[Result | _WorkError]":
        """Runs in the worker thread."""
        try:
            results = list(self._work(jobs))
        except Exception as error:
            if len(jobs) == 1:
                # Without the error's message: it may contain the text.
                frame = traceback.extract_tb(error.__traceback__)[-1]
                extra = {"error": type(error).__name__, "at": f"{frame.filename}:{frame.lineno}"}
                logger.error("text scoring failed", extra=extra)  # noqa: TRY400
                wrapped = _WorkError()
                wrapped.__cause__ = error
                return [wrapped]
            middle = len(jobs) // 2
            return self._results(jobs[:middle]) + self._results(jobs[middle:])
        if len(results) != len(jobs):
            raise RuntimeError(f"{len(jobs)} jobs got {len(results)} results")
        return list(results)

    def _deliver(
        self, batch: "list[_PendingJob[Job, Result]]", results: "list[Result | _WorkError]", seconds: float
    ) -> None:
        failed = 0
        for waiting, result in zip(batch, results, strict=True):
            wrong = isinstance(result, _WorkError)
            failed += wrong
            if waiting.answer.done():
                continue  # its caller was cancelled in the meantime
            if isinstance(result, _WorkError):
                waiting.answer.set_exception(result)
            else:
                waiting.answer.set_result(result)
        self._seconds_per_job += 0.2 * (seconds / len(batch) - self._seconds_per_job)
        self._on_batch(Batch(jobs=len(batch), failed=failed, seconds=seconds))

    def _retry_after_seconds(self) -> int:
        """Estimated seconds until the current queue is processed, from 1 to 60."""
        return min(60, max(1, math.ceil(len(self._queue) * self._seconds_per_job)))


class _WorkError(Exception):
    """Wraps the error of one job in `__cause__`."""


def _has_failed(answer: "asyncio.Future[Result]") -> bool:
    return answer.done() and not answer.cancelled() and answer.exception() is not None

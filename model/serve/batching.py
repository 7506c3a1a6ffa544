"""Dynamic batching: jobs of many requests go through one thread together.

Generic over jobs and results, so that it knows neither HTTP nor the model.
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
    """No room: the caller should come back after *retry_after_seconds*."""

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class JobFailedError(BrandpulseError):
    """The work raised on this very job, alone; *position* is its place in what was submitted."""

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
    """What became of one batch, for metrics."""

    jobs: int
    failed: int
    seconds: float


class Batcher(Generic[Job, Result]):
    """Calls *work* in a thread of its own, with at most *max_batch* jobs, and never twice at a time.

    While the thread works, jobs gather. An idle thread waits *max_wait_seconds* from the first job on for company. At
    most *max_waiting* jobs wait; more raise BusyError. A job whose caller gave up before its batch was cut is dropped.
    When *work* raises, its batch is tried again in halves until the guilty job stands alone.
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
        """Jobs that no batch has taken yet."""
        return len(self._queue)

    @property
    def busy_seconds(self) -> float:
        """For how long the thread has been on its present batch; 0 when idle."""
        return 0.0 if self._busy_since is None else time.monotonic() - self._busy_since

    async def submit(self, jobs: Sequence[Job]) -> list[Result]:
        """The results, in order. Raises BusyError at once, or JobFailedError.

        Cancelling the caller takes its jobs out of the queue.
        """
        if len(self._queue) + len(jobs) > self._max_waiting:
            raise BusyError(
                f"{len(self._queue)} texts wait, at most {self._max_waiting} may",
                retry_after_seconds=self._until_room(),
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
                    waiting.answer.exception()  # seen: a second failure of one request is not "never retrieved"

    async def run(self) -> None:
        """Owned by the server; ends by cancellation."""
        loop = asyncio.get_running_loop()
        while True:
            await self._gather()
            batch = [self._queue.popitem(last=False)[1] for _ in range(min(len(self._queue), self._max_batch))]
            if not batch:
                continue  # all who waited gave up
            self._busy_since = started = time.monotonic()
            try:
                results = await loop.run_in_executor(self._thread, self._results, [waiting.job for waiting in batch])
            finally:
                self._busy_since = None
            self._tell(batch, results, time.monotonic() - started)

    async def close(self) -> None:
        """Lets the present batch end. Call it when nobody waits any more."""
        await asyncio.to_thread(self._thread.shutdown)

    async def _gather(self) -> None:
        """Returns when a batch is full, or its oldest job has waited long enough."""
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
        """In the thread."""
        try:
            results = list(self._work(jobs))
        except Exception as error:
            if len(jobs) == 1:
                # Not the error's own words: they may quote the text.
                frame = traceback.extract_tb(error.__traceback__)[-1]
                extra = {"error": type(error).__name__, "at": f"{frame.filename}:{frame.lineno}"}
                logger.error("a text could not be scored", extra=extra)  # noqa: TRY400
                wrapped = _WorkError()
                wrapped.__cause__ = error
                return [wrapped]
            middle = len(jobs) // 2
            return self._results(jobs[:middle]) + self._results(jobs[middle:])
        if len(results) != len(jobs):
            raise RuntimeError(f"{len(jobs)} jobs got {len(results)} results")
        return list(results)

    def _tell(
        self, batch: "list[_PendingJob[Job, Result]]", results: "list[Result | _WorkError]", seconds: float
    ) -> None:
        failed = 0
        for waiting, result in zip(batch, results, strict=True):
            wrong = isinstance(result, _WorkError)
            failed += wrong
            if waiting.answer.done():
                continue  # its caller gave up while it was scored
            if isinstance(result, _WorkError):
                waiting.answer.set_exception(result)
            else:
                waiting.answer.set_result(result)
        self._seconds_per_job += 0.2 * (seconds / len(batch) - self._seconds_per_job)
        self._on_batch(Batch(jobs=len(batch), failed=failed, seconds=seconds))

    def _until_room(self) -> int:
        """Whole seconds until the queue of now is worked off, from 1 to 60."""
        return min(60, max(1, math.ceil(len(self._queue) * self._seconds_per_job)))


class _WorkError(Exception):
    """Stands for the error of one job; `__cause__` is what the work raised."""


def _has_failed(answer: "asyncio.Future[Result]") -> bool:
    return answer.done() and not answer.cancelled() and answer.exception() is not None

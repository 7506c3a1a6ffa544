"""Runs three stages in a thread each: while the model scores a batch, the next is prepared, earlier ones are stored.

Order is preserved. Everything that waits for a stage goes to it together: the slower a stage, the larger its batches
and the lower its cost per post.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import Any, Generic, Protocol, TypeVar

Batch_contra = TypeVar("Batch_contra", contravariant=True)
Prepared = TypeVar("Prepared")
ScoredBatch = TypeVar("ScoredBatch")
Input = TypeVar("Input")
Output = TypeVar("Output")


class Work(Protocol[Batch_contra, Prepared, ScoredBatch]):
    """The work of each stage: `stream_workers.pipeline.batch_pipeline.BatchPipeline`."""

    def prepare(self, batch: Batch_contra, /) -> Prepared: ...

    def score_all(self, waiting: Sequence[Prepared], /) -> ScoredBatch: ...

    def settle_all(self, waiting: Sequence[ScoredBatch], /) -> None: ...


class StageExecutor(Generic[Batch_contra, Prepared, ScoredBatch]):
    """Runs *work*. The caller limits the batches in flight; all methods are called from one event loop.

    The model gets as many batches at once as have *max_posts()* posts together by *size_of*, at least one. Under a
    steady load batches are small, and several small ones pack better; two large ones leave nothing to prepare or store
    in parallel. *on_settled* receives the number of batches that left the last stage. *on_error* receives an exception
    of a stage, which is a bug: no batch may be submitted after it.
    """

    def __init__(
        self,
        work: Work[Batch_contra, Prepared, ScoredBatch],
        *,
        max_posts: Callable[[], int],
        size_of: Callable[[Prepared], int],
        on_settled: Callable[[int], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._work = work
        self._max_posts = max_posts
        self._size_of = size_of
        self._on_settled = on_settled
        self._on_error = on_error
        self._threads = [ThreadPoolExecutor(1, thread_name_prefix=name) for name in ("prepare", "model", "store")]
        self._prepared: list[Prepared] = []
        """Waiting for the model."""
        self._scored: list[tuple[int, ScoredBatch]] = []
        """Waiting for the store, each with its number of batches."""
        self._scoring: asyncio.Task[None] | None = None
        self._settling: asyncio.Task[None] | None = None
        self._failure: Exception | None = None

    async def submit(self, batch: Batch_contra) -> None:
        """Returns when *batch* is prepared. Raises the exception of any stage, of this batch or an earlier one."""
        if self._failure is not None:
            raise self._failure
        self._prepared.append(await self._run(0, self._work.prepare, batch))
        self._scoring = _running(self._scoring, self._score)

    async def close(self) -> None:
        """Wait for all submitted batches, and end the threads."""
        if self._scoring is not None:
            await self._scoring
        if self._settling is not None:
            await self._settling
        for thread in self._threads:
            thread.shutdown()

    async def _score(self) -> None:
        while waiting := self._prepared[: self._next_batches()]:
            del self._prepared[: len(waiting)]
            scored = await self._run(1, self._work.score_all, waiting)
            self._scored.append((len(waiting), scored))
            self._settling = _running(self._settling, self._settle)

    def _next_batches(self) -> int:
        """How many prepared batches go to the model at once."""
        limit, sizes = self._max_posts(), accumulate(map(self._size_of, self._prepared))
        return max(1, sum(posts <= limit for posts in sizes))

    async def _settle(self) -> None:
        while waiting := self._scored[:]:
            self._scored.clear()
            try:
                await self._run(2, self._work.settle_all, [scored for _, scored in waiting])
            finally:
                self._on_settled(sum(batches for batches, _ in waiting))

    async def _run(self, stage: int, work: Callable[[Input], Output], argument: Input) -> Output:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads[stage], work, argument)
        except Exception as error:
            self._failure = error
            self._on_error(error)
            raise


def _running(task: asyncio.Task[None] | None, start: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
    """*task* if it still runs, else a new one. A task without work ends without awaiting, so none is missed."""
    return asyncio.create_task(start()) if task is None or task.done() else task

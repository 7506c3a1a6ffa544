"""Three stages, a thread each: while the model works on one batch, the next is prepared and the last ones are stored.

Order is kept throughout. What waits for a stage goes to it together: the slower it is, the larger what it gets, and
the less it does for a post.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import Any, Generic, Protocol, TypeVar

Read_contra = TypeVar("Read_contra", contravariant=True)
Prepared = TypeVar("Prepared")
Judged = TypeVar("Judged")
Given = TypeVar("Given")
Made = TypeVar("Made")


class Work(Protocol[Read_contra, Prepared, Judged]):
    """What is done at each stage: `stream_workers.pipeline.batch_pipeline.BatchLane`."""

    def prepare(self, batch: Read_contra, /) -> Prepared: ...

    def score_all(self, waiting: Sequence[Prepared], /) -> Judged: ...

    def settle_all(self, waiting: Sequence[Judged], /) -> None: ...


class Stages(Generic[Read_contra, Prepared, Judged]):
    """Runs *work*. Whoever hands batches over bounds how many are on the way; all of it is called from one event loop.

    The model gets so many batches at once as have *most()* posts together by *size_of*, at least one: under a steady
    load batches are small, and several small ones pack better; two large ones leave one to prepare and one to store.
    *settled* is called with the number of batches that left the last stage; *broken* with what a stage raised, which
    is a bug: nothing more may be handed over then.
    """

    def __init__(
        self,
        work: Work[Read_contra, Prepared, Judged],
        *,
        most: Callable[[], int],
        size_of: Callable[[Prepared], int],
        settled: Callable[[int], None],
        broken: Callable[[Exception], None],
    ) -> None:
        self._work = work
        self._most = most
        self._size_of = size_of
        self._settled = settled
        self._broken = broken
        self._threads = [ThreadPoolExecutor(1, thread_name_prefix=name) for name in ("prepare", "model", "store")]
        self._prepared: list[Prepared] = []
        """For the model."""
        self._judged: list[tuple[int, Judged]] = []
        """For the store, each with the number of batches it was made of."""
        self._scoring: asyncio.Task[None] | None = None
        self._settling: asyncio.Task[None] | None = None
        self._failure: Exception | None = None

    async def take(self, batch: Read_contra) -> None:
        """Returns once *batch* is prepared. Raises what a stage raised, of this batch or an earlier one."""
        if self._failure is not None:
            raise self._failure
        self._prepared.append(await self._run(0, self._work.prepare, batch))
        self._scoring = _going(self._scoring, self._score)

    async def finish(self) -> None:
        """Wait for all that was taken, and end the threads."""
        if self._scoring is not None:
            await self._scoring
        if self._settling is not None:
            await self._settling
        for thread in self._threads:
            thread.shutdown()

    async def _score(self) -> None:
        while waiting := self._prepared[: self._fitting()]:
            del self._prepared[: len(waiting)]
            judged = await self._run(1, self._work.score_all, waiting)
            self._judged.append((len(waiting), judged))
            self._settling = _going(self._settling, self._settle)

    def _fitting(self) -> int:
        """How many of what waits for the model go to it at once."""
        most, sizes = self._most(), accumulate(map(self._size_of, self._prepared))
        return max(1, sum(posts <= most for posts in sizes))

    async def _settle(self) -> None:
        while waiting := self._judged[:]:
            self._judged.clear()
            try:
                await self._run(2, self._work.settle_all, [judged for _, judged in waiting])
            finally:
                self._settled(sum(batches for batches, _ in waiting))

    async def _run(self, stage: int, work: Callable[[Given], Made], given: Given) -> Made:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads[stage], work, given)
        except Exception as error:
            self._failure = error
            self._broken(error)
            raise


def _going(task: asyncio.Task[None] | None, begin: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
    """*task*, if it still runs, else a new one: one that ran out of work ends without a wait in between."""
    return asyncio.create_task(begin()) if task is None or task.done() else task

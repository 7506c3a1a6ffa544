"""Three stages, a thread each: while the model works on one batch, the next is prepared and the last ones are stored.

Order is kept throughout. What waits for the store goes to it together: the slower the store, the larger what it gets.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

Read_contra = TypeVar("Read_contra", contravariant=True)
Prepared = TypeVar("Prepared")
Judged = TypeVar("Judged")
Given = TypeVar("Given")
Made = TypeVar("Made")


class Work(Protocol[Read_contra, Prepared, Judged]):
    """What is done at each stage: `stream_workers.lane.BatchLane`."""

    def prepare(self, batch: Read_contra, /) -> Prepared: ...

    def score(self, parts: Prepared, /) -> Judged: ...

    def settle_all(self, waiting: Sequence[Judged], /) -> None: ...


class Stages(Generic[Read_contra, Prepared, Judged]):
    """Runs *work*. Whoever hands batches over bounds how many are on the way; all of it is called from one event loop.

    *settled* is called with the number of batches that left the last stage; *broken* with what a stage raised, which
    is a bug: nothing more may be handed over then.
    """

    def __init__(
        self,
        work: Work[Read_contra, Prepared, Judged],
        *,
        settled: Callable[[int], None],
        broken: Callable[[Exception], None],
    ) -> None:
        self._work = work
        self._settled = settled
        self._broken = broken
        self._threads = [ThreadPoolExecutor(1, thread_name_prefix=name) for name in ("prepare", "model", "store")]
        self._scoring: asyncio.Future[None] | None = None
        self._settling: asyncio.Future[None] | None = None
        self._waiting: list[Judged] = []
        """For the store."""

    async def take(self, batch: Read_contra) -> None:
        """Returns once *batch* is the model's next. Raises what a stage raised."""
        prepared = await self._run(0, self._work.prepare, batch)
        if self._scoring is not None:
            await self._scoring
        self._scoring = asyncio.ensure_future(self._score(prepared))

    async def finish(self) -> None:
        """Wait for all that was taken, and end the threads."""
        if self._scoring is not None:
            await self._scoring
        if self._settling is not None:
            await self._settling
        for thread in self._threads:
            thread.shutdown()

    async def _score(self, prepared: Prepared) -> None:
        judged = await self._run(1, self._work.score, prepared)
        # Looked up only now: the list that was there before the wait may be with the store.
        self._waiting.append(judged)
        if self._settling is None or self._settling.done():
            self._settling = asyncio.ensure_future(self._settle())

    async def _settle(self) -> None:
        while waiting := self._waiting:
            self._waiting = []
            try:
                await self._run(2, self._work.settle_all, waiting)
            finally:
                self._settled(len(waiting))

    async def _run(self, stage: int, work: Callable[[Given], Made], given: Given) -> Made:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads[stage], work, given)
        except Exception as error:
            self._broken(error)
            raise

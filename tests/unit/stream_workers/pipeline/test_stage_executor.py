"""The order of batches in the stages, with a slow or a failing stage."""

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest

from stream_workers.pipeline.stage_executor import StageExecutor
from tests.support.patience import patience


class Work:
    """Records batches; each stage waits until it is opened."""

    def __init__(self) -> None:
        self.scored: list[list[int]] = []
        self.stored: list[list[int]] = []
        self.model_opens, self.store_opens = threading.Event(), threading.Event()
        self.breaks_at: int | None = None

    def prepare(self, batch: int, /) -> int:
        return batch

    def score_all(self, waiting: Sequence[int], /) -> list[int]:
        if self.breaks_at in waiting:
            raise RuntimeError("a bug")
        assert self.model_opens.wait(patience(10))
        self.scored.append(list(waiting))
        return list(waiting)

    def settle_all(self, waiting: Sequence[list[int]], /) -> None:
        assert self.store_opens.wait(patience(10))
        self.stored.append([batch for together in waiting for batch in together])


class Run:
    """Each batch has ten posts, batch 1,000 has thirty."""

    @staticmethod
    def size(batch: int) -> int:
        return 10 if batch < 1_000 else 30

    def __init__(self, work: Work) -> None:
        self.settled: list[int] = []
        self.broken: list[Exception] = []
        self.most = 20
        self.stages: StageExecutor[int, int, list[int]] = StageExecutor(
            work,
            max_posts=lambda: self.most,
            size_of=self.size,
            on_settled=self.settled.append,
            on_error=self.broken.append,
        )


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(patience(10)):
        while not condition():  # noqa: ASYNC110 - what it waits for is a state, not an event
            await asyncio.sleep(0.01)


def test_waiting_batches_enter_a_stage_together_in_order() -> None:
    work = Work()

    async def main() -> Run:
        run = Run(work)
        await run.stages.submit(0)
        for batch in range(1, 5):
            await run.stages.submit(batch)
        work.model_opens.set()
        await until(lambda: len(work.scored) == 3)
        work.store_opens.set()
        await run.stages.close()
        return run

    run = asyncio.run(main())
    assert work.scored == [[0], [1, 2], [3, 4]]
    assert work.stored == [[0], [1, 2, 3, 4]]
    assert (run.settled, run.broken) == ([1, 4], [])


def test_size_limit_is_read_each_time() -> None:
    work = Work()

    async def main() -> Run:
        run = Run(work)
        for batch in range(5):
            await run.stages.submit(batch)
        run.most = 40
        work.model_opens.set()
        work.store_opens.set()
        await run.stages.close()
        return run

    asyncio.run(main())
    assert work.scored == [[0], [1, 2, 3, 4]]


def test_batch_above_the_size_limit_goes_alone() -> None:
    work = Work()
    work.store_opens.set()

    async def main() -> Run:
        run = Run(work)
        for batch in (0, 1_000, 1, 2, 3):
            await run.stages.submit(batch)
        work.model_opens.set()
        await run.stages.close()
        return run

    asyncio.run(main())
    assert work.scored == [[0], [1_000], [1, 2], [3]]


def test_batches_keep_their_order_at_any_stage_speed() -> None:
    work = Work()
    work.model_opens.set()
    work.store_opens.set()

    async def main() -> Run:
        run = Run(work)
        for batch in range(2_000):
            await run.stages.submit(batch)
        await run.stages.close()
        return run

    run = asyncio.run(main())
    assert [batch for together in work.stored for batch in together] == list(range(2_000))
    assert max(map(len, work.scored)) <= 2
    assert sum(run.settled) == 2_000


def test_exception_of_a_stage_is_reported_and_raised_to_the_caller() -> None:
    work = Work()
    work.model_opens.set()
    work.store_opens.set()
    work.breaks_at = 1

    async def main() -> Run:
        run = Run(work)
        await run.stages.submit(0)
        await until(lambda: work.stored == [[0]])
        await run.stages.submit(1)
        await until(lambda: run.broken)
        with pytest.raises(RuntimeError, match="a bug"):
            await run.stages.submit(2)
        with pytest.raises(RuntimeError, match="a bug"):
            await run.stages.close()
        return run

    run = asyncio.run(main())
    assert [str(error) for error in run.broken] == ["a bug"]
    assert work.stored == [[0]]

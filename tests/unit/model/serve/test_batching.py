"""Batching of many callers' jobs in one thread."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from model.serve.batching import Batch, Batcher, BusyError, JobFailedError
from tests.support.patience import patience


class Work:
    """Doubles numbers; 13 raises. Calls wait for `gate`."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def __call__(self, jobs: Sequence[int]) -> list[int]:
        self.calls.append(list(jobs))
        self.threads.add(threading.current_thread().name)
        self.entered.set()
        assert self.gate.wait(patience(10))
        if 13 in jobs:
            raise ValueError("13 of all numbers")
        return [2 * job for job in jobs]


@asynccontextmanager
async def batching(
    work: Work, *, max_batch: int = 8, wait: float = 0.0, max_waiting: int = 100, told: list[Batch] | None = None
) -> AsyncIterator[Batcher[int, int]]:
    batches = [] if told is None else told
    batcher = Batcher(
        work, max_batch=max_batch, max_wait_seconds=wait, max_waiting=max_waiting, on_batch=batches.append
    )
    task = asyncio.create_task(batcher.run())
    yield batcher
    work.gate.set()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await batcher.close()


async def busy(work: Work, batcher: Batcher[int, int], job: int = 0) -> "asyncio.Task[list[int]]":
    """A caller whose batch blocks the thread until `work.gate` is set."""
    work.gate.clear()
    work.entered.clear()
    task = asyncio.create_task(batcher.submit([job]))
    await asyncio.to_thread(work.entered.wait, 10)
    return task


async def test_jobs_that_wait_for_the_thread_form_one_batch() -> None:
    work = Work()
    async with batching(work) as batcher:
        first = await busy(work, batcher)
        others = [asyncio.create_task(batcher.submit([number])) for number in (1, 2, 3)]
        await asyncio.sleep(0)
        work.gate.set()

        assert await first == [0]
        assert await asyncio.gather(*others) == [[2], [4], [6]]
    assert work.calls == [[0], [1, 2, 3]]
    assert work.threads == {"scorer_0"}


async def test_an_idle_thread_waits_for_more_jobs() -> None:
    work = Work()
    async with batching(work, wait=5.0, max_batch=3) as batcher:
        first = asyncio.create_task(batcher.submit([1]))
        for _ in range(10):
            await asyncio.sleep(0)
        assert work.calls == []
        others = await asyncio.gather(batcher.submit([2]), batcher.submit([3]))

        assert [await first, *others] == [[2], [4], [6]]
    assert work.calls == [[1, 2, 3]]  # full, so there is no wait of five seconds


async def test_a_single_job_runs_after_the_maximum_wait() -> None:
    work = Work()
    async with batching(work, wait=0.01) as batcher:
        assert await batcher.submit([4]) == [8]


async def test_a_large_request_is_split_and_reassembled() -> None:
    work = Work()
    async with batching(work, max_batch=4) as batcher:
        assert await batcher.submit(range(20, 30)) == list(range(40, 60, 2))

    assert [len(call) for call in work.calls] == [4, 4, 2]


async def test_no_jobs_get_no_results() -> None:
    async with batching(Work()) as batcher:
        assert await batcher.submit([]) == []


async def test_a_full_queue_rejects_until_there_is_space() -> None:
    work = Work()
    async with batching(work, max_waiting=3) as batcher:
        first = await busy(work, batcher)
        waiting = asyncio.create_task(batcher.submit([1, 2]))
        await asyncio.sleep(0)

        with pytest.raises(BusyError, match="2 texts are waiting, the maximum is 3") as refused:
            await batcher.submit([3, 4])
        assert 1 <= refused.value.retry_after_seconds <= 60
        fits = asyncio.create_task(batcher.submit([5]))
        await asyncio.sleep(0)
        work.gate.set()

        assert await first + await waiting + await fits == [0, 2, 4, 10]
        assert await batcher.submit([3, 4]) == [6, 8]


async def test_a_cancelled_caller_leaves_the_queue() -> None:
    work = Work()
    async with batching(work, max_waiting=2) as batcher:
        first = await busy(work, batcher)
        gives_up = asyncio.create_task(batcher.submit([1, 2]))
        await asyncio.sleep(0)
        assert batcher.waiting == 2

        gives_up.cancel()
        await asyncio.gather(gives_up, return_exceptions=True)
        assert batcher.waiting == 0
        stays = asyncio.create_task(batcher.submit([3, 4]))
        await asyncio.sleep(0)
        work.gate.set()

        assert await first + await stays == [0, 6, 8]
    assert work.calls == [[0], [3, 4]]


async def test_a_caller_cancelled_in_the_thread_affects_no_other() -> None:
    work = Work()
    async with batching(work) as batcher:
        gives_up = await busy(work, batcher)
        gives_up.cancel()
        await asyncio.gather(gives_up, return_exceptions=True)
        work.gate.set()

        assert await batcher.submit([1]) == [2]


async def test_one_bad_job_fails_alone() -> None:
    work, told = Work(), list[Batch]()
    async with batching(work, told=told) as batcher:
        first = await busy(work, batcher)
        good = [asyncio.create_task(batcher.submit([number])) for number in (1, 2, 3)]
        bad = asyncio.create_task(batcher.submit([4, 13, 5]))
        more = asyncio.create_task(batcher.submit([6]))
        await asyncio.sleep(0)
        work.gate.set()

        assert await first == [0]
        assert await asyncio.gather(*good, more) == [[2], [4], [6], [12]]
        with pytest.raises(JobFailedError) as failed:
            await bad
    assert failed.value.position == 1
    assert isinstance(failed.value.__cause__, ValueError)
    assert [batch.failed for batch in told] == [0, 1]


async def test_a_request_of_failing_jobs_leaves_no_unread_error(caplog: pytest.LogCaptureFixture) -> None:
    async with batching(Work()) as batcher:
        with pytest.raises(JobFailedError) as failed:
            await batcher.submit([13, 13, 1])

    assert failed.value.position == 0
    assert "never retrieved" not in caplog.text
    assert "13 of all numbers" not in caplog.text  # an error may contain a text: only its type is logged


async def test_the_loop_stays_free_while_the_thread_works() -> None:
    work = Work()
    async with batching(work) as batcher:
        first = await busy(work, batcher)
        for _ in range(100):
            await asyncio.sleep(0)
        assert batcher.busy_seconds > 0
        assert not first.done()
        work.gate.set()

        assert await first == [0]
        assert batcher.busy_seconds == 0


async def test_work_that_loses_a_result_is_a_bug_and_ends_the_batcher() -> None:
    batcher = Batcher[int, int](lambda jobs: [], max_batch=4, max_wait_seconds=0, max_waiting=10)
    task = asyncio.create_task(batcher.run())
    caller = asyncio.create_task(batcher.submit([1]))

    with pytest.raises(RuntimeError, match="1 jobs got 0 results"):
        await task
    caller.cancel()
    await batcher.close()

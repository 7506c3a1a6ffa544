"""One read for all who ask at the same time, and for a moment after."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable


class ReadCache:
    """Answers kept for *life_seconds*, at most *size* of them. A failed read is told to all who waited, not kept."""

    def __init__(self, *, life_seconds: float = 1.0, size: int = 256) -> None:
        self._life_seconds = life_seconds
        self._size = size
        self._answers: OrderedDict[Hashable, tuple[float, asyncio.Task[bytes]]] = OrderedDict()

    async def get(self, key: Hashable, read: Callable[[], Awaitable[bytes]]) -> bytes:
        kept = self._answers.get(key)
        now = time.monotonic()
        if kept is not None and (now < kept[0] or not kept[1].done()):
            return await asyncio.shield(kept[1])
        task = asyncio.ensure_future(_run(read))
        task.add_done_callback(lambda done: self._settle(key, done))
        self._answers[key] = (float("inf"), task)
        self._answers.move_to_end(key)
        while len(self._answers) > self._size:
            self._answers.popitem(last=False)
        # Shielded: the reader who asked first may close the page; the others still want the answer.
        return await asyncio.shield(task)

    def _settle(self, key: Hashable, task: "asyncio.Task[bytes]") -> None:
        failed = task.cancelled() or task.exception() is not None
        if self._answers.get(key, (0.0, None))[1] is not task:
            return
        if failed:
            del self._answers[key]
        else:
            self._answers[key] = (time.monotonic() + self._life_seconds, task)


async def _run(read: Callable[[], Awaitable[bytes]]) -> bytes:
    return await read()

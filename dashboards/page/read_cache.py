"""Shares one read among simultaneous requests, and for a short time after."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable


class ReadCache:
    """Caches at most *size* answers for *life_seconds*. A failed read raises for all requesters and is not cached."""

    def __init__(self, *, life_seconds: float = 1.0, size: int = 256) -> None:
        self._life_seconds = life_seconds
        self._size = size
        self._answers: OrderedDict[Hashable, tuple[float, asyncio.Task[bytes]]] = OrderedDict()

    async def get(self, key: Hashable, read: Callable[[], Awaitable[bytes]]) -> bytes:
        cached = self._answers.get(key)
        now = time.monotonic()
        if cached is not None and (now < cached[0] or not cached[1].done()):
            return await asyncio.shield(cached[1])
        task = asyncio.ensure_future(_run(read))
        task.add_done_callback(lambda done: self._settle(key, done))
        self._answers[key] = (float("inf"), task)
        self._answers.move_to_end(key)
        while len(self._answers) > self._size:
            self._answers.popitem(last=False)
        # Shielded: if the first requester closes its page, the others still get the answer.
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

"""Pauses between attempts that fail because another server is away."""

import asyncio
import contextlib
import random
from collections.abc import Coroutine
from typing import Any


class Backoff:
    """Growing pauses: each is twice as long as the one before, up to a limit; `stop` ends a pause early.

    A pause lasts a random part of its length, at least half, so that processes that failed together do not retry
    together.
    """

    def __init__(
        self,
        stop: asyncio.Event | None = None,
        *,
        first_seconds: float = 0.2,
        most_seconds: float = 5.0,
        rng: random.Random | None = None,
    ) -> None:
        self._stop = stop or asyncio.Event()
        self._first = first_seconds
        self._most = most_seconds
        self._rng = rng or random.Random()
        self._seconds = 0.0

    def reset(self) -> None:
        """After a success: the next pause is the first again."""
        self._seconds = 0.0

    def grow(self) -> float:
        """The longest that the next pause may last, in seconds: for the log."""
        self._seconds = min(self._most, max(self._first, self._seconds * 2))
        return self._seconds

    async def pause(self) -> None:
        """Wait as `grow` set it, or until the stop event."""
        await pause(self._stop, self._rng.uniform(self._seconds / 2, self._seconds))


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait *seconds*, or until *stop* is set."""
    waiting: Coroutine[Any, Any, Any] = stop.wait()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(waiting, seconds)

"""The event stream of all open pages: one read per second, sent to every page when the content changed."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

from brandpulse.errors import BrandpulseError

BEAT = b"event: beat\ndata: {}\n\n"
"""Sent while nothing changes: a page without beats knows that its connection is lost."""


class EventStream:
    """Reads while at least one page listens. A slow page skips to the newest message: there is no queue."""

    def __init__(
        self,
        read: Callable[[], Awaitable[bytes]],
        describe: Callable[[BrandpulseError], bytes],
        *,
        interval_seconds: float = 1.0,
        beat_seconds: float = 2.0,
    ) -> None:
        self._read = read
        self._describe = describe
        self._interval_seconds = interval_seconds
        self._beat_seconds = beat_seconds
        self._has_listeners = asyncio.Event()
        self._changed = asyncio.Condition()
        self._message = b""
        self._number = 0
        self._closed = False
        self.listeners = 0

    async def run(self) -> None:
        """Read and publish until cancelled. The server owns this task."""
        while True:
            await self._has_listeners.wait()
            await self._publish(await self._next_message())
            await asyncio.sleep(self._interval_seconds)

    async def close(self) -> None:
        """End every listener, so that a stopping server does not wait for open pages."""
        self._closed = True
        async with self._changed:
            self._changed.notify_all()

    async def messages(self) -> AsyncGenerator[bytes, None]:
        """The newest message at once, then each change, and a beat while nothing changes."""
        with self._listening():
            seen = 0
            while not self._closed:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._beat_seconds), self._changed:
                        await self._changed.wait_for(lambda: self._closed or self._number > seen)  # noqa: B023
                if self._closed:
                    return
                fresh = self._number > seen
                seen = self._number
                yield self._message if fresh else BEAT

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        self.listeners += 1
        self._has_listeners.set()
        try:
            yield
        finally:
            self.listeners -= 1
            if not self.listeners:
                self._has_listeners.clear()

    async def _next_message(self) -> bytes:
        try:
            return b"event: snapshot\ndata: " + await self._read() + b"\n\n"
        except BrandpulseError as error:
            return b"event: trouble\ndata: " + self._describe(error) + b"\n\n"

    async def _publish(self, message: bytes) -> None:
        if message == self._message:
            return
        async with self._changed:
            self._message = message
            self._number += 1
            self._changed.notify_all()

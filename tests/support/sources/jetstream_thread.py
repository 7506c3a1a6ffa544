"""A Jetstream server in a thread of its own, for tests that start processes."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.support.sources.jetstream_server import Jetstream


class JetstreamThread:
    """`add` may be called from any thread."""

    def __init__(self) -> None:
        self.server = Jetstream()
        self._loop = asyncio.new_event_loop()
        self._ready, self._end = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)

    def add(self, text: str, *, at_us: int) -> None:
        self._loop.call_soon_threadsafe(lambda: self.server.add(text, at_us=at_us))

    def call(self, change: Callable[[Jetstream], object]) -> None:
        """Runs *change* in the server's thread."""
        self._loop.call_soon_threadsafe(change, self.server)

    def drop_connections(self) -> None:
        for transport in list(self.server.transports):
            self._loop.call_soon_threadsafe(transport.abort)

    async def _serve(self) -> None:
        async with self.server.running():
            self._ready.set()
            await self._end.wait()

    @contextmanager
    def running(self) -> Iterator["JetstreamThread"]:
        self._thread.start()
        self._ready.wait()
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join()

"""Start and stop of a process: the signals that ask it to stop, the port that it serves."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from types import FrameType
from typing import TYPE_CHECKING

from brandpulse.errors import ConfigError

if TYPE_CHECKING:
    from aiohttp import web

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def stop_asked() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set while the context is open. Main thread only."""
    asked = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    before = {number: signal.signal(number, ask) for number in STOP_SIGNALS}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_event() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set, for as long as the running event loop lives."""
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


@contextlib.asynccontextmanager
async def listening(
    app: "web.Application", host: str, port: int, *, shutdown_seconds: float = 1.0
) -> AsyncIterator[str]:
    """Serve *app* inside the context; yields its URL. At the end open requests have *shutdown_seconds* to finish.

    Raises OSError if the port is in use: see `cannot_listen`.
    """
    from aiohttp import web

    runner = web.AppRunner(app, shutdown_timeout=shutdown_seconds)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def cannot_listen(host: str, port: int, error: OSError, *, variable: str) -> ConfigError:
    """The error of a service that cannot bind *port*, which *variable* sets."""
    # asyncio's own text repeats the address; a name that cannot be resolved has no errno of the system.
    reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
    return ConfigError(
        f"cannot listen on {host}:{port} ({reason}). Set {variable} to another port, or to 0 for any free one"
    )

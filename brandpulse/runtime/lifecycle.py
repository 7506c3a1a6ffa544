"""Start and stop of a process: the signals that ask it to stop, and a port that it cannot have."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from types import FrameType

from brandpulse.errors import ConfigError

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


def cannot_listen(host: str, port: int, error: OSError, *, variable: str) -> ConfigError:
    """The error of a service that cannot bind *port*, which *variable* sets."""
    # asyncio's own text repeats the address; a name that cannot be resolved has no errno of the system.
    reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
    return ConfigError(
        f"cannot listen on {host}:{port} ({reason}). Set {variable} to another port, or to 0 for any free one"
    )

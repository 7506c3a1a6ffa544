"""Stop signals, and a port that cannot be bound."""

import asyncio
import errno
import os
import signal
import socket

from brandpulse.runtime.lifecycle import cannot_listen, stop_asked, stop_event
from tests.support.patience import patience


def test_a_signal_sets_the_event_and_the_former_handler_returns() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_asked() as asked:
        assert not asked.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked.wait(patience(10))
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_sets_the_event_of_the_loop() -> None:
    async def until_stopped() -> None:
        stop = stop_event()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(stop.wait(), patience(10))

    asyncio.run(until_stopped())


def test_a_taken_port_is_reported_with_its_setting() -> None:
    error = OSError(errno.EADDRINUSE, "error while attempting to bind on address ('127.0.0.1', 80): [errno 98]")
    assert str(cannot_listen("127.0.0.1", 80, error, variable="BRANDPULSE_PAGE_PORT")) == (
        "cannot listen on 127.0.0.1:80 (Address already in use). "
        "Set BRANDPULSE_PAGE_PORT to another port, or to 0 for any free one"
    )


def test_an_unknown_host_is_reported_with_the_resolvers_reason() -> None:
    error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    assert "(Name or service not known)" in str(cannot_listen("nowhere.example", 80, error, variable="X"))

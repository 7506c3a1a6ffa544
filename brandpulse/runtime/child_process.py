"""Child processes: started on free loopback ports, waited for until ready, stopped by process id."""

import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from brandpulse.errors import BrandpulseError

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1
_GIVEN: "deque[int]" = deque(maxlen=1_000)


def _end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent dies, even of SIGKILL.

    Orphans of a killed `up` would keep serving, and a second Valkey on the same data folder damages its file.
    """
    assert _LIBC is not None  # noqa: S101 - guarded by the caller
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


ERROR_MARK = "brandpulse: "
"""Prefix of the error with which `python -m brandpulse` ends."""
WRONG_SETTINGS = 2
"""Exit code of a command with wrong usage, settings or input: a restart cannot help."""
MOST_LINE_BYTES = 4_000


class StartError(BrandpulseError):
    """A child process did not become ready; the message contains the end of its log."""


def free_port() -> int:
    """A free loopback port that was not returned here lately; another process may take it before its use.

    It is below the ports of outgoing connections, so a server that is restarted finds its port free again.
    """
    while True:
        # System randomness: with a seeded generator every process would get the same ports.
        port = random.SystemRandom().randint(15_000, 32_000)
        if port in _GIVEN:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _GIVEN.append(port)
            return port


def port_answers(port: int, host: str = "127.0.0.1") -> bool:
    try:
        with socket.create_connection((host, port), timeout=0.2):
            return True
    except OSError:
        return False


class Child:
    """One child process and its log. `stop` ends it in order, `kill` at once."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as sink:
            self._log_start = sink.seek(0, os.SEEK_END)
            # A session of its own: Ctrl-C in the terminal reaches the parent, which stops its children in order.
            self._process = subprocess.Popen(  # noqa: S603 - fixed commands, no shell
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
                # Linux only, and safe here: one call into libc, loaded long before the fork.
                preexec_fn=_end_with_parent if _LIBC is not None else None,  # noqa: PLW1509
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def wait_ready(self, ready: Callable[[], bool], *, timeout_seconds: float = 30.0) -> None:
        """Wait until *ready* returns True. Raises StartError if the process dies or the time is up."""
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            if self.exit_code is not None:
                raise StartError(f"{self.name} ended with code {self.exit_code} while starting:\n{self.reason()}")
            if time.monotonic() > deadline:
                self.kill()
                raise StartError(f"{self.name} was not ready after {timeout_seconds:g} s:\n{self.log_tail()}")
            time.sleep(0.05)

    def log_tail(self, lines: int = 20) -> str:
        """The last *lines* of this process; the log file may hold those of earlier ones."""
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            file.seek(max(self._log_start, file.seek(0, os.SEEK_END) - lines * MOST_LINE_BYTES))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
        return "(no log)"

    def reason(self) -> str:
        """Why the process ended: the error in its last lines, else these lines."""
        tail = self.log_tail()
        _, mark, error = f"\n{tail}".rpartition(f"\n{ERROR_MARK}")
        return error.strip() if mark else tail

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, timeout_seconds: float) -> int:
        """Its exit code. Raises subprocess.TimeoutExpired."""
        return self._process.wait(timeout_seconds)

    def stop(self, *, grace_seconds: float = 15.0) -> int:
        """SIGTERM, then SIGKILL after *grace_seconds*. Returns the exit code."""
        self.signal(signal.SIGTERM)
        try:
            return self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """SIGKILL: to other processes it looks like a power cut."""
        self.signal(signal.SIGKILL)
        return self._process.wait(10)

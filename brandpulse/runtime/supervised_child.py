"""A child process that is started again after it ends: the restart rule of `brandpulse up` and `brandpulse replay`."""

import time
from collections.abc import Callable

from brandpulse.runtime.child_process import Child

RESTART_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Pause before the n-th restart in a row. After `STABLE_SECONDS` of running, the first pause applies again."""
STABLE_SECONDS = 60.0


class SupervisedChild:
    """Runs the process that *launch* starts. The owner calls `restart_if_ended` about twice a second."""

    def __init__(self, name: str, launch: Callable[[], Child]) -> None:
        self.name = name
        self.restarts = 0
        self.previous: Child | None = None
        """The process before this one, which ended."""
        self._launch = launch
        self._restart_at = 0.0
        self._started = time.monotonic()
        self.child: Child | None = launch()
        """None during a pause."""

    @property
    def latest(self) -> Child | None:
        """The last process that ended, else the running one: its log explains a failure."""
        return self.previous or self.child

    def restart_if_ended(self, report: Callable[[Child, float], None]) -> None:
        """Call *report* with a process that ended and the pause in seconds; start the next one after that pause."""
        now = time.monotonic()
        child = self.child
        if child is not None and child.exit_code is not None:
            if now - self._started > STABLE_SECONDS:
                self.restarts = 0
            pause = RESTART_SECONDS[min(self.restarts, len(RESTART_SECONDS) - 1)]
            self.child, self.previous, self._restart_at = None, child, now + pause
            self.restarts += 1
            report(child, pause)
        elif child is None and now >= self._restart_at:
            self._started = now
            self.child = self._launch()

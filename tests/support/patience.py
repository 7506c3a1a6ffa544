"""Time limits that follow the speed of the machine: a busy machine gets more seconds, a stuck program still fails."""

import asyncio
import time
from collections.abc import Callable

REFERENCE_SECONDS = 0.033
"""Seconds that `_probe` takes on an idle core of the machine on which the limits were chosen."""
LONGEST = 30.0
"""A machine that is slower than this gets no more time."""
_PROBE_AGE_SECONDS = 10.0

_slowest = 1.0
_probed_at = -_PROBE_AGE_SECONDS


def patience(seconds: float) -> float:
    """*seconds* for an idle machine, times how much slower this one is now or was since the tests began (1 to 30)."""
    return seconds * slowness()


def wait_until(
    true: Callable[[], object], what: str = "the condition", *, seconds: float = 30, poll_seconds: float = 0.05
) -> None:
    """Wait until *true* returns something true. Fails with *what* after `patience(seconds)`."""
    deadline = time.monotonic() + patience(seconds)
    while not true():
        assert time.monotonic() < deadline, f"not within {patience(seconds):.0f} s: {what}"
        time.sleep(poll_seconds)


async def wait_until_async(
    true: Callable[[], object], what: str = "the condition", *, seconds: float = 20, poll_seconds: float = 0.01
) -> None:
    """As `wait_until`, on the event loop."""
    deadline = time.monotonic() + patience(seconds)
    while not true():
        assert time.monotonic() < deadline, f"not within {patience(seconds):.0f} s: {what}"
        await asyncio.sleep(poll_seconds)


def slowness() -> float:
    """How many times longer than on an idle reference machine a fixed piece of work takes; at least 1."""
    global _slowest, _probed_at  # noqa: PLW0603 - one measurement for the whole process
    if time.monotonic() - _probed_at >= _PROBE_AGE_SECONDS:
        _slowest = min(max(_slowest, _probe() / REFERENCE_SECONDS), LONGEST)
        _probed_at = time.monotonic()
    return _slowest


def _probe() -> float:
    """Seconds on the clock for a fixed piece of work, long enough to be interrupted by other processes."""
    begun = time.perf_counter()
    total = 0
    for number in range(600_000):
        total += number & 7
    assert total == 7 * 300_000
    return time.perf_counter() - begun

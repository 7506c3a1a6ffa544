"""Pauses between attempts."""

import asyncio
import random

from brandpulse.runtime.backoff import Backoff, pause
from tests.support.patience import patience


def test_pauses_double_up_to_their_limit_and_a_success_resets_them() -> None:
    backoff = Backoff(first_seconds=0.2, most_seconds=1.0)
    assert [backoff.grow() for _ in range(5)] == [0.2, 0.4, 0.8, 1.0, 1.0]
    backoff.reset()
    assert backoff.grow() == 0.2


async def test_the_stop_event_ends_a_pause() -> None:
    stop = asyncio.Event()
    backoff = Backoff(stop, first_seconds=3_600, most_seconds=3_600, rng=random.Random(1))
    backoff.grow()
    waiting = asyncio.create_task(backoff.pause())
    await asyncio.sleep(0)
    assert not waiting.done()
    stop.set()
    await asyncio.wait_for(waiting, patience(10))


async def test_a_pause_without_length_ends_at_once() -> None:
    await asyncio.wait_for(pause(asyncio.Event(), 0.0), patience(10))

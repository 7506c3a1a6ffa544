"""A receiver that is down for six hours while ten thousand transitions are decided. Simulated clock, real sender."""

import asyncio
import os
import random
from itertools import groupby

import pytest

from alerting.dispatch.sender import Sender
from alerting.notifications.delivery import RetryPolicy
from alerting.store.memory_store import MemoryAlertStore
from brandpulse.runtime.metric_definitions import ALERTER_METRICS
from brandpulse.runtime.metrics import Telemetry
from tests.support.alerting.episode_builders import a_delivery
from tests.support.alerting.fake_pagerduty import Pager
from tests.support.simulated_loop import SimulatedLoop, run_simulated

OUTAGE_SECONDS = 6 * 3_600
REQUEST_SECONDS = 0.05
LONG = pytest.mark.skipif(not os.environ.get("ALERT_SOAK"), reason="a minute long: make soak-alerts")


async def outage(loop: SimulatedLoop, episodes: int) -> tuple[Pager, MemoryAlertStore, float]:
    """What the pager has seen, and how long after its return the last notification was handed over."""
    began = loop.time()
    store = MemoryAlertStore()
    token = store.acquire("me", lease_ms=1_000)
    assert token is not None
    pager = Pager(seconds=REQUEST_SECONDS)
    pager.mood = "away"

    def wall_ms() -> int:
        return 10**12 + int((loop.time() - began) * 1_000)

    sender = Sender(
        store,
        {"pager": pager},
        token=token,
        policy=RetryPolicy(),
        telemetry=Telemetry(ALERTER_METRICS),
        wall_ms=wall_ms,
        rng=random.Random(1),
    )
    stop = asyncio.Event()
    running = asyncio.create_task(sender.run(stop))
    for number in range(episodes):
        key = f"{number:04}"
        decided = [a_delivery(one, key=key, decided_ms=wall_ms()) for one in ("triggered", "resolved")]
        store.enqueue(decided, token=token)
        sender.wake(decided)
        await asyncio.sleep(OUTAGE_SECONDS / episodes)
    requests_while_down = pager.requests
    pager.mood = "well"
    back = loop.time()
    while store.tally().waiting:  # noqa: ASYNC110 - simulated
        await asyncio.sleep(0.5)
    drained = loop.time() - back
    stop.set()
    await running
    pager.requests = requests_while_down
    return pager, store, drained


@pytest.mark.parametrize("transitions", [1_000, pytest.param(10_000, marks=LONG)])
@pytest.mark.timeout(1_800)
def test_after_six_hours_of_outage_all_transitions_arrive_in_a_minute(transitions: int) -> None:
    pager, store, drained = run_simulated(lambda loop: outage(loop, transitions // 2))
    limit = transitions * REQUEST_SECONDS / 32
    print(
        f"\n{transitions} transitions, receiver down {OUTAGE_SECONDS // 3_600} h: drained {drained:.1f} s after its "
        f"return ({limit:.1f} s at 32 requests in flight of {REQUEST_SECONDS} s), {pager.requests} requests while down"
    )
    assert drained <= 60 + limit
    assert pager.requests <= OUTAGE_SECONDS / 15 + 100, "a dead receiver is probed, not stormed"
    by_key = groupby(sorted(pager.processed, key=lambda one: one[0]), key=lambda one: one[0])
    assert {tuple(action for _, action in events) for _, events in by_key} == {("trigger", "resolve")}
    assert len(pager.processed) == transitions
    assert len(pager.incidents.all) == transitions // 2
    assert pager.incidents.open() == []
    tally = store.tally()
    assert (tally.total("accepted"), tally.total("delivered"), tally.waiting) == (transitions, transitions, 0)

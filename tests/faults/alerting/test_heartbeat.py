"""The dead-man's switch of a real alerter: who waits for it hears nothing once the store is gone, or a receiver."""

import asyncio
from pathlib import Path

import pytest
import redis

from alerting.mock_receiver import MockReceiver
from brandpulse.embedded import EmbeddedStore
from brandpulse.processes import Child
from tests.faults.alerting.processes import start_alerter
from tests.faults.alerting.test_alerter_process import a_day_with_a_crisis, until, wall_ms

LONGEST_SECONDS = 60.0


async def falls_silent(mock: MockReceiver, child: Child) -> None:
    """No beat for three seconds, where one came ten times a second."""
    for _ in range(int(LONGEST_SECONDS / 3)):
        heard = mock.heartbeats
        await asyncio.sleep(3)
        assert child.exit_code is None, child.log_tail()
        if mock.heartbeats == heard:
            return
    raise AssertionError("it beats on")


@pytest.mark.parametrize("gone", ["store", "worker"])
async def test_the_heart_stops_when_a_part_does(tmp_path: Path, kafka: str, namespace: str, gone: str) -> None:
    store = EmbeddedStore(tmp_path / "store")
    try:
        async with MockReceiver() as mock:
            with redis.Redis.from_url(store.url) as client:
                a_day_with_a_crisis().write(client, namespace, wall_ms=wall_ms())
            child = start_alerter(
                tmp_path,
                redis_url=store.url,
                kafka=kafka,
                namespace=namespace,
                receiver_url=f"{mock.url}/v2/enqueue",
                BRANDPULSE_ALERTER_HEARTBEAT_URL=f"{mock.url}/heartbeat/x",
                BRANDPULSE_ALERTER_HEARTBEAT_SECONDS="0.1",
                # No worker runs here, so event time stands still from the start.
                BRANDPULSE_ALERTER_HEARTBEAT_MOVED_WITHIN_SECONDS="5" if gone == "worker" else "600",
            )
            await until(lambda: mock.heartbeats >= 5, child=child)
            if gone == "store":
                store.stop()
            await falls_silent(mock, child)
            await asyncio.to_thread(child.stop)
    finally:
        store.stop()

"""The dead-man's switch: heartbeats are sent while all is well, and stop when any part stops."""

import asyncio
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from alerting.heartbeat import Heartbeat, HeartbeatPolicy, Vitals, reason_to_withhold
from brandpulse.devstack.mock_receiver import MockReceiver
from brandpulse.runtime.metric_definitions import ALERTER_METRICS
from brandpulse.runtime.metrics import Telemetry
from tests.support.patience import patience

POLICY = HeartbeatPolicy(every=60, evaluated_within=60, moved_within=1_800, drained_within=150)


def well(**changes: Any) -> Vitals:
    return Vitals(**{"evaluated_at": 1_000.0, "moved_at": 1_000.0, "evaluated_until_ms": 1, **changes})


@pytest.mark.parametrize(
    ("vitals", "now", "expected"),
    [
        (well(), 1_060.0, None),
        (well(), 1_061.0, "no evaluation has succeeded recently"),
        (Vitals(), 0.0, "no evaluation has succeeded recently"),
        (well(stalled=True), 1_000.0, "a partition with lag does not move"),
        (
            well(unseen=["posts:3"]),
            1_000.0,
            "no sign of life from the worker of posts:3: it is gone, or Kafka does not respond to it",
        ),
        (
            well(unseen=["posts:0", "posts:3"]),
            1_000.0,
            "no sign of life from the worker of posts:0 and 1 more: it is gone, or Kafka does not respond to it",
        ),
        (well(moved_at=-700.0), 1_000.0, None),
        (well(moved_at=-801.0), 1_000.0, "event time does not move"),
        (well(waiting_since=850.0), 1_000.0, None),
        (well(waiting_since=849.0), 1_000.0, "notifications wait for a receiver"),
    ],
)
def test_the_heartbeat_needs_evaluations_movement_and_deliveries(
    vitals: Vitals, now: float, expected: str | None
) -> None:
    assert reason_to_withhold(vitals, now=now, policy=POLICY) == expected


def test_event_time_moves_with_the_evaluated_minute() -> None:
    vitals = Vitals()
    for evaluated, now in ((None, 1.0), (5, 2.0), (5, 3.0), (5, 4.0), (6, 5.0), (6, 6.0)):
        vitals.record_evaluation(evaluated, stalled=False, now=now)
    assert (vitals.evaluated_at, vitals.moved_at) == (6.0, 5.0)


@pytest.mark.parametrize("stops", ["stalled", "unseen", "waiting_since", "evaluated_at"])
async def test_when_a_part_stalls_no_heartbeat_is_sent(stops: str) -> None:
    vitals = well(evaluated_at=0.0, moved_at=0.0)
    telemetry = Telemetry(ALERTER_METRICS)
    async with MockReceiver() as mock, aiohttp.ClientSession() as session:
        beat = Heartbeat(
            SecretStr(f"{mock.url}/heartbeat/sssecret"),
            policy=HeartbeatPolicy(every=0.02),
            session=session,
            timeout_seconds=1,
            telemetry=telemetry,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(beat.run(stop, lambda: vitals, lambda: 0.0))
        async with asyncio.timeout(patience(10)):
            while mock.heartbeats < 3:  # noqa: ASYNC110 - another server's counter
                await asyncio.sleep(0.01)
        setattr(
            vitals,
            stops,
            {"stalled": True, "unseen": ["posts:0"], "waiting_since": -999.0, "evaluated_at": -999.0}[stops],
        )
        await asyncio.sleep(0.1)
        heard = mock.heartbeats
        await asyncio.sleep(0.2)
        assert mock.heartbeats == heard
        stop.set()
        await running
    assert telemetry.registry.get_sample_value("brandpulse_heartbeats_total", {"outcome": "withheld"})


async def test_a_failed_heartbeat_continues_and_logs_no_address(caplog: pytest.LogCaptureFixture) -> None:
    telemetry = Telemetry(ALERTER_METRICS)
    async with aiohttp.ClientSession() as session:
        beat = Heartbeat(
            SecretStr("http://127.0.0.1:1/sssecret"),
            policy=HeartbeatPolicy(every=0.02),
            session=session,
            timeout_seconds=1,
            telemetry=telemetry,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(beat.run(stop, lambda: well(evaluated_at=0.0, moved_at=0.0), lambda: 0.0))
        await asyncio.sleep(0.2)
        stop.set()
        await running
    assert telemetry.registry.get_sample_value("brandpulse_heartbeats_total", {"outcome": "failed"})
    assert "sssecret" not in caplog.text

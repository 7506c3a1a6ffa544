"""The dead-man's switch of a real alerter: no heartbeat is sent once the store or a receiver is gone."""

import asyncio
import signal
from pathlib import Path

import pytest
import redis

from brandpulse.devstack.embedded_servers import EmbeddedBroker, EmbeddedStore
from brandpulse.devstack.mock_receiver import MockReceiver
from brandpulse.runtime.child_process import Child
from brandpulse.runtime.service_registry import running
from brandpulse.state.keys import MINUTE_MS
from tests.faults.alerting.processes import start_alerter
from tests.faults.alerting.test_alerter_process import a_day_with_a_crisis, until, wall_ms
from tests.support.builders import NOON_MS, a_post
from tests.support.running_pipeline import Pipeline, counted

LONGEST_SECONDS = 60.0
SEEN_WITHIN_SECONDS = 20
"""The least that the setting takes."""


async def falls_silent(mock: MockReceiver, child: Child) -> None:
    """Returns when there was no beat for three seconds, where one came ten times a second."""
    for _ in range(int(LONGEST_SECONDS / 3)):
        heard = mock.heartbeats
        await asyncio.sleep(3)
        assert child.exit_code is None, child.log_tail()
        if mock.heartbeats == heard:
            return
    raise AssertionError("it beats on")


@pytest.mark.parametrize("gone", ["store", "worker"])
async def test_the_heartbeat_stops_when_a_part_stops(tmp_path: Path, kafka: str, namespace: str, gone: str) -> None:
    store = EmbeddedStore(tmp_path / "store")
    try:
        async with MockReceiver() as mock:
            with redis.Redis.from_url(store.url) as client:
                # The last sign of a worker that is gone: it is good for ten seconds more than the setting below.
                a_day_with_a_crisis().write(client, namespace, wall_ms=wall_ms() + 10_000)
            child = start_alerter(
                tmp_path,
                redis_url=store.url,
                kafka=kafka,
                namespace=namespace,
                receiver_url=f"{mock.url}/v2/enqueue",
                BRANDPULSE_ALERTER_HEARTBEAT_URL=f"{mock.url}/heartbeat/x",
                BRANDPULSE_ALERTER_HEARTBEAT_SECONDS="0.1",
                BRANDPULSE_ALERTER_HEARTBEAT_SEEN_WITHIN_SECONDS=str(SEEN_WITHIN_SECONDS if gone == "worker" else 600),
            )
            await until(lambda: mock.heartbeats >= 5, child=child)
            if gone == "store":
                store.stop()
            await falls_silent(mock, child)
            await asyncio.to_thread(child.stop)
    finally:
        store.stop()


@pytest.mark.timeout(240)
async def test_the_heartbeat_stops_with_the_broker_but_not_with_the_page(
    tmp_path: Path, redis_url: str, namespace: str
) -> None:
    broker = EmbeddedBroker(tmp_path)
    pipeline = Pipeline(tmp_path, broker.bootstrap_servers, redis_url, namespace)
    stop = asyncio.Event()

    async def posts_come() -> None:
        minute = 0
        while not stop.is_set():
            at_ms = NOON_MS + minute * MINUTE_MS
            posts = [a_post(f"{minute}-{n}", at_ms=at_ms) for n in range(20)]
            # What a broker that is gone does not take is dropped after a second: the producer lives on.
            await asyncio.to_thread(pipeline.produce, posts, **{"message.timeout.ms": 1_000})
            minute += 1
            await asyncio.sleep(0.2)

    try:
        pipeline.create_topics()
        pipeline.service("worker")
        page = pipeline.service("dashboards", "page")
        page.wait_ready(lambda: bool(running(tmp_path, "page")))
        async with MockReceiver() as mock:
            child = start_alerter(
                tmp_path / "alerter",
                redis_url=redis_url,
                kafka=broker.bootstrap_servers,
                namespace=namespace,
                receiver_url=f"{mock.url}/v2/enqueue",
                BRANDPULSE_ALERTER_HEARTBEAT_URL=f"{mock.url}/heartbeat/x",
                BRANDPULSE_ALERTER_HEARTBEAT_SECONDS="0.1",
                BRANDPULSE_ALERTER_HEARTBEAT_SEEN_WITHIN_SECONDS=str(SEEN_WITHIN_SECONDS),
            )
            producing = asyncio.create_task(posts_come())
            await until(lambda: mock.heartbeats >= 5, child=child)
            page.kill()
            heard = mock.heartbeats
            await until(lambda: mock.heartbeats >= heard + 5, child=child)
            broker.child.kill()
            await falls_silent(mock, child)
            stop.set()
            await producing
            await asyncio.to_thread(child.stop)
    finally:
        stop.set()
        pipeline.stop()
        broker.stop()


@pytest.mark.timeout(240)
async def test_the_heartbeat_stops_while_the_broker_of_an_idle_topic_hangs(
    tmp_path: Path, redis_url: str, namespace: str
) -> None:
    """A broker that is stopped closes no connection: nothing fails, and nothing comes."""
    broker = EmbeddedBroker(tmp_path)
    pipeline = Pipeline(tmp_path, broker.bootstrap_servers, redis_url, namespace)
    try:
        pipeline.create_topics()
        pipeline.produce([a_post(str(n), at_ms=NOON_MS + n * MINUTE_MS) for n in range(20)])
        pipeline.service("worker")
        await asyncio.to_thread(pipeline.wait_for, lambda stats: counted(stats) == 20)
        async with MockReceiver() as mock:
            child = start_alerter(
                tmp_path / "alerter",
                redis_url=redis_url,
                kafka=broker.bootstrap_servers,
                namespace=namespace,
                receiver_url=f"{mock.url}/v2/enqueue",
                BRANDPULSE_ALERTER_HEARTBEAT_URL=f"{mock.url}/heartbeat/x",
                BRANDPULSE_ALERTER_HEARTBEAT_SECONDS="0.1",
                BRANDPULSE_ALERTER_HEARTBEAT_SEEN_WITHIN_SECONDS=str(SEEN_WITHIN_SECONDS),
            )
            await until(lambda: mock.heartbeats >= 5, child=child)
            # Longer than a sign of life may be missing: only the responses continue the heartbeat.
            await asyncio.sleep(SEEN_WITHIN_SECONDS + 2)
            assert "heartbeat withheld" not in child.log_tail(1_000)
            broker.child.signal(signal.SIGSTOP)
            await falls_silent(mock, child)
            assert "no sign of life from the worker of" in child.log_tail(1_000)
            broker.child.signal(signal.SIGCONT)
            heard = mock.heartbeats
            await until(lambda: mock.heartbeats >= heard + 5, child=child, seconds=60)
            await asyncio.to_thread(child.stop)
    finally:
        broker.child.signal(signal.SIGCONT)
        pipeline.stop()
        broker.stop()

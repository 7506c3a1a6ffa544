"""Two alerter processes: one leads, the other takes over when the leader is gone, or only asleep."""

import asyncio
import signal
from pathlib import Path

import pytest
import redis

from alerting.store.redis_store import RedisAlertStore
from brandpulse.devstack.embedded_servers import EmbeddedStore
from brandpulse.devstack.mock_receiver import Fault, MockReceiver
from brandpulse.runtime.child_process import Child, free_port
from brandpulse.state.keys import AlertingKeys
from tests.faults.alerting.processes import fetch, start_alerter
from tests.faults.alerting.test_alerter_process import CRISIS, a_day_with_a_crisis, until, wall_ms


async def test_a_leader_suspended_during_a_takeover_pages_no_one_again(
    tmp_path: Path, redis_client: redis.Redis, redis_url: str, kafka: str, namespace: str
) -> None:
    stream = a_day_with_a_crisis()
    stream.write(redis_client, namespace, until_minute=CRISIS, wall_ms=wall_ms())
    store = RedisAlertStore(redis_client, namespace)
    async with MockReceiver() as mock:

        def start(name: str) -> Child:
            url = f"{mock.url}/v2/enqueue"
            return start_alerter(
                tmp_path, redis_url=redis_url, kafka=kafka, namespace=namespace, receiver_url=url, name=name
            )

        first = start("first")
        await until(lambda: store.load().evaluated_until_ms is not None, child=first)
        second = start("second")
        first.signal(signal.SIGSTOP)
        stream.write(redis_client, namespace, wall_ms=wall_ms())
        await until(lambda: bool(store.load().closed) and not store.pending(), child=second)
        first.signal(signal.SIGCONT)
        await until(lambda: "leadership lost" in first.log_tail(50), child=first)
        metrics = [await asyncio.to_thread(fetch, tmp_path, child, "/metrics") for child in (first, second)]
        codes = [await asyncio.to_thread(child.stop) for child in (first, second)]
    assert codes == [0, 0]
    assert ["brandpulse_alerter_leader 1.0" in text for text in metrics] == [False, True]
    assert [(one.status, one.triggers) for one in mock.incidents.all] == [("resolved", 1)]
    assert not redis_client.exists(AlertingKeys(namespace).lease), "the lease was not given back"


def is_stopped(child: Child) -> bool:
    return Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


@pytest.mark.parametrize("seconds", [0.0, 4.0])
async def test_a_late_post_of_a_suspended_leader_leaves_no_open_incident(
    tmp_path: Path, redis_client: redis.Redis, redis_url: str, kafka: str, namespace: str, seconds: float
) -> None:
    """It slept right before its POST, beyond every check, and wakes after its successor has resolved: soon, and after
    the successor has repeated its resolves."""
    stream = a_day_with_a_crisis()
    stream.write(redis_client, namespace, until_minute=CRISIS + 40, wall_ms=wall_ms())
    store = RedisAlertStore(redis_client, namespace)
    async with MockReceiver() as mock:

        def start(name: str, module: str) -> Child:
            return start_alerter(
                tmp_path,
                redis_url=redis_url,
                kafka=kafka,
                namespace=namespace,
                receiver_url=f"{mock.url}/v2/enqueue",
                name=name,
                module=module,
            )

        first = start("first", "tests.faults.alerting.suspending_alerter")
        await until(lambda: is_stopped(first), child=first)
        stream.write(redis_client, namespace, wall_ms=wall_ms())
        second = start("second", "alerting.run")
        await until(lambda: bool(store.load().closed) and not store.pending(), child=second)
        assert [one.status for one in mock.incidents.all] == ["resolved"]
        await asyncio.sleep(seconds)
        first.signal(signal.SIGCONT)
        await until(lambda: len(mock.incidents.all) == 2, child=first)
        await until(lambda: mock.incidents.open() == [], child=second)
        await until(lambda: store.late_deliveries() == [] and not store.pending(), child=second)
        for child in (first, second):
            await asyncio.to_thread(child.stop)
    assert mock.incidents.open() == []


async def test_an_alerter_started_before_redis_waits_and_logs_it(tmp_path: Path, kafka: str, namespace: str) -> None:
    port = free_port()
    child = start_alerter(
        tmp_path,
        redis_url=f"redis://127.0.0.1:{port}/0",
        kafka=kafka,
        namespace=namespace,
        receiver_url="http://127.0.0.1:1/",
    )
    try:
        await until(lambda: "waiting for Redis" in child.log_tail(), child=child)
        embedded = EmbeddedStore(tmp_path / "store", port=port)
        await until(lambda: "leadership acquired" in child.log_tail(), child=child)
        embedded.stop()
        await until(lambda: "put off" in child.log_tail() or "not renewed" in child.log_tail(), child=child)
    finally:
        assert await asyncio.to_thread(child.stop) == 0, child.log_tail()


async def test_without_kafka_other_receivers_are_notified(
    tmp_path: Path, redis_client: redis.Redis, redis_url: str, namespace: str
) -> None:
    a_day_with_a_crisis().write(redis_client, namespace, wall_ms=wall_ms())
    store = RedisAlertStore(redis_client, namespace)
    async with MockReceiver() as mock:
        child = start_alerter(
            tmp_path,
            redis_url=redis_url,
            kafka=f"127.0.0.1:{free_port()}",
            namespace=namespace,
            receiver_url=f"{mock.url}/v2/enqueue",
        )
        await until(lambda: [one.status for one in mock.incidents.all] == ["resolved"], child=child)
        waiting = {delivery.notification.receiver for delivery in store.pending()}
        assert await asyncio.to_thread(child.stop, grace_seconds=30) == 0, child.log_tail()
    assert waiting == {"kafka"}


@pytest.mark.parametrize("seconds", [0.6])
async def test_sigterm_finishes_the_request_in_flight(
    tmp_path: Path, redis_client: redis.Redis, redis_url: str, kafka: str, namespace: str, seconds: float
) -> None:
    a_day_with_a_crisis().write(redis_client, namespace, until_minute=CRISIS + 40, wall_ms=wall_ms())
    store = RedisAlertStore(redis_client, namespace)
    async with MockReceiver([Fault(hang_seconds=seconds)]) as mock:
        child = start_alerter(
            tmp_path,
            redis_url=redis_url,
            kafka=kafka,
            namespace=namespace,
            receiver_url=f"{mock.url}/v2/enqueue",
        )
        await until(lambda: mock.requests == 1, child=child)
        assert await asyncio.to_thread(child.stop) == 0, child.log_tail()
    assert "pager" in {delivery.notification.receiver for delivery in store.delivered()}

"""A real alerter process against real Valkey, a real broker and the mock PagerDuty."""

import asyncio
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from alerting.store.redis_store import RedisAlertStore
from brandpulse.devstack.mock_receiver import Fault, MockReceiver
from brandpulse.ops.stats import expected_delays
from brandpulse.runtime.child_process import Child
from brandpulse.state.keys import MINUTE_MS, PartitionKeys
from tests.faults.alerting.processes import fetch, start_alerter
from tests.support.alerting.post_streams import MONDAY, PostStream
from tests.support.patience import patience

CRISIS = MONDAY + 10 * 60


def a_day_with_a_crisis() -> PostStream:
    """Ten calm hours at 2 posts a minute, one bad hour, four calm ones."""
    rng = random.Random(11)
    stream = PostStream()
    stream.steady("Acme Air", range(MONDAY, CRISIS), per_minute=2, share=0.2, rng=rng)
    stream.steady("Acme Air", range(CRISIS, CRISIS + 60), per_minute=4, share=0.8, rng=rng)
    stream.steady("Acme Air", range(CRISIS + 60, CRISIS + 300), per_minute=2, share=0.2, rng=rng)
    return stream


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


async def until(true: Callable[[], bool], *, child: Child, seconds: float = 30) -> None:
    deadline = time.monotonic() + patience(seconds)
    while not true():
        assert child.exit_code is None, child.log_tail()
        assert time.monotonic() < deadline, child.log_tail(60)
        await asyncio.sleep(0.02)


def transitions_on(kafka: str, topic: str) -> list[str]:
    """The transitions on *topic*, up to the resolve."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": topic, "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    found: list[str] = []
    deadline = time.monotonic() + patience(20)
    while "resolved" not in found and time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            found.append(json.loads(message.value())["transition"])
    consumer.close()
    return found


async def test_a_crisis_pages_once_and_the_process_exits_with_zero(
    tmp_path: Path, redis_client: redis.Redis, redis_url: str, kafka: str, namespace: str
) -> None:
    a_day_with_a_crisis().write(redis_client, namespace, wall_ms=wall_ms())
    async with MockReceiver() as mock:
        child = start_alerter(
            tmp_path,
            redis_url=redis_url,
            kafka=kafka,
            namespace=namespace,
            receiver_url=f"{mock.url}/v2/enqueue",
        )
        store = RedisAlertStore(redis_client, namespace)
        await until(lambda: bool(store.load().closed) and not store.pending(), child=child)
        metrics = await asyncio.to_thread(fetch, tmp_path, child, "/metrics")
        ready = await asyncio.to_thread(fetch, tmp_path, child, "/readyz")
        assert await asyncio.to_thread(child.stop) == 0, child.log_tail()
    assert [(one.status, one.dedup_key) for one in mock.incidents.all] == [
        ("resolved", store.load().closed[0].key),
    ]
    assert "ready" in ready
    for line in (
        'brandpulse_window_posts{brand="Acme Air",sentiment="negative"}',
        'brandpulse_window_negative_ratio{brand="Acme Air"}',
        'brandpulse_baseline_negative_ratio{brand="Acme Air"}',
        'brandpulse_episode_transitions_total{rule="negative_share",transition="triggered"} 1.0',
        'brandpulse_deliveries_total{outcome="delivered",receiver="pager"}',
        "brandpulse_outbox_pending 0.0",
        "brandpulse_alerter_leader 1.0",
        "brandpulse_stream_stalled 0.0",
    ):
        assert line in metrics
    [(brand, minutes)] = expected_delays(redis_client, namespace).items()
    assert brand == "Acme Air"
    assert minutes is not None
    [shown] = [line for line in metrics.splitlines() if line.startswith("brandpulse_expected_delay_seconds{")]
    assert minutes == pytest.approx(float(shown.split()[-1]) / 60, abs=0.1)
    transitions = transitions_on(kafka, f"{namespace}.alerts")
    assert transitions == ["triggered", *["updated"] * (len(transitions) - 2), "resolved"]


async def test_sigkill_during_an_episode_loses_nothing_and_pages_once(
    tmp_path: Path, redis_client: redis.Redis, redis_url: str, kafka: str, namespace: str
) -> None:
    stream = a_day_with_a_crisis()
    # The first trigger is processed, but its answer never comes: the killed process does not know.
    async with MockReceiver([Fault(reset="after")]) as mock:

        def start(name: str) -> Child:
            return start_alerter(
                tmp_path,
                redis_url=redis_url,
                kafka=kafka,
                namespace=namespace,
                receiver_url=f"{mock.url}/v2/enqueue",
                name=name,
            )

        stream.write(redis_client, namespace, until_minute=CRISIS + 40, wall_ms=wall_ms())
        first = start("first")
        await until(lambda: mock.requests >= 1, child=first)
        first.kill()
        stream.write(redis_client, namespace, wall_ms=wall_ms())
        second = start("second")
        store = RedisAlertStore(redis_client, namespace)
        await until(lambda: bool(store.load().closed) and not store.pending(), child=second)
        assert await asyncio.to_thread(second.stop) == 0
    assert [one.status for one in mock.incidents.all] == ["resolved"]
    assert mock.incidents.all[0].triggers >= 2, "the unknown outcome was not repeated"
    assert store.load().evaluated_until_ms == (CRISIS + 300) * MINUTE_MS
    assert not store.quarantined()


async def test_invalid_state_ends_the_process_with_one_log_line(
    tmp_path: Path, redis_client: redis.Redis, redis_url: str, kafka: str, namespace: str
) -> None:
    a_day_with_a_crisis().write(redis_client, namespace, wall_ms=wall_ms())
    child = start_alerter(
        tmp_path, redis_url=redis_url, kafka=kafka, namespace=namespace, receiver_url="http://127.0.0.1:1/"
    )
    redis_client.hset(PartitionKeys(namespace, "posts", 0).state, "clock_ms", "noon")
    assert await asyncio.to_thread(child.wait, 20) == 1
    log = child.log.read_text()
    assert log.count("alerter crashed") == 1
    assert "field 'clock_ms' is b'noon'" in log

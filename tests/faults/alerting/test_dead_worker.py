"""A worker dies while its brand burns: real processes, a real broker, Valkey, and the mock PagerDuty."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from alerting.store.redis_store import RedisAlertStore
from brandpulse.devstack.mock_receiver import MockReceiver
from brandpulse.runtime.child_process import Child
from brandpulse.state.keys import MINUTE_MS
from brandpulse.state.pane_reader import PaneReader
from tests.faults.alerting.processes import start_alerter
from tests.support.builders import NOON_MS, a_post
from tests.support.patience import patience
from tests.support.running_pipeline import Pipeline, counted

CALM, CRISIS, AFTER = 12 * 60, 40, 240
"""Minutes of event time."""
CRISIS_MS = NOON_MS + CALM * MINUTE_MS
DIES = 4
"""Minutes into the crisis: too early for a page."""
STALLED, SHARE = "stream_stalled", "negative_share"


def minutes(first: int, many: int, *, a_minute: int, share: float, rng: random.Random) -> list[dict[str, Any]]:
    """Posts of as many people; *share* of them negative."""
    return [
        a_post(
            f"{minute}-{n}",
            "acme is awful" if rng.random() < share else "acme opens at nine",
            NOON_MS + minute * MINUTE_MS + n * MINUTE_MS // a_minute,
        )
        for minute in range(first, first + many)
        for n in range(a_minute)
    ]


async def until(true: Callable[[], bool], what: str, *, seconds: float = 30) -> None:
    deadline = asyncio.get_running_loop().time() + patience(seconds)
    while not true():
        assert asyncio.get_running_loop().time() < deadline, f"not within {patience(seconds):.0f} s: {what}"
        await asyncio.sleep(0.1)


@pytest.mark.timeout(240)
async def test_a_dead_worker_causes_a_stall_alert_then_one_page(
    tmp_path: Path, redis_client: redis.Redis, redis_url: str, kafka: str, namespace: str
) -> None:
    rng = random.Random(5)
    calm = minutes(0, CALM, a_minute=2, share=0.2, rng=rng)
    burning = minutes(CALM, CRISIS, a_minute=6, share=0.85, rng=rng)
    after = minutes(CALM + CRISIS, AFTER, a_minute=2, share=0.2, rng=rng)
    pipeline = Pipeline(tmp_path, kafka, redis_url, namespace)
    pipeline.create_topics()
    store = RedisAlertStore(redis_client, namespace)
    reader = PaneReader(redis_client, namespace)
    alerters: list[Child] = []

    def evaluated() -> int:
        return store.load().evaluated_until_ms or 0

    async with MockReceiver() as mock:

        def opened(rule: str) -> list[str]:
            return [one.status for one in mock.incidents.all if f":{rule}:" in one.dedup_key]

        def wait_for(posts: int) -> dict[str, Any]:
            return pipeline.wait_for(lambda stats: counted(stats) == posts and stats["lag"] == 0)

        try:
            worker = pipeline.service("worker")
            seen = [*calm, *burning[: DIES * 6]]
            pipeline.produce(seen)
            await asyncio.to_thread(wait_for, len(seen))
            # From here on: hours of event time in a second are no live stream to it.
            alerters.append(
                start_alerter(
                    tmp_path / "alerter",
                    redis_url=redis_url,
                    kafka=kafka,
                    namespace=namespace,
                    receiver_url=f"{mock.url}/v2/enqueue",
                    BRANDPULSE_ALERTER_OWNER_FRESH_SECONDS="3",
                    BRANDPULSE_ALERTER_STALLED_AFTER_SECONDS="3",
                )
            )
            await until(lambda: evaluated() >= CRISIS_MS, "the calm hours are evaluated")
            await until(
                lambda: all(one.caught_up for one in reader.partitions()), "the worker says that it has read all"
            )
            worker.kill()
            pipeline.produce([*burning[DIES * 6 :], *after])
            await until(lambda: opened(STALLED) == ["open"], "the stall is reported")
            reached = evaluated()
            assert reached <= CRISIS_MS + DIES * MINUTE_MS
            assert opened(SHARE) == []
            await asyncio.sleep(1)
            assert evaluated() == reached, "evaluations go on, and event time does not"

            pipeline.service("worker")
            stats = await asyncio.to_thread(wait_for, len(calm) + len(burning) + len(after))
            await until(lambda: bool(store.load().closed) and not store.pending(), "every notification is delivered")
            await until(lambda: opened(STALLED) == ["resolved"], "the stall is over")
            await until(lambda: opened(SHARE) == ["resolved"], "the crisis is reported once, and resolved")
        finally:
            pipeline.stop()
            for alerter in alerters:
                alerter.kill()
    assert (stats["late"], stats["repeated"], stats["dead"]) == (0, 0, 0)
    [episode] = [one for one in store.load().closed if one.rule == SHARE]
    assert CRISIS_MS < episode.fired_at.timestamp() * 1_000 <= CRISIS_MS + 20 * MINUTE_MS, "as without the crash"

"""`brandpulse bench notify`: time from an alert's decision to its HTTP request, on a real Redis."""

import asyncio
import random
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import numpy as np
import redis
from aiohttp import web

from alerting.dispatch.sender import Sender
from alerting.notifications.delivery import Delivery, RetryPolicy
from alerting.notifications.receivers.webhook import Webhook
from alerting.store.redis_store import RedisAlertStore
from brandpulse.errors import BrandpulseError
from brandpulse.runtime.clock import wall_ms
from brandpulse.runtime.metric_definitions import ALERTER_METRICS
from brandpulse.runtime.metrics import Telemetry
from brandpulse.schema.episodes import Episode, Evidence, Notification

RECEIVER = "bench"
PATIENCE_SECONDS = 60


def run(*, alerts: int, per_second: float, fsync: str) -> list[float]:
    """Print and return the seconds from decision to request of *alerts*, decided at random times.

    Raises BrandpulseError if some are not requested.
    """
    from brandpulse.devstack.embedded_servers import EmbeddedStore
    from brandpulse.runtime.console import Console

    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedStore(Path(folder), appendfsync=fsync)
        try:
            client = redis.Redis.from_url(server.url)
            seconds = asyncio.run(_measure(RedisAlertStore(client, "bench"), alerts, per_second))
            client.close()
        finally:
            server.stop()
    p50, p95, p99 = np.quantile(seconds, (0.5, 0.95, 0.99))
    Console().print(
        f"{alerts} alerts, {per_second:g} per second, fsync {fsync}: decision to request p50 {p50:.3f} s, "
        f"p95 {p95:.3f} s, p99 {p99:.3f} s, longest {max(seconds):.3f} s.",
        soft_wrap=True,
    )
    return seconds


async def _measure(store: RedisAlertStore, alerts: int, per_second: float) -> list[float]:
    arrived: dict[str, float] = {}

    async def receive(request: web.Request) -> web.Response:
        arrived_at = time.monotonic()
        arrived.setdefault((await request.json())["id"], arrived_at)
        return web.Response(status=202)

    app = web.Application()
    app.router.add_post("/", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    token = store.acquire("bench", lease_ms=3_600_000)
    if token is None:
        raise BrandpulseError("a new Redis already has a leader")
    async with aiohttp.ClientSession() as session:
        receiver = Webhook(
            RECEIVER,
            url=f"http://127.0.0.1:{port}/",
            secret=None,
            min_severity="warning",
            session=session,
            timeout_seconds=5,
        )
        sender = Sender(
            store,
            {RECEIVER: receiver},
            token=token,
            policy=RetryPolicy(),
            telemetry=Telemetry(ALERTER_METRICS),
            wall_ms=wall_ms,
            rng=random.Random(1),
        )
        stop = asyncio.Event()
        running = asyncio.create_task(sender.run(stop))
        decided = await _decide(store, sender, token, alerts, per_second)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(arrived) < alerts and time.monotonic() < deadline and not running.done():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        stop.set()
        await running
    await runner.cleanup()
    if missing := decided.keys() - arrived.keys():
        raise BrandpulseError(f"{len(missing)} of {alerts} alerts were not requested within {PATIENCE_SECONDS} s")
    return [arrived[name] - moment for name, moment in decided.items()]


async def _decide(
    store: RedisAlertStore, sender: Sender, token: int, alerts: int, per_second: float
) -> dict[str, float]:
    """Alert -> time of its decision: before it is stored, as in an evaluation."""
    rng = random.Random(2)
    decided: dict[str, float] = {}
    for number in range(alerts):
        delivery = _delivery(number)
        decided[delivery.id] = time.monotonic()
        await asyncio.to_thread(store.enqueue, [delivery], token=token)
        sender.wake([delivery])
        await asyncio.sleep(rng.expovariate(per_second))
    return decided


def _delivery(number: int) -> Delivery:
    at = datetime.now(UTC)
    evidence = Evidence(
        window_start=at,
        window_end=at,
        posts=60,
        negative_posts=40,
        authors=55,
        negative_authors=36,
        negative_share=36 / 55,
        baseline_share=0.2,
        p_value=1e-9,
        reason="Negative share rose: 36 of 55 authors in 20 minutes were negative, 65% where 20% is usual.",
    )
    episode = Episode(
        key=f"Brand {number}:negative_share:{at:%Y-%m-%dT%H:%MZ}",
        brand=f"Brand {number}",
        rule="negative_share",
        severity="critical",
        state="firing",
        started_at=at,
        fired_at=at,
        updated_at=at,
        first=evidence,
        peak=evidence,
        latest=evidence,
    )
    name = f"{episode.key}:triggered@{RECEIVER}"
    notification = Notification(id=name, receiver=RECEIVER, transition="triggered", episode=episode)
    return Delivery(id=name, notification=notification, decided_ms=wall_ms())

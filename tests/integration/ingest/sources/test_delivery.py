"""The producer of live sources and of the webhook, against a broker that pauses."""

import asyncio
import signal
from pathlib import Path

from brandpulse.devstack.embedded_servers import EmbeddedBroker
from brandpulse.kafka.topics import Topic, ensure_topics
from ingest.sources.delivery import PostDelivery
from tests.support.patience import patience


async def test_posts_are_confirmed_after_a_pause_longer_than_their_wait(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path)
    ensure_topics(broker.bootstrap_servers, [Topic("posts", 1)])
    delivery = PostDelivery(broker.bootstrap_servers, "posts", timeout_seconds=1.0)

    async def failure() -> str | None:
        sending = await delivery.send([("key", b"post")])
        await asyncio.wait_for(sending.done.wait(), patience(30))
        return sending.failure

    async def confirmed() -> None:
        for _ in range(100):
            if await failure() is None:
                return
            await asyncio.sleep(0.1)
        raise AssertionError("no post is confirmed any more")

    try:
        await asyncio.wait_for(confirmed(), patience(30))
        broker.child.signal(signal.SIGSTOP)
        assert await failure() is not None
        broker.child.signal(signal.SIGCONT)
        await asyncio.wait_for(confirmed(), patience(30))
    finally:
        await delivery.close(1)
        broker.stop()

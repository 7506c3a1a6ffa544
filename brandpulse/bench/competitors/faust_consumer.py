"""Faust's own way: `stream.take(256)` on its aiokafka consumer, counts in memory."""

import os
import uuid
from typing import Any

import faust

from brandpulse.bench.competitors.runner import Counts, Stopwatch, job


def main() -> None:
    given = job()
    counts, watch = Counts(given.brands), Stopwatch()
    app = faust.App(
        # Not the group of a round before: that would begin where the other stopped, and wait for the rest for good.
        f"bench-faust-{uuid.uuid4().hex}",
        broker=f"kafka://{given.bootstrap_servers}",
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        # A first join on the embedded broker waits for the rebalance timeout.
        broker_rebalance_timeout=6.0,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=1.5,
    )
    topic = app.topic(given.topic, value_type=bytes, value_serializer="raw", key_type=bytes, key_serializer="raw")

    @app.agent(topic)  # type: ignore[untyped-decorator]
    async def count(stream: Any) -> None:
        async for values in stream.take(256, within=0.1):
            counts.add(values)
            watch.saw(len(values))
            if watch.seen >= given.posts:
                watch.tell()
                os._exit(0)  # all was said; Faust's own stop takes seconds

    faust.Worker(app, loglevel="WARNING", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()

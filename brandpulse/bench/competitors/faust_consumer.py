"""Faust as its documentation shows it: `stream.take(256)` on its aiokafka consumer, counts in memory."""

import os
import uuid
from typing import Any

import faust

from brandpulse.bench.competitors.runner import Counts, Stopwatch, read_arguments


def main() -> None:
    arguments = read_arguments()
    counts, watch = Counts(arguments.brands), Stopwatch()
    app = faust.App(
        # A new group per round: an earlier round's group would start at its committed offset and wait forever.
        f"bench-faust-{uuid.uuid4().hex}",
        broker=f"kafka://{arguments.bootstrap_servers}",
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        # The first join on the embedded broker waits for the rebalance timeout.
        broker_rebalance_timeout=6.0,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=1.5,
    )
    topic = app.topic(arguments.topic, value_type=bytes, value_serializer="raw", key_type=bytes, key_serializer="raw")

    @app.agent(topic)  # type: ignore[untyped-decorator]
    async def count(stream: Any) -> None:
        async for values in stream.take(256, within=0.1):
            counts.add(values)
            watch.add(len(values))
            if watch.posts >= arguments.posts:
                watch.report()
                os._exit(0)  # Faust's own stop takes seconds

    faust.Worker(app, loglevel="WARNING", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()

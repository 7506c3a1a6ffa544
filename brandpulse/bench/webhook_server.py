"""One server of `brandpulse bench webhook`, in its own process: the receiver, or a bare handler without any check.

Arguments: `receiver` or a decoder of the bare handler (`json`, `msgspec`), the port, the brokers, the topic.
"""

import asyncio
import json
import sys
import threading
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web
from confluent_kafka import Producer
from pydantic import SecretStr

from brandpulse.kafka.client import producer_config
from brandpulse.runtime.lifecycle import listening, stop_event
from brandpulse.runtime.metric_definitions import INGEST_METRICS
from brandpulse.runtime.metrics import Telemetry
from ingest.sources.delivery import PostDelivery
from ingest.webhook.receiver import PATH, Receiver
from ingest.webhook.settings import SenderSettings, WebhookConfig, WebhookSettings

TOKEN = "the token of the bench"  # noqa: S105 - of a server that lives for seconds


def receiver_app(servers: str, topic: str) -> web.Application:
    """The receiver of `ingest run`, with one bearer sender."""
    sender = SenderSettings(name="bench", kind="bearer", secret_env=("BENCH",), posts_per_second=100_000)
    config = WebhookConfig(WebhookSettings(senders=(sender,)), ((SecretStr(TOKEN),),))
    return Receiver(config, PostDelivery(servers, topic), Telemetry(INGEST_METRICS)).app()


def bare_app(
    servers: str, topic: str, decode: Callable[[bytes], Any], encode: Callable[[Any], bytes]
) -> web.Application:
    """The least that answers after the broker: decode an array, produce each post, wait for all confirmations."""
    producer = Producer(producer_config(servers))

    def serve() -> None:
        while True:
            producer.poll(0.1)

    threading.Thread(target=serve, daemon=True).start()

    async def handle(request: web.Request) -> web.Response:
        posts = decode(await request.read())
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        left, failed = len(posts), False

        def delivered(error: object, _message: object) -> None:
            nonlocal left, failed
            failed |= error is not None
            left -= 1
            if not left:
                loop.call_soon_threadsafe(done.set)

        for post in posts:
            producer.produce(topic, encode(post), post["id"].encode(), on_delivery=delivered)
        await done.wait()
        return web.json_response({"taken": len(posts)}, status=503 if failed else 200)

    app = web.Application()
    app.router.add_post(PATH, handle)
    return app


def _encode_json(post: Any) -> bytes:
    return json.dumps(post).encode()


async def _serve(kind: str, port: int, servers: str, topic: str) -> None:
    stop = stop_event()
    if kind == "receiver":
        app = receiver_app(servers, topic)
    elif kind == "json":
        app = bare_app(servers, topic, json.loads, _encode_json)
    else:
        app = bare_app(servers, topic, msgspec.json.decode, msgspec.json.encode)
    async with listening(app, "127.0.0.1", port):
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]))

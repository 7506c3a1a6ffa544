"""Sends the posts of live sources to Kafka from an event loop, and reports when the broker has confirmed them."""

import asyncio
import threading
from collections.abc import Iterable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from brandpulse.errors import TransientError
from brandpulse.kafka.client import producer_config
from brandpulse.kafka.error_hints import explain

DELIVERY_TIMEOUT_SECONDS = 60.0
"""How long a post waits for an unreachable broker. Then its source goes back to its last position."""
FULL_QUEUE_PAUSE_SECONDS = 0.01


class Sending:
    """Posts that were sent together: how many are not confirmed yet."""

    __slots__ = ("_loop", "_open", "confirmed", "done", "failure", "next")

    def __init__(self, posts: int, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._open = posts
        self.confirmed = 0
        self.failure: str | None = None
        self.next: dict[int, int] = {}
        """Partition -> offset after the last confirmed post."""
        self.done = asyncio.Event()
        """Set when each post is confirmed or has failed."""
        if not posts:
            self.done.set()

    def delivered(self, error: KafkaError | None, message: Any) -> None:
        """Called in the producer's thread."""
        if error is not None:
            self.failure = explain(error)
        else:
            self.confirmed += 1
            # Confirmations of one partition arrive in order, so the last offset is the highest.
            self.next[message.partition()] = message.offset() + 1
        self._close(1)

    def give_up(self, posts: int, reason: str) -> None:
        """*posts* of these will not be sent."""
        self.failure = reason
        self._close(posts)

    def _close(self, posts: int) -> None:
        self._open -= posts
        if not self._open:
            self._loop.call_soon_threadsafe(self.done.set)


class PostDelivery:
    """One producer for all sources of a process. A thread serves its delivery reports."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._topic = topic
        self._producer = Producer(
            producer_config(bootstrap_servers)
            | {
                "log_level": 0,
                "message.timeout.ms": int(DELIVERY_TIMEOUT_SECONDS * 1000),
                "queue.buffering.max.messages": 50_000,
                "queue.buffering.max.kbytes": 64 * 1024,
            }
        )
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="delivery reports", daemon=True)
        self._thread.start()

    async def send(self, posts: Iterable[tuple[str, bytes]]) -> Sending:
        """Queue *posts* (key, JSON) in order; waits while the producer's queue is full.

        Raises TransientError if the producer fails for good.
        """
        rows = list(posts)
        sending = Sending(len(rows), asyncio.get_running_loop())
        for at, (key, payload) in enumerate(rows):
            while True:
                try:
                    self._producer.produce(self._topic, payload, key.encode(), on_delivery=sending.delivered)
                except BufferError:
                    await asyncio.sleep(FULL_QUEUE_PAUSE_SECONDS)
                    continue
                except KafkaException as error:
                    reason = explain(error.args[0])
                    sending.give_up(len(rows) - at, reason)
                    raise TransientError(f"the Kafka producer failed: {reason}") from error
                break
        return sending

    async def close(self, timeout_seconds: float) -> int:
        """Wait for open deliveries; returns how many posts are still open."""
        left = int(await asyncio.to_thread(self._producer.flush, timeout_seconds))
        self._ended.set()
        await asyncio.to_thread(self._thread.join)
        return left

    def _serve(self) -> None:
        while not self._ended.is_set():
            self._producer.poll(0.1)

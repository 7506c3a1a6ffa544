"""Sends the posts of live sources to Kafka from an event loop, and reports when the broker has confirmed them."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from brandpulse.errors import TransientError
from brandpulse.kafka.client import needs_new_producer, producer_config
from brandpulse.kafka.error_hints import explain
from brandpulse.schema.dead_letters import HEADER, record_id_headers
from ingest.sources.events import Reject

log = logging.getLogger(__name__)

DELIVERY_TIMEOUT_SECONDS = 60.0
"""How long a post waits for an unreachable broker. Then its source goes back to its last position."""
FULL_QUEUE_PAUSE_SECONDS = 0.01
QUEUE_POSTS = 50_000
"""Most posts of a producer that wait for the broker."""


CUT_BYTES = 500_000
"""Larger values are cut in a dead letter: a broker takes a megabyte by default."""


class BrokenProducer:
    """Why the producer is useless, if it is. Written and read in the producer's thread."""

    __slots__ = ("reason",)

    def __init__(self) -> None:
        self.reason: str | None = None


class Sending:
    """Posts that were sent together: how many are not confirmed yet."""

    __slots__ = ("_broken", "_lock", "_loop", "_open", "_topic", "done", "failure", "next")

    def __init__(
        self, posts: int, loop: asyncio.AbstractEventLoop, broken: "BrokenProducer", topic: str | None = None
    ) -> None:
        """*broken* learns of an error after which the producer is useless. *topic*: of the posts; records of another
        one, the dead letters, have no part in `next`."""
        self._broken = broken
        self._topic = topic
        self._loop = loop
        self._lock = threading.Lock()
        self._open = posts
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
            if needs_new_producer(error):
                self._broken.reason = self.failure
        elif self._topic is None or message.topic() == self._topic:
            # Confirmations of one partition arrive in order, so the last offset is the highest.
            self.next[message.partition()] = message.offset() + 1
        self._close(1)

    def give_up(self, posts: int, reason: str) -> None:
        """*posts* of these will not be sent."""
        self.failure = reason
        self._close(posts)

    def _close(self, posts: int) -> None:
        # The loop gives up while the producer's thread reports: without the lock one of them could be lost.
        with self._lock:
            self._open -= posts
            complete = not self._open
        if complete:
            self._loop.call_soon_threadsafe(self.done.set)


class PostDelivery:
    """A producer of posts for an event loop. A thread serves its delivery reports."""

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        *,
        dlq_topic: str | None = None,
        timeout_seconds: float = DELIVERY_TIMEOUT_SECONDS,
    ) -> None:
        """*dlq_topic*: where `Reject` events go; without it they are only counted. *timeout_seconds*: how long a post
        waits for an unreachable broker."""
        self._topic = topic
        self._dlq_topic = dlq_topic
        self._config = producer_config(bootstrap_servers) | {
            "log_level": 0,
            "message.timeout.ms": int(timeout_seconds * 1000),
            "queue.buffering.max.messages": QUEUE_POSTS,
            "queue.buffering.max.kbytes": 64 * 1024,
        }
        self._producer = Producer(self._config)
        self._broken = BrokenProducer()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="delivery reports", daemon=True)
        self._thread.start()

    async def send(self, posts: Iterable[tuple[str, bytes]], rejects: Sequence[Reject] = ()) -> Sending:
        """Queue *posts* (key, JSON) and dead letters of *rejects* in order; waits while the producer's queue is full.

        Raises TransientError if the producer fails; after an error that `needs_new_producer`, it is replaced.
        """
        topic = self._topic
        records: list[dict[str, Any]] = [{"topic": topic, "value": value, "key": key.encode()} for key, value in posts]
        if self._dlq_topic is not None:
            records += [_dead_letter(self._dlq_topic, reject) for reject in rejects]
        sending = Sending(len(records), asyncio.get_running_loop(), self._broken, topic)
        for at, record in enumerate(records):
            while True:
                try:
                    self._producer.produce(**record, on_delivery=sending.delivered)
                except BufferError:
                    await asyncio.sleep(FULL_QUEUE_PAUSE_SECONDS)
                    continue
                except KafkaException as error:
                    reason = explain(error.args[0])
                    sending.give_up(len(records) - at, reason)
                    raise TransientError(f"the Kafka producer failed: {reason}") from error
                break
        return sending

    def send_now(self, posts: Sequence[tuple[str, bytes]]) -> Sending | None:
        """As `send`, but None if the queue cannot take all *posts*; those that it took until then are sent.

        Raises TransientError if the producer fails; after an error that `needs_new_producer`, it is replaced.
        """
        if len(self._producer) + len(posts) > QUEUE_POSTS:
            return None
        sending = Sending(len(posts), asyncio.get_running_loop(), self._broken)
        produce, topic, delivered = self._producer.produce, self._topic, sending.delivered
        for at, (key, payload) in enumerate(posts):
            try:
                produce(topic, payload, key.encode(), on_delivery=delivered)
            except BufferError:  # the limit in bytes
                sending.give_up(len(posts) - at, "the queue is full")
                return None
            except KafkaException as error:
                reason = explain(error.args[0])
                sending.give_up(len(posts) - at, reason)
                raise TransientError(f"the Kafka producer failed: {reason}") from error
        return sending

    async def close(self, timeout_seconds: float) -> int:
        """Wait for open deliveries; returns how many posts are still open."""
        self._ended.set()
        await asyncio.to_thread(self._thread.join)
        return int(await asyncio.to_thread(self._producer.flush, timeout_seconds))

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                self._producer.poll(0.1)
            except KafkaException as error:  # only fatal errors are raised here
                self._broken.reason = explain(error.args[0])
            if (reason := self._broken.reason) is not None:
                self._replace(reason)
                # Also what the old producer reported at its end.
                self._broken.reason = None

    def _replace(self, reason: str) -> None:
        """Its open posts fail, and those who sent them send them again."""
        log.warning("Kafka producer replaced", extra={"reason": reason})
        broken, self._producer = self._producer, Producer(self._config)
        broken.purge()
        with contextlib.suppress(KafkaException):
            broken.flush(1)


def _dead_letter(topic: str, reject: Reject) -> dict[str, Any]:
    facts: dict[str, str | int] = {
        "topic": reject.topic,
        "record_ms": reject.record_ms,
        "reason": reject.reason,
        "error": reject.error[:500],
    }
    value, key = reject.value or b"", reject.key or b""
    if len(value) > CUT_BYTES:
        facts["cut"] = len(value)
    headers = record_id_headers(reject.origin) + [(HEADER + name, str(fact).encode()) for name, fact in facts.items()]
    return {"topic": topic, "key": key[:CUT_BYTES], "value": value[:CUT_BYTES], "headers": headers}

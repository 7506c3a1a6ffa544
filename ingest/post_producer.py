"""Handing posts to Kafka and knowing which of them stand in the topic."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from brandpulse.errors import ConfigError, TransientError
from brandpulse.kafka.client import client_config, producer_config
from brandpulse.kafka.error_hints import explain, kafka_fault

DELIVERY_TIMEOUT_SECONDS = 60.0
"""How long a post may wait for a broker that went away; then the run stops and can be taken up again."""
NO_CLIENT_LOG = {"log_level": 0}
"""librdkafka writes a line to stderr for each refused connection, ten a second; what matters reaches us as an error."""


@dataclass(slots=True)
class _SendGroup:
    """Posts sent one after the other, and how many of their deliveries are still open."""

    posts: int = 0
    confirmed: int = 0
    skipped: int = 0
    """Posts that stood in the topic before."""
    next: dict[int, int] = field(default_factory=dict)
    failure: str | None = None
    window: int | None = None
    """Which window of the ledger the posts belong to."""
    places: dict[bytes, int] = field(default_factory=dict)
    """By key, where in the window a post stands; those whose delivery is open."""
    landed: list[tuple[int, int, int]] = field(default_factory=list)
    """Place in the window, partition, offset."""

    @property
    def complete(self) -> bool:
        return self.confirmed + self.skipped == self.posts

    def delivered(self, error: KafkaError | None, message: Any) -> None:
        if error is not None:
            self.failure = explain(error)
            return
        self.confirmed += 1
        # Deliveries of one partition come in order: the last one is the highest.
        partition, offset = message.partition(), message.offset()
        self.next[partition] = offset + 1
        if self.places:
            self.landed.append((self.places.pop(message.key()), partition, offset))


@dataclass(frozen=True, slots=True)
class WindowDeliveries:
    """Posts of one window of the ledger, as the broker confirmed them."""

    window: int
    posts: list[tuple[int, int, int]]
    """Place in the window, partition, offset."""
    open: list[int]
    """Places of posts that were handed over and not confirmed."""


class PostProducer:
    """Sends posts to one topic, keyed by id, and keeps the count of an unbroken, confirmed beginning.

    Posts are counted by stretches, not one by one: a stretch shares one callback, and the beginning grows by whole
    stretches. That costs the callback nothing but a counter.

    A killed process may leave a request in the broker's socket that is appended after the next run has read the log
    back. A new process takes longer to start than a broker to empty its socket; where it does not (a broker that
    stands still just then), the workers' repeat memory drops what comes twice.
    """

    def __init__(self, bootstrap_servers: str, topic: str, *, confirmed: int = 0) -> None:
        self._topic = topic
        self._producer = Producer(
            producer_config(bootstrap_servers)
            | NO_CLIENT_LOG
            | {
                "message.timeout.ms": int(DELIVERY_TIMEOUT_SECONDS * 1000),
                "queue.buffering.max.messages": 100_000,
                "queue.buffering.max.kbytes": 128 * 1024,
            }
        )
        self._beginning = confirmed
        self._next: dict[int, int] = {}
        self._done = 0
        self._open: deque[_SendGroup] = deque()
        self._current = _SendGroup()
        self._window: int | None = None
        self._landed: list[WindowDeliveries] = []
        self._error: str | None = None

    @property
    def sent(self) -> int:
        """Posts of this run that the broker has confirmed."""
        return self._done + sum(stretch.confirmed for stretch in self._open) + self._current.confirmed

    @property
    def failure(self) -> str | None:
        """What the first failed delivery said."""
        failures = (stretch.failure for stretch in (*self._open, self._current) if stretch.failure)
        return self._error or next(failures, None)

    def start_window(self, number: int) -> None:
        """What is sent from now on belongs to window *number* of the ledger. No key may come twice in a window."""
        self._close()
        self._window = self._current.window = number

    def send(
        self, post_id: str, payload: bytes, *, place: int = 0, should_stop: Callable[[], bool] = lambda: False
    ) -> bool:
        """Queue one post, waiting while the queue is full; False if a delivery failed or *stopping* said so meanwhile.

        *place*: where it stands in its window. Raises TransientError if the producer can do no more.
        """
        stretch = self._current
        key = post_id.encode()
        if stretch.window is not None:
            stretch.places[key] = place
        while True:
            try:
                self._producer.produce(self._topic, payload, key, on_delivery=stretch.delivered)
            except BufferError:
                if self.failure is not None or should_stop():
                    stretch.places.pop(key, None)
                    return False
                self._producer.poll(0.1)
            except KafkaException as error:
                stretch.places.pop(key, None)
                self._error = explain(error.args[0])
                raise TransientError(f"Kafka takes no more posts: {self._error}") from error
            else:
                stretch.posts += 1
                return True

    def skip(self) -> None:
        """Count one post that stands in the topic already."""
        self._current.posts += 1
        self._current.skipped += 1

    def poll(self, seconds: float = 0) -> None:
        """Let deliveries be told, for at most *seconds*."""
        self._producer.poll(seconds)

    def confirmed_prefix(self) -> tuple[int, dict[int, int]]:
        """How many of the first posts stand in the topic, and by partition the offset behind the last of them."""
        self._close()
        while self._open and self._open[0].complete:
            stretch = self._open.popleft()
            self._beginning += stretch.posts
            self._done += stretch.confirmed
            self._next |= stretch.next
            if stretch.window is not None:
                self._landed.append(WindowDeliveries(stretch.window, stretch.landed, []))
        return self._beginning, dict(self._next)

    def take_confirmed(self) -> list[WindowDeliveries]:
        """What `beginning` found confirmed since this was last asked."""
        landed, self._landed = self._landed, []
        return landed

    def unfinished(self) -> list[WindowDeliveries]:
        """After `finish`: what is confirmed and what is open of the posts beyond the beginning."""
        stretches = [stretch for stretch in self._open if stretch.window is not None]
        return [WindowDeliveries(s.window or 0, s.landed, list(s.places.values())) for s in stretches]

    def _close(self) -> None:
        if self._current.posts:
            self._open.append(self._current)
        self._current = _SendGroup(window=self._window)

    def flush(self, timeout_seconds: float) -> int:
        """Wait for open deliveries; how many posts are still open when the time is up."""
        return int(self._producer.flush(timeout_seconds))


def check_broker(bootstrap_servers: str, *, timeout_seconds: float = 10.0) -> None:
    """Raises TransientError when no broker answers in time."""
    try:
        AdminClient(client_config(bootstrap_servers) | NO_CLIENT_LOG).list_topics(timeout=timeout_seconds)
    except KafkaException as error:
        told = kafka_fault(bootstrap_servers, error)
        if isinstance(told, ConfigError):
            raise told from error
        raise TransientError(
            f"{told}. Is it running? `brandpulse up` starts one; BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS names another"
        ) from error

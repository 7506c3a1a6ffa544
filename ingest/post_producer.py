"""Sends posts to Kafka and tracks which of them the broker has confirmed."""

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
"""How long a post waits for an unreachable broker. Then the run stops; it can be resumed."""
NO_CLIENT_LOG = {"log_level": 0}
"""Turns off librdkafka's own log: it writes ten lines per second to stderr while a broker refuses connections, and
relevant errors are reported through callbacks anyway."""


@dataclass(slots=True)
class _SendGroup:
    """Consecutive posts with one delivery callback, and how many deliveries are confirmed."""

    posts: int = 0
    confirmed: int = 0
    skipped: int = 0
    """Posts that were in the topic before."""
    next: dict[int, int] = field(default_factory=dict)
    failure: str | None = None
    window: int | None = None
    """Number of the ledger window that the posts belong to."""
    positions: dict[bytes, int] = field(default_factory=dict)
    """Key -> position in the window, for posts without a confirmed delivery."""
    deliveries: list[tuple[int, int, int]] = field(default_factory=list)
    """(Position in the window, partition, offset) of each confirmed post."""

    @property
    def complete(self) -> bool:
        return self.confirmed + self.skipped == self.posts

    def delivered(self, error: KafkaError | None, message: Any) -> None:
        if error is not None:
            self.failure = explain(error)
            return
        self.confirmed += 1
        # Confirmations of one partition arrive in order, so the last offset is the highest.
        partition, offset = message.partition(), message.offset()
        self.next[partition] = offset + 1
        if self.positions:
            self.deliveries.append((self.positions.pop(message.key()), partition, offset))


@dataclass(frozen=True, slots=True)
class WindowDeliveries:
    """Deliveries of the posts of one ledger window."""

    window: int
    posts: list[tuple[int, int, int]]
    """(Position in the window, partition, offset) of each confirmed post."""
    open: list[int]
    """Positions of posts that were sent and not confirmed."""


class PostProducer:
    """Sends posts to one topic, keyed by id, and counts the confirmed prefix: posts confirmed without a gap.

    Posts are tracked in groups with one shared callback, and the prefix grows by whole groups: the callback only
    increments a counter.

    A killed process may leave a request in the broker's socket that is appended after the next run has read the log
    back. Usually the broker empties its socket before a new process has started. If the broker hangs at that moment,
    the workers' duplicate detection drops the second copy.
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
        self._confirmed = confirmed
        self._next: dict[int, int] = {}
        self._done = 0
        self._open: deque[_SendGroup] = deque()
        self._current = _SendGroup()
        self._window: int | None = None
        self._deliveries: list[WindowDeliveries] = []
        self._error: str | None = None

    @property
    def sent(self) -> int:
        """Number of posts of this run that the broker has confirmed."""
        return self._done + sum(group.confirmed for group in self._open) + self._current.confirmed

    @property
    def failure(self) -> str | None:
        """The error of the first failed delivery."""
        failures = (group.failure for group in (*self._open, self._current) if group.failure)
        return self._error or next(failures, None)

    def start_window(self, number: int) -> None:
        """Assign the posts sent from now on to window *number* of the ledger. Keys must be unique within a window."""
        self._close()
        self._window = self._current.window = number

    def send(
        self, post_id: str, payload: bytes, *, position: int = 0, should_stop: Callable[[], bool] = lambda: False
    ) -> bool:
        """Queue one post, waiting while the queue is full. False if a delivery failed or *should_stop* returned True.

        *position*: of the post in its window. Raises TransientError if the producer fails.
        """
        group = self._current
        key = post_id.encode()
        if group.window is not None:
            group.positions[key] = position
        while True:
            try:
                self._producer.produce(self._topic, payload, key, on_delivery=group.delivered)
            except BufferError:
                if self.failure is not None or should_stop():
                    group.positions.pop(key, None)
                    return False
                self._producer.poll(0.1)
            except KafkaException as error:
                group.positions.pop(key, None)
                self._error = explain(error.args[0])
                raise TransientError(f"the Kafka producer failed: {self._error}") from error
            else:
                group.posts += 1
                return True

    def skip(self) -> None:
        """Count one post that is already in the topic."""
        self._current.posts += 1
        self._current.skipped += 1

    def poll(self, seconds: float = 0) -> None:
        """Process delivery reports, for at most *seconds*."""
        self._producer.poll(seconds)

    def confirmed_prefix(self) -> tuple[int, dict[int, int]]:
        """Length of the confirmed prefix, and by partition the offset after its last post."""
        self._close()
        while self._open and self._open[0].complete:
            group = self._open.popleft()
            self._confirmed += group.posts
            self._done += group.confirmed
            self._next |= group.next
            if group.window is not None:
                self._deliveries.append(WindowDeliveries(group.window, group.deliveries, []))
        return self._confirmed, dict(self._next)

    def take_confirmed(self) -> list[WindowDeliveries]:
        """The deliveries that `confirmed_prefix` has found since the last call."""
        deliveries, self._deliveries = self._deliveries, []
        return deliveries

    def unfinished(self) -> list[WindowDeliveries]:
        """After `flush`: the deliveries beyond the confirmed prefix, confirmed and open."""
        groups = [group for group in self._open if group.window is not None]
        return [WindowDeliveries(g.window or 0, g.deliveries, list(g.positions.values())) for g in groups]

    def _close(self) -> None:
        if self._current.posts:
            self._open.append(self._current)
        self._current = _SendGroup(window=self._window)

    def flush(self, timeout_seconds: float) -> int:
        """Wait for open deliveries; returns how many are still open after the timeout."""
        return int(self._producer.flush(timeout_seconds))


def check_broker(bootstrap_servers: str, *, timeout_seconds: float = 10.0) -> None:
    """Raises TransientError if no broker answers in time, ConfigError if the client's settings are wrong."""
    try:
        AdminClient(client_config(bootstrap_servers) | NO_CLIENT_LOG).list_topics(timeout=timeout_seconds)
    except KafkaException as error:
        fault = kafka_fault(bootstrap_servers, error)
        if isinstance(fault, ConfigError):
            raise fault from error
        raise TransientError(
            f"{fault}. Is it running? `brandpulse up` starts one; BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS selects another"
        ) from error

"""Topic `alerts`: every transition as a JSON Notification, keyed by the episode, so that one episode stays in order."""

import asyncio
import threading
from typing import Any

from confluent_kafka import KafkaException, Producer

from alerting.outbox import Outcome
from alerting.receivers.config import KAFKA
from brandpulse.episodes import Notification, Severity
from brandpulse.errors import TransientError
from brandpulse.topics import Topic, ensure_topics, producer_config

STATUS_WRITTEN = 202


class KafkaTopic:
    """The receiver that is always there. The topic is made at the first delivery, so a broker that is down holds up
    nobody but itself."""

    name = KAFKA
    min_severity: Severity = "info"
    wants_every_update = True
    keeps_state = False

    def __init__(self, bootstrap_servers: str, topic: str, *, replication_factor: int, timeout_seconds: float) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        self._replication_factor = replication_factor
        self._timeout_seconds = timeout_seconds
        self._producer: Any = None
        self._starting = threading.Lock()

    async def deliver(self, notification: Notification) -> Outcome:
        return await asyncio.to_thread(self._produce, notification)

    def _produce(self, notification: Notification) -> Outcome:
        try:
            producer = self._started()
            answers: list[Any] = []
            producer.produce(
                self._topic,
                key=notification.episode.key.encode(),
                value=notification.model_dump_json().encode(),
                on_delivery=lambda error, _: answers.append(error),
            )
            producer.flush(self._timeout_seconds + 1)
        except (KafkaException, TransientError, BufferError) as error:
            return Outcome(None, f"Kafka: {error}")
        if not answers:
            return Outcome(None, f"Kafka did not acknowledge within {self._timeout_seconds:g} s")
        return Outcome(None, f"Kafka: {answers[0]}") if answers[0] is not None else Outcome(STATUS_WRITTEN)

    def prepare(self) -> None:
        """Make the topic if it is missing. Blocking. Raises TransientError when no broker answers."""
        self._started()

    def _started(self) -> Any:
        with self._starting:
            if self._producer is None:
                ensure_topics(
                    self._bootstrap_servers, [Topic(self._topic)], replication_factor=self._replication_factor
                )
                self._producer = Producer(
                    producer_config(self._bootstrap_servers)
                    | {"linger.ms": 0, "message.timeout.ms": int(self._timeout_seconds * 1_000)}
                )
        return self._producer

    async def close(self) -> None:
        if self._producer is not None:
            await asyncio.to_thread(self._producer.flush, self._timeout_seconds)

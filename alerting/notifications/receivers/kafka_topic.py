"""Topic `alerts`: every transition as a JSON Notification, keyed by the episode, so that each episode is in order."""

import asyncio
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from alerting.notifications.delivery import SendResult
from alerting.notifications.receivers.receivers_file import KAFKA
from brandpulse.kafka.client import client_config, producer_config
from brandpulse.kafka.error_hints import explain, kafka_fault
from brandpulse.kafka.topics import Topic, ensure_topics
from brandpulse.schema.episodes import Notification, Severity

STATUS_WRITTEN = 202
_PRODUCER_IS_DEAD = frozenset(
    {
        90,  # PRODUCER_FENCED, which this client does not name: the broker gave this producer id to another client
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
        KafkaError.UNKNOWN_PRODUCER_ID,
    }
)
"""Errors after which an idempotent producer must be replaced."""


class KafkaTopic:
    """The built-in receiver. Its deliveries fail until `prepare` reached a broker, so an unavailable broker does not
    delay other receivers."""

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

    async def deliver(self, notification: Notification) -> SendResult:
        return await asyncio.to_thread(self._produce, notification)

    def prepare(self) -> None:
        """Create the topic if it is missing, and start producing. Blocking. Raises TransientError."""
        self._ask_broker()
        ensure_topics(self._bootstrap_servers, [Topic(self._topic)], replication_factor=self._replication_factor)
        self._producer = self._new_producer()

    def _new_producer(self) -> Any:
        return Producer(
            producer_config(self._bootstrap_servers)
            | {"linger.ms": 0, "message.timeout.ms": int(self._timeout_seconds * 1_000)}
        )

    def _ask_broker(self) -> None:
        """Fail fast: `ensure_topics` waits ten seconds for an unavailable broker, longer than a stop may take."""
        try:
            AdminClient(client_config(self._bootstrap_servers)).list_topics(timeout=self._timeout_seconds)
        except KafkaException as error:
            raise kafka_fault(self._bootstrap_servers, error) from error

    def _produce(self, notification: Notification) -> SendResult:
        producer = self._producer
        if producer is None:
            return SendResult(None, "no Kafka broker has answered yet")
        answers: list[Any] = []
        try:
            producer.produce(
                self._topic,
                key=notification.episode.key.encode(),
                value=notification.model_dump_json().encode(),
                on_delivery=lambda error, _: answers.append(error),
            )
            producer.flush(self._timeout_seconds + 1)
        except (KafkaException, BufferError) as error:
            return SendResult(None, f"Kafka: {error}")
        if not answers:
            return SendResult(None, f"Kafka did not acknowledge within {self._timeout_seconds:g} s")
        if answers[0] is None:
            return SendResult(STATUS_WRITTEN)
        if producer is self._producer and (answers[0].fatal() or answers[0].code() in _PRODUCER_IS_DEAD):
            # This producer would reject every further record until a restart.
            self._producer = self._new_producer()
        return SendResult(None, f"Kafka: {explain(answers[0])}")

    async def close(self) -> None:
        if self._producer is not None:
            await asyncio.to_thread(self._producer.flush, self._timeout_seconds)

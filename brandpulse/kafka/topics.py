"""Kafka topics: creates missing ones, and reads their ids."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic

from brandpulse.errors import TransientError
from brandpulse.kafka.client import client_config
from brandpulse.kafka.error_hints import explain, kafka_fault


@dataclass(frozen=True, slots=True)
class Topic:
    """A required topic. Its number of partitions is fixed at creation, because ids would move to other partitions."""

    name: str
    partitions: int = 1


def ensure_topics(bootstrap_servers: str, topics: Iterable[Topic], *, replication_factor: int = 1) -> dict[str, str]:
    """Create missing topics and return each topic's id by name.

    Event time is in the payload, so retention must go by arrival: without `LogAppendTime` Kafka would delete a replayed
    stream of 2015 within minutes. Raises TransientError if the broker does not answer, ConfigError if it denies access.
    """
    wanted = list(topics)
    admin = AdminClient(client_config(bootstrap_servers) | {"socket.timeout.ms": 10_000})
    try:
        present = admin.list_topics(timeout=10).topics
        missing = [
            NewTopic(
                topic.name,
                num_partitions=topic.partitions,
                replication_factor=replication_factor,
                config=_topic_config(replication_factor),
            )
            for topic in wanted
            if topic.name not in present
        ]
        if missing:
            for future in admin.create_topics(missing, operation_timeout=10).values():
                _created(future)
        return _ids(admin, [topic.name for topic in wanted])
    except KafkaException as error:
        raise kafka_fault(bootstrap_servers, error) from error


def _topic_config(replication_factor: int) -> dict[str, str]:
    """With acks=all alone, a leader without in-sync replicas acknowledges. From three replicas, all but one must be."""
    config = {"message.timestamp.type": "LogAppendTime"}
    if replication_factor >= 3:
        config["min.insync.replicas"] = str(replication_factor - 1)
    return config


def _ids(admin: AdminClient, names: list[str], *, patience_seconds: float = 5.0) -> dict[str, str]:
    """Apache Kafka confirms a creation before every broker's metadata shows it: retry for a while."""
    deadline = time.monotonic() + patience_seconds
    while True:
        described = admin.describe_topics(TopicCollection(names), request_timeout=10)
        try:
            return {name: str(future.result().topic_id) for name, future in described.items()}
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _created(future: Any) -> None:
    try:
        future.result()
    except KafkaException as error:
        # Another process created it first.
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def topic_id(admin: AdminClient, topic: str) -> str:
    """The id that Kafka gave *topic*; a topic that is created again has another. Raises TransientError."""
    try:
        described = admin.describe_topics(TopicCollection([topic]), request_timeout=5)
        return str(described[topic].result().topic_id)
    except KafkaException as error:
        raise TransientError(f"cannot read the id of topic {topic}: {explain(error.args[0])}") from error

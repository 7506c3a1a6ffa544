"""Settings of librdkafka that all clients share."""

from typing import Any

from confluent_kafka import KafkaError

from brandpulse.kafka.address import access_of


def client_config(bootstrap_servers: str) -> dict[str, Any]:
    """What every client sets: quick reconnects, quiet logs, and how it logs in."""
    return {
        "bootstrap.servers": bootstrap_servers,
        "log_level": 3,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 2_000,
        "socket.keepalive.enable": True,
        **access_of(bootstrap_servers),
    }


def producer_config(bootstrap_servers: str) -> dict[str, Any]:
    """Nothing lost, nothing twice, in order: idempotent, acknowledged by all replicas, compressed."""
    return client_config(bootstrap_servers) | {
        "enable.idempotence": True,
        "acks": "all",
        "compression.type": "zstd",
        "linger.ms": 5,
        # With idempotence and five, librdkafka (2.16) was seen to keep a core busy without progress on a loaded
        # machine. One is as fast: what arrives meanwhile is sent together.
        "max.in.flight.requests.per.connection": 1,
    }


_USELESS_AFTER = (
    KafkaError._FATAL,
    KafkaError._MSG_TIMED_OUT,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
)


def needs_new_producer(error: KafkaError) -> bool:
    """Whether an idempotent producer delivers nothing more after *error*.

    After a record that waited too long it continues with a new epoch. Apache Kafka accepts this; the embedded broker
    refuses each record of that epoch, for ever.
    """
    return bool(error.fatal()) or error.code() in _USELESS_AFTER

"""Writes records and waits until the broker has confirmed every one. Blocking: for commands, not for services."""

from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaException, Producer

from brandpulse.errors import TransientError
from brandpulse.kafka.client import producer_config
from brandpulse.kafka.error_hints import explain

FLUSH_SECONDS = 60.0
MOST_BYTES = 100_000_000
"""Of one record: the limit of the topic decides, not the producer's default of a megabyte."""


def write_confirmed(bootstrap_servers: str, records: Iterable[Mapping[str, Any]], *, task: str) -> int:
    """Write *records*, each the arguments of `Producer.produce`, and return their number.

    Raises TransientError `cannot TASK: …` if one of them is not confirmed; the others may be written.
    """
    failed: list[str] = []
    producer = Producer(producer_config(bootstrap_servers) | {"message.max.bytes": MOST_BYTES})

    def delivered(error: Any, _message: Any) -> None:
        if error is not None:
            failed.append(explain(error))

    written = 0
    try:
        for record in records:
            while True:
                try:
                    producer.produce(**record, on_delivery=delivered)
                except BufferError:
                    producer.poll(0.1)
                else:
                    break
            written += 1
        left = producer.flush(FLUSH_SECONDS)
    except KafkaException as error:
        raise TransientError(f"cannot {task}: {explain(error.args[0])}") from error
    if left or failed:
        reason = failed[0] if failed else f"no answer within {FLUSH_SECONDS:g} s"
        raise TransientError(
            f"cannot {task}: Kafka did not confirm {left + len(failed)} of {written} records: {reason}. "
            "Run the command again"
        )
    return written

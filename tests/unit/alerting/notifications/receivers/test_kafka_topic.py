"""Topic `alerts` after its producer died."""

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError

from alerting.notifications.receivers.kafka_topic import KafkaTopic
from tests.support.alerting.episode_builders import a_notification


class Answers:
    """A producer that gets one answer for everything."""

    def __init__(self, error: KafkaError | None) -> None:
        self.error = error

    def produce(self, topic: str, *, key: bytes, value: bytes, on_delivery: Callable[[Any, Any], None]) -> None:
        on_delivery(self.error, None)

    def flush(self, seconds: float) -> int:
        return 0


@pytest.mark.parametrize(
    ("error", "anew"),
    [
        (KafkaError(90), True),
        (KafkaError(KafkaError.INVALID_PRODUCER_EPOCH), True),
        (KafkaError(KafkaError._FATAL, fatal=True), True),
        (KafkaError(KafkaError._MSG_TIMED_OUT), False),
        (None, False),
    ],
)
async def test_a_failed_producer_is_replaced(
    monkeypatch: pytest.MonkeyPatch, error: KafkaError | None, anew: bool
) -> None:
    topic = KafkaTopic("127.0.0.1:1", "alerts", replication_factor=1, timeout_seconds=0.1)
    fresh = Answers(None)
    monkeypatch.setattr(topic, "_new_producer", lambda: fresh)
    topic._producer = Answers(error)
    outcome = await topic.deliver(a_notification())
    assert (outcome.status is None) == (error is not None)
    assert (topic._producer is fresh) == anew

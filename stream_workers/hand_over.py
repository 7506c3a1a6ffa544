"""What a batch hands over to other topics before it counts: scored posts and dead letters, each delivered for certain.

Both are at-least-once: they are written before `next` moves, so a crash between repeats them with the same identity.
"""

import threading
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from brandpulse.errors import TransientError
from brandpulse.posts import SENTIMENTS
from brandpulse.topics import producer_config
from stream_workers.decode import Dead, author_word
from stream_workers.fold import Scored

HEADER = "brandpulse."
"""Dead letters carry brandpulse.{topic,topic_id,partition,offset,record_ms,reason,error}; key and value verbatim."""
MAX_ERROR_CHARS = 500


class HandOver(Protocol):
    """Takes finished posts of one partition; nothing is certain before `flush` returns."""

    def scored(self, topic_id: str, partition: int, posts: Sequence[Scored]) -> None: ...

    def dead(self, topic_id: str, partition: int, letters: Sequence[Dead]) -> None: ...

    def flush(self) -> None:
        """Returns when all of it is delivered. Raises TransientError if something was not."""
        ...


def encode_scored(judged: Scored, topic_id: str, partition: int, model: str) -> bytes:
    """A `brandpulse.posts.ScoredPost` as JSON. Written field by field: the model itself costs ten times as much."""
    post = judged.decoded.post
    sentiment = SENTIMENTS[judged.label]
    return msgspec.json.encode(
        {
            "schema_version": 1,
            "id": post.id,
            "source": post.source,
            "text": judged.masked_text,
            "created_at": post.created_at,
            "author": author_word(judged.author),
            "brands": [{"brand": brand, "sentiment": sentiment} for brand in judged.brands],
            "probabilities": [round(p, 6) for p in judged.probabilities],
            "model": model,
            "topic_id": topic_id,
            "partition": partition,
            "offset": judged.decoded.record.offset,
        }
    )


class KafkaHandOver:
    """To topics posts.scored and posts.dlq."""

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        posts_topic: str,
        scored_topic: str | None,
        dlq_topic: str,
        model: str,
        timeout_seconds: float = 30.0,
    ) -> None:
        # Larger than any batch we hold, so that produce() never finds the queue full.
        self._producer = Producer(
            producer_config(bootstrap_servers)
            | {"queue.buffering.max.messages": 1_000_000, "message.timeout.ms": int(timeout_seconds * 1_000)}
        )
        self._posts_topic = posts_topic
        self._scored_topic = scored_topic
        self._dlq_topic = dlq_topic
        self._model = model
        self._timeout_seconds = timeout_seconds
        self._failed: KafkaError | None = None
        self._lock = threading.Lock()

    def scored(self, topic_id: str, partition: int, posts: Sequence[Scored]) -> None:
        if self._scored_topic is None:
            return
        for scored in posts:
            self._produce(
                self._scored_topic,
                scored.decoded.post.id.encode(),
                encode_scored(scored, topic_id, partition, self._model),
            )

    def dead(self, topic_id: str, partition: int, letters: Sequence[Dead]) -> None:
        for letter in letters:
            facts: dict[str, str | int] = {
                "topic": self._posts_topic,
                "topic_id": topic_id,
                "partition": partition,
                "offset": letter.record.offset,
                "record_ms": letter.record.record_ms,
                "reason": letter.reason,
                "error": letter.message[:MAX_ERROR_CHARS],
            }
            headers = [(HEADER + name, str(value).encode()) for name, value in facts.items()]
            self._produce(self._dlq_topic, letter.record.key, letter.record.value, headers)

    def flush(self) -> None:
        left = self._producer.flush(self._timeout_seconds)
        with self._lock:
            failed, self._failed = self._failed, None
        if failed is not None:
            raise TransientError(f"Kafka did not take a record: {failed.str()}")
        if left:
            raise TransientError(f"Kafka did not take {left} records within {self._timeout_seconds:g} s")

    def _produce(
        self, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]] | None = None
    ) -> None:
        arguments: dict[str, Any] = {"headers": headers} if headers else {}
        try:
            self._producer.produce(topic, key=key, value=value, on_delivery=self._delivered, **arguments)
        except (BufferError, KafkaException) as error:
            raise TransientError(f"Kafka does not take records: {error}") from error

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            with self._lock:
                self._failed = error


class MemoryHandOver:
    """The working twin: lists."""

    def __init__(self) -> None:
        self.scored_posts: list[tuple[int, Scored]] = []
        self.dead_letters: list[tuple[int, Dead]] = []

    def scored(self, topic_id: str, partition: int, posts: Sequence[Scored]) -> None:
        self.scored_posts += [(partition, post) for post in posts]

    def dead(self, topic_id: str, partition: int, letters: Sequence[Dead]) -> None:
        self.dead_letters += [(partition, letter) for letter in letters]

    def flush(self) -> None:
        """Lists are certain at once."""

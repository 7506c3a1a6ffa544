"""What a batch hands over to other topics before it counts: scored posts and dead letters, each delivered for certain.

Both are at-least-once: they are written before `next` moves, so a crash between repeats them with the same identity.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from brandpulse.errors import TransientError
from brandpulse.kafka.client import producer_config
from brandpulse.kafka.error_hints import explain
from brandpulse.schema.dead_letters import HEADER, RecordId, record_id_headers
from brandpulse.schema.posts import BRAND_SENTIMENTS
from stream_workers.aggregation.row_fold import Scored
from stream_workers.decoding.post_decoder import Dead, author_word
from stream_workers.pipeline.scored_topic_gate import ALL
from stream_workers.scoring.post_labels import EVEN, tags

KafkaHeaders = list[tuple[str, bytes]]
MAX_ERROR_CHARS = 500
CUT_BYTES = 65_536
"""What is kept of a value that the broker does not take whole; header brandpulse.cut then tells its full length."""


class HandOver(Protocol):
    """Takes finished posts of one partition; nothing is certain before `flush` returns."""

    def scored(self, topic_id: str, partition: int, posts: Sequence[Scored]) -> None: ...

    def dead(
        self, topic_id: str, partition: int, letters: Sequence[Dead], origins: Mapping[int, RecordId] | None = None
    ) -> None:
        """*origins*: offset -> first identity, of posts that were sent again: the letter keeps it."""
        ...

    def flush(self) -> None:
        """Returns when all of it is delivered. Raises TransientError if something was not."""
        ...


def encode_scored(
    judged: Scored, topic_id: str, partition: int, model: str, emotion_thresholds: Sequence[float] = EVEN
) -> bytes:
    """A `brandpulse.schema.posts.ScoredPost` as JSON. Written field by field: the model itself costs ten times as much."""
    post = judged.decoded.post
    return msgspec.json.encode(
        {
            "schema_version": 2,
            "id": post.id,
            "source": post.source,
            "text": judged.masked_text,
            "created_at": post.created_at,
            "author": author_word(judged.author),
            "brands": [
                {
                    "brand": said.brand,
                    "label": BRAND_SENTIMENTS[said.label],
                    "probabilities": [round(p, 6) for p in said.probabilities],
                    "urgency": said.urgency,
                }
                for said in judged.brands
            ],
            **tags(judged.heads, emotion_thresholds),
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
        emotion_thresholds: Sequence[float] = EVEN,
        timeout_seconds: float = 30.0,
        until: Callable[[int], int] = lambda _partition: ALL,
    ) -> None:
        """*until*: partition -> offset below which its scored posts are ours to write now (`turn.py`)."""
        self._config = producer_config(bootstrap_servers) | {
            # Larger than any batch we hold, so that produce() never finds the queue full.
            "queue.buffering.max.messages": 1_000_000,
            "message.timeout.ms": int(timeout_seconds * 1_000),
            # The broker's limit decides, not ours: see `_delivered`.
            "message.max.bytes": 100_000_000,
        }
        self._producer = Producer(self._config)
        self._worn = False
        self._too_large: list[tuple[Message, KafkaHeaders]] = []
        self._until = until
        self._posts_topic = posts_topic
        self._scored_topic = scored_topic
        self._dlq_topic = dlq_topic
        self._model = model
        self._emotion_thresholds = emotion_thresholds
        self._timeout_seconds = timeout_seconds
        self._failed: KafkaError | None = None
        self._lock = threading.Lock()

    def scored(self, topic_id: str, partition: int, posts: Sequence[Scored]) -> None:
        if self._scored_topic is None or not posts:
            return
        until = self._until(partition)
        for scored in posts:
            if scored.decoded.record.offset >= until:
                continue
            self._produce(
                self._scored_topic,
                scored.decoded.post.id.encode(),
                encode_scored(scored, topic_id, partition, self._model, self._emotion_thresholds),
            )

    def dead(
        self, topic_id: str, partition: int, letters: Sequence[Dead], origins: Mapping[int, RecordId] | None = None
    ) -> None:
        for letter in letters:
            at = letter.record.offset
            first = (origins or {}).get(at)
            facts: dict[str, str | int] = {
                "topic": self._posts_topic,
                "record_ms": letter.record.record_ms,
                "reason": letter.reason,
                "error": letter.message[:MAX_ERROR_CHARS],
                **({} if first is None else {"again_at": at}),
            }
            headers = record_id_headers(first or RecordId(topic_id, partition, at))
            headers += [(HEADER + name, str(value).encode()) for name, value in facts.items()]
            self._produce(self._dlq_topic, letter.record.key, letter.record.value, headers)

    def renew(self) -> None:
        """The log is another one: begin anew with the broker, at the next use. May be called from any thread.

        An embedded broker that came back empty neither takes nor refuses what a producer of its former life sends.
        """
        self._worn = True

    def flush(self) -> None:
        left = self._producer.flush(self._timeout_seconds)
        with self._lock:
            too_large, self._too_large = self._too_large, []
        for message, headers in too_large:
            self._produce_cut(message, headers)
        if too_large:
            left = self._producer.flush(self._timeout_seconds)
        with self._lock:
            failed, self._failed = self._failed, None
        if failed is not None:
            self._replace_if_broken(failed)
            raise TransientError(f"Kafka did not take a record: {explain(failed)}")
        if left:
            raise TransientError(f"Kafka did not take {left} records within {self._timeout_seconds:g} s")

    def _produce_cut(self, message: Message, headers: KafkaHeaders) -> None:
        """A record that the broker holds too large, with the head of its value; the original stays in its topic."""
        value = message.value() or b""
        cut = [*headers, (HEADER + "cut", str(len(value)).encode())]
        self._produce(str(message.topic()), message.key(), value[:CUT_BYTES], cut)

    def _produce(self, topic: str, key: bytes | None, value: bytes | None, headers: KafkaHeaders | None = None) -> None:
        if self._worn:
            self._worn = False
            self._producer = Producer(self._config)
        arguments: dict[str, Any] = {"on_delivery": self._delivered}
        if headers:
            # A delivery report comes without the record's headers: a letter cut without them was nobody's.
            arguments = {"headers": headers, "on_delivery": partial(self._delivered, headers=headers)}
        try:
            self._producer.produce(topic, key=key, value=value, **arguments)
        except BufferError as error:
            raise TransientError(f"Kafka does not take records: {error}") from error
        except KafkaException as error:
            self._replace_if_broken(error.args[0])
            raise TransientError(f"Kafka does not take records: {error}") from error

    def _replace_if_broken(self, error: KafkaError) -> None:
        """An idempotent producer that lost its place (a broker restarted empty) never delivers again."""
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._producer = Producer(self._config)

    def _delivered(self, error: KafkaError | None, message: Message, headers: KafkaHeaders | None = None) -> None:
        if error is None:
            return
        with self._lock:
            # Once cut it is small; should it be refused again, that is a fault like any other.
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE and len(message.value() or b"") > CUT_BYTES:
                self._too_large.append((message, headers or []))
            else:
                self._failed = error


class MemoryHandOver:
    """The working twin: lists."""

    def __init__(self) -> None:
        self.scored_posts: list[tuple[int, Scored]] = []
        self.dead_letters: list[tuple[int, Dead]] = []

    def scored(self, topic_id: str, partition: int, posts: Sequence[Scored]) -> None:
        self.scored_posts += [(partition, post) for post in posts]

    def dead(
        self, topic_id: str, partition: int, letters: Sequence[Dead], _origins: Mapping[int, RecordId] | None = None
    ) -> None:
        self.dead_letters += [(partition, letter) for letter in letters]

    def flush(self) -> None:
        """Lists are certain at once."""

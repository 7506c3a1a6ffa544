"""Writes the output of a batch to other topics before the batch counts: scored posts and dead letters, all confirmed.

Both are at-least-once: they are written before `next` moves, so a crash in between repeats them with the same identity.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from brandpulse.errors import TransientError
from brandpulse.kafka.client import needs_new_producer, producer_config
from brandpulse.kafka.error_hints import explain
from brandpulse.schema.dead_letters import HEADER, RecordId, record_id_headers
from brandpulse.schema.identity import author_hex
from brandpulse.schema.posts import BRAND_SENTIMENTS
from brandpulse.text.readable_text import FORM_VERSION
from stream_workers.aggregation.types import Scored
from stream_workers.decoding.post_decoder import DeadRecord
from stream_workers.pipeline.scored_topic_gate import ALL
from stream_workers.scoring.post_labels import EVEN_THRESHOLDS, label_fields

KafkaHeaders = list[tuple[str, bytes]]
MAX_ERROR_CHARS = 500
CUT_BYTES = 65_536
"""What is kept of a value that is too large for the broker; header brandpulse.cut then holds its full length."""


class ModelLabels(NamedTuple):
    """What a scored post says about the weights that scored it."""

    model: str
    """`name@version`."""
    emotion_thresholds: Sequence[float] = EVEN_THRESHOLDS


class OutputProducer(Protocol):
    """Takes the output of one partition; it is confirmed only when `flush` returns."""

    def add_scored(self, topic_id: str, partition: int, posts: Sequence[Scored]) -> None: ...

    def add_dead(
        self,
        topic_id: str,
        partition: int,
        records: Sequence[DeadRecord],
        origins: Mapping[int, RecordId] | None = None,
    ) -> None:
        """*origins*: offset -> original identity, of redriven posts: the dead letter keeps it."""
        ...

    def flush(self) -> None:
        """Returns when everything is delivered. Raises TransientError otherwise."""
        ...


def encode_scored(
    scored: Scored,
    topic_id: str,
    partition: int,
    model: str,
    emotion_thresholds: Sequence[float] = EVEN_THRESHOLDS,
) -> bytes:
    """A `brandpulse.schema.posts.ScoredPost` as JSON, field by field: the pydantic model costs ten times as much."""
    post = scored.decoded.post
    return msgspec.json.encode(
        {
            "schema_version": 2,
            "id": post.id,
            "source": post.source,
            "text": scored.masked_text,
            "text_form": FORM_VERSION,
            "created_at": post.created_at,
            "author": author_hex(scored.author),
            "brands": [
                {
                    "brand": score.brand,
                    "label": BRAND_SENTIMENTS[score.label],
                    "probabilities": [round(p, 6) for p in score.probabilities],
                    "urgency": score.urgency,
                }
                for score in scored.brands
            ],
            **label_fields(scored.heads, emotion_thresholds),
            "language": scored.language or None,
            "model": model,
            "topic_id": topic_id,
            "partition": partition,
            "offset": scored.decoded.record.offset,
        }
    )


class KafkaOutputProducer:
    """Writes to topics posts.scored and posts.dlq."""

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        posts_topic: str,
        scored_topic: str | None,
        dlq_topic: str,
        model: str,
        emotion_thresholds: Sequence[float] = EVEN_THRESHOLDS,
        languages: Mapping[str, ModelLabels] | None = None,
        timeout_seconds: float = 30.0,
        end_offset: Callable[[int], int] = lambda _partition: ALL,
    ) -> None:
        """*model* and *emotion_thresholds*: of the weights that score posts in every language but *languages*.
        *end_offset*: partition -> offset below which its scored posts are written (`ScoredTopicGate`)."""
        self._config = producer_config(bootstrap_servers) | {
            # Larger than any batch, so that produce() never finds the queue full.
            "queue.buffering.max.messages": 1_000_000,
            "message.timeout.ms": int(timeout_seconds * 1_000),
            # The broker's limit decides, see `_on_delivery`.
            "message.max.bytes": 100_000_000,
        }
        self._producer = Producer(self._config)
        self._must_replace = False
        self._too_large: list[tuple[Message, KafkaHeaders]] = []
        self._end_offset = end_offset
        self._posts_topic = posts_topic
        self._scored_topic = scored_topic
        self._dlq_topic = dlq_topic
        self._labels = ModelLabels(model, emotion_thresholds)
        self._languages = languages or {}
        self._timeout_seconds = timeout_seconds
        self._failed: KafkaError | None = None
        self._lock = threading.Lock()

    def add_scored(self, topic_id: str, partition: int, posts: Sequence[Scored]) -> None:
        if self._scored_topic is None or not posts:
            return
        end_offset = self._end_offset(partition)
        for scored in posts:
            if scored.decoded.record.offset >= end_offset:
                continue
            self._produce(
                self._scored_topic,
                scored.decoded.post.id.encode(),
                encode_scored(scored, topic_id, partition, *self._languages.get(scored.language, self._labels)),
            )

    def add_dead(
        self,
        topic_id: str,
        partition: int,
        records: Sequence[DeadRecord],
        origins: Mapping[int, RecordId] | None = None,
    ) -> None:
        for dead_record in records:
            offset = dead_record.record.offset
            origin = (origins or {}).get(offset)
            facts: dict[str, str | int] = {
                "topic": self._posts_topic,
                "record_ms": dead_record.record.record_ms,
                "reason": dead_record.reason,
                "error": dead_record.message[:MAX_ERROR_CHARS],
                **({} if origin is None else {"again_at": offset}),
            }
            headers = record_id_headers(origin or RecordId(topic_id, partition, offset))
            headers += [(HEADER + name, str(value).encode()) for name, value in facts.items()]
            self._produce(self._dlq_topic, dead_record.record.key, dead_record.record.value, headers)

    def replace_producer(self) -> None:
        """The log is another one: use a new producer from the next record on. May be called from any thread.

        An embedded broker that came back empty neither accepts nor refuses the records of an older producer.
        """
        self._must_replace = True

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
            raise TransientError(f"Kafka did not accept a record: {explain(failed)}")
        if left:
            raise TransientError(f"Kafka did not accept {left} records within {self._timeout_seconds:g} s")

    def _produce_cut(self, message: Message, headers: KafkaHeaders) -> None:
        """A record that is too large for the broker, with the head of its value; the original stays in its topic."""
        value = message.value() or b""
        cut_headers = [*headers, (HEADER + "cut", str(len(value)).encode())]
        self._produce(str(message.topic()), message.key(), value[:CUT_BYTES], cut_headers)

    def _produce(self, topic: str, key: bytes | None, value: bytes | None, headers: KafkaHeaders | None = None) -> None:
        if self._must_replace:
            self._must_replace = False
            self._producer = Producer(self._config)
        arguments: dict[str, Any] = {"on_delivery": self._on_delivery}
        if headers:
            # A delivery report comes without the record's headers, and a dead letter needs them when it is cut.
            arguments = {"headers": headers, "on_delivery": partial(self._on_delivery, headers=headers)}
        try:
            self._producer.produce(topic, key=key, value=value, **arguments)
        except BufferError as error:
            raise TransientError(f"Kafka does not accept records: {error}") from error
        except KafkaException as error:
            self._replace_if_broken(error.args[0])
            raise TransientError(f"Kafka does not accept records: {error}") from error

    def _replace_if_broken(self, error: KafkaError) -> None:
        if needs_new_producer(error):
            self._producer = Producer(self._config)

    def _on_delivery(self, error: KafkaError | None, message: Message, headers: KafkaHeaders | None = None) -> None:
        if error is None:
            return
        with self._lock:
            # A cut record is small; if it is refused again, that is an ordinary error.
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE and len(message.value() or b"") > CUT_BYTES:
                self._too_large.append((message, headers or []))
            else:
                self._failed = error


class MemoryOutputProducer:
    """Keeps the output in lists, for tests."""

    def __init__(self) -> None:
        self.scored_posts: list[tuple[int, Scored]] = []
        self.dead_letters: list[tuple[int, DeadRecord]] = []

    def add_scored(self, topic_id: str, partition: int, posts: Sequence[Scored]) -> None:
        self.scored_posts += [(partition, post) for post in posts]

    def add_dead(
        self,
        topic_id: str,
        partition: int,
        records: Sequence[DeadRecord],
        _origins: Mapping[int, RecordId] | None = None,
    ) -> None:
        self.dead_letters += [(partition, dead_record) for dead_record in records]

    def flush(self) -> None:
        """Lists are delivered at once."""

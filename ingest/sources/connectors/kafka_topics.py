"""Kafka topics of other teams: JSON, Avro and JSON with a schema registry, CloudEvents.

The position is stored with the counts once our broker has confirmed the posts; the consumer joins no group and commits
nothing, so the other cluster needs to allow reading only.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from pydantic import Field, field_validator, model_validator

from brandpulse.kafka.error_hints import explain
from brandpulse.schema.dead_letters import RecordId
from ingest.sources.events import Batch, Cursor, Delete, Event, Gap, Reject, Skip
from ingest.sources.records.envelopes import opened
from ingest.sources.records.field_mapping import RecordError, load_mapping
from ingest.sources.records.schema_registry import SchemaRegistry
from ingest.sources.secrets import SecretName, secret
from ingest.sources.source import SourceConfigError, SourceContext, SourceError, SourceSettings

BATCH_RECORDS = 500
POLL_SECONDS = 0.2
REQUEST_SECONDS = 10.0
TOPICS_SECONDS = 30.0
"""How often new partitions and topics that were created again are looked for."""
GROUP = "brandpulse-source"
"""librdkafka wants a name; nothing joins or commits."""
REFUSED = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.INVALID_CONFIG)


class KafkaSettings(SourceSettings):
    kind: Literal["kafka"]
    bootstrap_servers: Annotated[str, Field(min_length=3, examples=["kafka.crm.example:9092"])]
    topics: Annotated[tuple[str, ...], Field(min_length=1, max_length=100)]
    mapping_file: Path
    """YAML file that says where the fields of a post are in a record."""
    payload: Literal["json", "avro"] = "json"
    registry: str | None = Field(default=None, examples=["https://registry.crm.example"])
    """Address of a schema registry with Confluent's interface."""
    registry_login_env: SecretName | None = None
    """Variable with `user:password`."""
    start: Literal["latest", "earliest"] = "latest"
    """Where a topic without a stored position begins."""
    client: Mapping[str, str | int | bool] = Field(default_factory=dict, examples=[{"security.protocol": "SASL_SSL"}])
    """More settings of librdkafka."""
    client_secrets_env: Mapping[str, SecretName] = Field(
        default_factory=dict, examples=[{"sasl.password": "CRM_KAFKA_PASSWORD"}]
    )
    """Settings of librdkafka whose values are in environment variables."""

    @model_validator(mode="before")
    @classmethod
    def _own_source(cls, content: Any) -> Any:
        # Ids of two topics have nothing to do with each other, so the kind is no name for both.
        if isinstance(content, dict) and content.get("source") is None:
            return {**content, "source": content.get("name")}
        return content

    @field_validator("client")
    @classmethod
    def _no_secret(cls, client: Mapping[str, Any]) -> Mapping[str, Any]:
        for name in client:
            if name in ("group.id", "enable.auto.commit", "auto.offset.reset", "bootstrap.servers"):
                raise ValueError(f"{name!r} is set by brandpulse")
            if "password" in name or "secret" in name:
                raise ValueError(f"{name!r} is a secret: name its environment variable under client_secrets_env")
        return client

    @model_validator(mode="after")
    def _avro_needs_a_registry(self) -> "KafkaSettings":
        if self.payload == "avro" and self.registry is None:
            raise ValueError("payload avro needs the address of a schema registry: set registry")
        return self


class KafkaSource:
    """Reads all partitions of its topics. The cursor: topic -> its id, next offset and time of each partition."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self._mapping = load_mapping(settings.mapping_file)
        login = settings.registry_login_env
        self._registry = (
            SchemaRegistry(
                settings.registry,
                secret(login, source=settings.name).get_secret_value() if login is not None else None,
            )
            if settings.registry is not None
            else None
        )
        secrets = {
            name: secret(variable, source=settings.name).get_secret_value()
            for name, variable in settings.client_secrets_env.items()
        }
        self._access: dict[str, Any] = {
            "bootstrap.servers": settings.bootstrap_servers,
            "log_level": 0,
            **settings.client,
            **secrets,
        }

    async def check(self, context: SourceContext) -> str:
        topics = await asyncio.to_thread(self._layout)
        counts = ", ".join(f"{topic}: {len(found)} partitions" for topic, (_, found) in topics.items())
        return f"{counts}; {await self._registry.check(context)}" if self._registry is not None else counts

    async def read(self, cursor: Cursor | None, context: SourceContext) -> AsyncIterator[Batch]:
        loop = asyncio.get_running_loop()
        # One thread: librdkafka's calls block, and the consumer must not be closed while one of them runs.
        with ThreadPoolExecutor(1, thread_name_prefix=f"source {self.settings.name}") as thread:
            consumer = await loop.run_in_executor(thread, self._consumer)
            try:
                layout = await loop.run_in_executor(thread, self._layout)
                place = _Place(cursor, layout)
                gaps = await loop.run_in_executor(thread, place.begin, consumer, self.settings.start)
                yield Batch((), place.stored())
                for gap in gaps:
                    yield Batch((), place.stored(), gap)
                looked_at = time.monotonic()
                while True:
                    messages = await loop.run_in_executor(thread, _consume, consumer)
                    if messages:
                        events = [await self._event(message, layout, context) for message in messages]
                        for message in messages:
                            place.passed(message)
                        yield Batch(events, place.stored(), caught_up=len(messages) < BATCH_RECORDS)
                    if time.monotonic() - looked_at > TOPICS_SECONDS:
                        looked_at = time.monotonic()
                        if await loop.run_in_executor(thread, self._layout) != layout:
                            raise SourceError("a topic has new partitions, or was created again")
            finally:
                await loop.run_in_executor(thread, consumer.close)

    async def _event(self, message: Any, layout: "Layout", context: SourceContext) -> Event:
        origin = RecordId(layout[message.topic()][0], message.partition(), message.offset())
        try:
            record = await opened(
                message, registry=self._registry, avro=self.settings.payload == "avro", context=context
            )
            if message.value() is None:
                post_id = self._mapping.id_of(record)
                return Delete(id=post_id) if post_id else Skip("no_value")
            if not self._mapping.wants(record):
                return Skip("not_wanted")
            source, event_id = record.event.get("source"), record.event.get("id")
            default_id = f"{source}/{event_id}" if event_id else str(origin)
            return self._mapping.post(record, default_id=default_id)
        except RecordError as fault:
            at_ms = message.timestamp()[1]
            return Reject(fault.reason, str(fault), origin, message.topic(), at_ms, message.key(), message.value())

    def _consumer(self) -> Consumer:
        try:
            return Consumer(
                self._access
                | {
                    "group.id": GROUP,
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    # A position that the log no longer has is a gap: `begin` finds it at the next connection.
                    "auto.offset.reset": "error",
                    "isolation.level": "read_committed",
                    "queued.max.messages.kbytes": 16 * 1024,
                }
            )
        except KafkaException as error:
            raise SourceConfigError(f"the settings of the Kafka client are wrong: {error}") from error

    def _layout(self) -> "Layout":
        """Raises SourceError, SourceConfigError."""
        admin = AdminClient(self._access)
        found: Layout = {}
        try:
            futures = admin.describe_topics(
                TopicCollection(list(self.settings.topics)), request_timeout=REQUEST_SECONDS
            )
            for topic, future in futures.items():
                described = future.result()
                found[topic] = (str(described.topic_id), tuple(sorted(one.id for one in described.partitions)))
        except KafkaException as error:
            fault = _fault(error.args[0])
            raise type(fault)(f"Kafka at {self.settings.bootstrap_servers}: {fault}") from error
        return found


Layout = dict[str, tuple[str, tuple[int, ...]]]
"""Topic -> its id and partitions."""


class _Place:
    """How far each partition is read."""

    def __init__(self, cursor: Cursor | None, layout: Layout) -> None:
        self._layout = layout
        self._cursor = cursor or {}
        self._next: dict[tuple[str, int], int] = {}
        self._at_ms: dict[tuple[str, int], int] = {}

    def begin(self, consumer: Consumer, start: str) -> list[Gap]:
        """Assigns all partitions where they were left, or at *start*; the periods that are gone."""
        gaps: list[Gap] = []
        now = datetime.now(UTC)
        try:
            for topic, (topic_id, partitions) in self._layout.items():
                stored = self._cursor.get(topic)
                same = stored is not None and stored["id"] == topic_id
                known = stored["partitions"] if stored is not None else {}
                lost: list[int] = []
                for partition in partitions:
                    low, high = consumer.get_watermark_offsets(
                        TopicPartition(topic, partition), timeout=REQUEST_SECONDS, cached=False
                    )
                    before, at_ms = known.get(str(partition), (None, 0))
                    if stored is None:
                        offset = high if start == "latest" else low
                    elif before is None or not same:
                        offset = low
                    else:
                        # The embedded broker may report an end that is too early, so only the beginning is certain.
                        offset = max(low, before)
                        lost += [at_ms] if before < low else []
                    self._next[topic, partition], self._at_ms[topic, partition] = offset, at_ms
                if stored is not None and not same:
                    lost = [at_ms for _, at_ms in known.values()]
                    gaps += [Gap(_moment(max(lost, default=0), now), now, f"the topic {topic} was created again")]
                elif lost:
                    gaps += [Gap(_moment(min(lost), now), now, f"the topic {topic} keeps records for a shorter time")]
            consumer.assign([TopicPartition(*place, offset) for place, offset in self._next.items()])
        except KafkaException as error:
            raise _fault(error.args[0]) from error
        return gaps

    def passed(self, message: Any) -> None:
        place = message.topic(), message.partition()
        self._next[place] = message.offset() + 1
        self._at_ms[place] = max(self._at_ms[place], message.timestamp()[1])

    def stored(self) -> dict[str, Any]:
        return {
            topic: {
                "id": topic_id,
                "partitions": {
                    str(partition): [self._next[topic, partition], self._at_ms[topic, partition]]
                    for partition in partitions
                },
            }
            for topic, (topic_id, partitions) in self._layout.items()
        }


def _moment(at_ms: int, now: datetime) -> datetime:
    """The time of the last record that was read; *now* if none was."""
    return min(now, datetime.fromtimestamp(at_ms / 1000, UTC)) if at_ms > 0 else now


def _consume(consumer: Consumer) -> Sequence[Any]:
    """Raises SourceError, SourceConfigError."""
    try:
        messages: list[Any] = consumer.consume(BATCH_RECORDS, POLL_SECONDS)
    except KafkaException as error:
        raise _fault(error.args[0]) from error
    for message in messages:
        if message.error() is not None:
            raise _fault(message.error())
    return messages


def _fault(error: KafkaError) -> SourceError | SourceConfigError:
    if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        return SourceConfigError(f"a topic does not exist there: {explain(error)}; correct topics")
    return SourceConfigError(explain(error)) if error.code() in REFUSED else SourceError(explain(error))

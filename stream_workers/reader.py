"""Reads topic `posts` in a thread of its own, where nothing but Redis's `next` says where to begin.

Kafka's committed offset is written for lag tools and never read: Faust and plain consumers alike commit past records
that were not processed.
"""

import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from brandpulse.errors import StateError, TransientError
from brandpulse.kafka_access import explain
from brandpulse.letters import Origin, origin_of
from brandpulse.partitions import PartitionStatus
from brandpulse.telemetry import Telemetry
from brandpulse.topic_scan import log_end
from brandpulse.topics import client_config, topic_id
from stream_workers.decode import Record
from stream_workers.guard import InvalidGuard
from stream_workers.held import HeldPartition, PartitionBatch, ReadBatch
from stream_workers.log_identity import LogExtent, start_of
from stream_workers.signs_of_life import SignsOfLife
from stream_workers.store import PartitionStore

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
TOUCH_SECONDS = 1.0
COMMIT_SECONDS = 5.0
ALLOW_CHECK_SECONDS = 2.0
IDENTITY_CHECK_SECONDS = 1.0
UNASSIGNED_SECONDS = 60.0


GroupProtocol = Literal["classic", "consumer"]
"""`consumer` is KIP-848: the broker assigns, and its settings tell when a member is dead."""


@dataclass(frozen=True, slots=True)
class ReaderConfig:
    bootstrap_servers: str
    group_id: str
    topic: str
    batch_posts: int
    batch_wait_seconds: float
    session_timeout_seconds: float
    idle_after_seconds: float
    lateness_ms: int
    invalid_run: int
    invalid_share: float
    owner: str
    start: Literal["earliest", "latest"] = "earliest"
    """Where to begin in a topic of which no partition has state."""
    group_protocol: GroupProtocol = "classic"


Offer = Callable[[ReadBatch, float], bool]
"""Takes a batch if there is room within so many seconds; False: not now."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Ask the reader to forget a partition and load it anew."""

    held: HeldPartition
    reason: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Ask the reader to stop a partition until a person lets it go on."""

    held: HeldPartition
    reason: str


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do every so often; moments are monotonic seconds."""

    every_seconds: float
    do: Callable[[float], None]
    at: float
    """When it is due next."""


def _membership(config: ReaderConfig) -> dict[str, str | int]:
    if config.group_protocol == "consumer":
        return {"group.protocol": "consumer"}
    session_ms = int(config.session_timeout_seconds * 1_000)
    return {
        "partition.assignment.strategy": "roundrobin",
        "session.timeout.ms": session_ms,
        "heartbeat.interval.ms": max(300, session_ms // 4),
    }


class PostReader:
    """Owns the consumer. `run` is the thread's body; `reset`, `pause` and `stop` may be called from any thread."""

    def __init__(
        self,
        config: ReaderConfig,
        store: PartitionStore,
        offer: Offer,
        telemetry: Telemetry,
        *,
        on_other_log: Callable[[], None],
        wall_ms: Callable[[], int],
    ) -> None:
        """*on_other_log* is called before a partition starts in a log it did not know; may raise TransientError."""
        self._config = config
        self._on_other_log = on_other_log
        self._store = store
        self._offer = offer
        self._telemetry = telemetry
        self._orders: queue.SimpleQueue[Reset | Pause] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._mine: set[int] = set()
        """Partitions that the group gave us, whatever became of them."""
        self._held: dict[int, HeldPartition] = {}
        self._pending: dict[int, float] = {}
        """Partitions that wait for their state to be loaded -> not before (monotonic seconds)."""
        self._paused: dict[int, Pause] = {}
        now = time.monotonic()
        self._chores = {
            "tell": Chore(TOUCH_SECONDS, lambda now: self._signs.tell(self._held, now), now),
            "commit": Chore(COMMIT_SECONDS, lambda _now: self._signs.commit(self._held), now + COMMIT_SECONDS),
            "resume": Chore(ALLOW_CHECK_SECONDS, lambda _now: self._resume_allowed(), now),
            "unassigned": Chore(UNASSIGNED_SECONDS, lambda _now: self._tell_unassigned(), now + UNASSIGNED_SECONDS),
        }
        self._incremental = config.group_protocol == "consumer"
        self._stuck: set[int] = set()
        """Partitions whose fetcher gave up at an offset out of range."""
        self._identity_checked = 0.0
        self._admin = AdminClient(client_config(config.bootstrap_servers) | {"socket.timeout.ms": 5_000})
        self._consumer = Consumer(
            client_config(config.bootstrap_servers)
            | {
                "group.id": config.group_id,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                **_membership(config),
                # The time a rebalance waits for members, too; this thread always polls, so it may be short.
                "max.poll.interval.ms": max(30_000, int(config.session_timeout_seconds * 1_000)),
                # The default second starves a fast reader each time librdkafka's queue was full.
                "fetch.queue.backoff.ms": 2,
                # A waiting fetch holds up what comes after it on the connection: offset queries at assignment, too.
                "fetch.wait.max.ms": 100,
                "queued.max.messages.kbytes": 32_768,
                "isolation.level": "read_committed",
                # Says that nothing follows: control records of transactions take offsets that we never see.
                "enable.partition.eof": True,
            }
        )
        self._signs = SignsOfLife(
            self._consumer,
            store,
            telemetry,
            topic=config.topic,
            idle_after_seconds=config.idle_after_seconds,
            wall_ms=wall_ms,
            lost=self.reset,
        )

    def reset(self, held: HeldPartition, reason: str) -> None:
        held.gone = True
        self._orders.put(Reset(held, reason))

    def pause(self, held: HeldPartition, reason: str) -> None:
        held.gone = True
        self._orders.put(Pause(held, reason))

    def stop(self) -> None:
        self._stopping.set()

    def lag(self) -> int:
        """Records between what is applied and the log's ends; a partition that waits for its state counts as one."""
        return sum(self._signs.lag_of(held) or 0 for held in list(self._held.values())) + len(self._pending)

    def run(self) -> None:
        """Reads until `stop`. Raises what it cannot bear: the process then ends and is started anew."""
        self._consumer.subscribe(
            [self._config.topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )
        try:
            while not self._stopping.is_set():
                self._obey()
                self._load_pending()
                self._read_once()
                self._do_chores()
        finally:
            # Batches already handed over may still settle: the state is theirs until the store says otherwise.
            self._pending.clear()

    def close(self) -> None:
        """After the last batch is settled: commit for lag tools, leave the group."""
        self._signs.commit(self._held, asynchronous=False)
        self._consumer.close()

    def _do_chores(self) -> None:
        """What is due by the clock; also while a batch waits for room, or a burst would look like an idle partition."""
        now = time.monotonic()
        for due, chore in self._chores.items():
            if now >= chore.at:
                self._chores[due] = replace(chore, at=now + chore.every_seconds)
                chore.do(now)

    # -- reading -------------------------------------------------------------------------------------------------

    def _read_once(self) -> None:
        started = time.perf_counter()
        messages = self._consumer.consume(self._config.batch_posts, self._config.batch_wait_seconds)
        waited = time.perf_counter()
        stages = self._telemetry.counter("brandpulse_stage_seconds_total")
        stages.labels("wait").inc(waited - started)
        if not messages:
            return
        batch = self._cut(messages)
        stages.labels("read").inc(time.perf_counter() - waited)
        if not batch.parts or not self._same_log():
            return
        self._telemetry.counter("brandpulse_posts_read_total").inc(batch.posts)
        self._hand(batch)

    def _same_log(self) -> bool:
        """Whether the topic is still the one whose offsets we hold; if not, all partitions load anew.

        A topic deleted, made again and filled past our offset while we slept would go on being read in the middle.
        """
        now = time.monotonic()
        if now - self._identity_checked < IDENTITY_CHECK_SECONDS:
            return True
        try:
            found, reason = topic_id(self._admin, self._config.topic), "the topic is another one"
        except TransientError as error:
            found, reason = "", str(error)
        self._identity_checked = now
        if all(held.status.topic_id == found for held in self._held.values()):
            return True
        for held in self._held.values():
            self.reset(held, reason)
        return False

    def _cut(self, messages: list[Message]) -> ReadBatch:
        """Records by partition; what does not belong to a loaded partition's next place falls out."""
        by_partition: dict[int, list[Record]] = {}
        origins: dict[int, dict[int, Origin]] = {}
        ended: set[int] = set()
        for message in messages:
            partition, error = message.partition(), message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    ended.add(partition)
                else:
                    self._take_error(error, message)
                continue
            offset = message.offset()
            ended.discard(partition)
            held = self._held.get(partition)
            if held is None or held.gone:
                continue
            records = by_partition.setdefault(partition, [])
            # A record from before a seek may still come out of librdkafka's queue; seen after a seek on a fresh broker:
            # all of a partition twice within one read.
            if offset < (records[-1].offset + 1 if records else held.position):
                continue
            records.append(Record(offset, message.timestamp()[1], message.key(), message.value()))
            if (headers := message.headers()) and (origin := origin_of(headers)) and origin.partition == partition:
                origins.setdefault(partition, {})[offset] = origin
        parts = []
        for partition, records in by_partition.items():
            if not records:
                continue
            held = self._held[partition]
            to_offset = records[-1].offset + 1
            parts.append(PartitionBatch(held, held.position, to_offset, records, origins.get(partition, {})))
            held.position = to_offset
        for partition in ended & self._held.keys():
            self._held[partition].ended_at = self._held[partition].position
        return ReadBatch(parts)

    def _hand(self, batch: ReadBatch) -> None:
        """Wait for room; after a second of waiting the partitions pause, so that polling keeps us in the group."""
        paused: list[TopicPartition] = []
        try:
            while not self._stopping.is_set():
                if self._offer(batch, 0.05 if paused else 1.0):
                    return
                if not paused:
                    paused = self._consumer.assignment()
                    self._consumer.pause(paused)
                for message in self._consumer.consume(1, 0.01):
                    error = message.error()
                    if error is None:
                        # Fetched before the pause took hold: read it again from its place.
                        self._order_reset(message.partition(), "read while paused")
                    elif error.code() != KafkaError._PARTITION_EOF:
                        self._take_error(error, message)
                self._obey()
                self._do_chores()
        finally:
            if paused:
                mine = {tp.partition for tp in self._consumer.assignment()} & self._held.keys()
                self._consumer.resume([tp for tp in paused if tp.partition in mine])

    def _take_error(self, error: KafkaError, message: Message) -> None:
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            self._stuck.add(message.partition())
            self._order_reset(message.partition(), f"offset out of range: {error.str()}")
        elif error.fatal():
            raise KafkaException(error)
        else:
            log.warning("kafka says", extra={"error": explain(error), "partition": message.partition()})

    # -- partitions come and go ----------------------------------------------------------------------------------

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        log.info("assigned", extra={"partitions": sorted(p.partition for p in partitions)})
        self._stuck.clear()
        # Nothing is read before the state says where to begin; loading must not hold up the group. And nothing is
        # assigned at a logical offset, to be sought later: on a slow broker librdkafka 2.16 takes its late answer to
        # "where is the end?" for newer than the seek, and what lies before the end is never read (18 of 86 tries).
        if self._incremental:
            # What is assigned must be told at once here. An offset that is a number is asked of nobody.
            consumer.incremental_assign([TopicPartition(place.topic, place.partition, 0) for place in partitions])
            consumer.pause(partitions)
        else:
            consumer.assign([])
            self._mine.clear()
        self._mine |= {partition.partition for partition in partitions}
        for partition in partitions:
            self._pending[partition.partition] = 0.0

    def _revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        log.info("revoked", extra={"partitions": sorted(p.partition for p in partitions)})
        self._mine -= {partition.partition for partition in partitions}
        for partition in partitions:
            self._forget(partition.partition)
            self._pending.pop(partition.partition, None)
            self._paused.pop(partition.partition, None)

    def _forget(self, partition: int) -> None:
        held = self._held.pop(partition, None)
        if held is not None:
            held.gone = True
        self._signs.forget(partition)

    def _obey(self) -> None:
        while True:
            try:
                order = self._orders.get_nowait()
            except queue.Empty:
                return
            partition = order.held.status.partition
            if self._held.get(partition) is not order.held:
                continue
            self._forget(partition)
            self._consumer.pause([TopicPartition(self._config.topic, partition)])
            if isinstance(order, Pause):
                log.error("partition paused", extra={"partition": partition, "reason": order.reason})
                self._paused[partition] = order
                self._signs.tell_paused(order.held, order.reason)
            else:
                log.warning("partition reloads", extra={"partition": partition, "reason": order.reason})
                self._pending[partition] = time.monotonic()

    def _order_reset(self, partition: int, reason: str) -> None:
        held = self._held.get(partition)
        if held is not None and not held.gone:
            self.reset(held, reason)

    def _load_pending(self) -> None:
        now = time.monotonic()
        found: dict[int, HeldPartition] = {}
        for partition, not_before in list(self._pending.items()):
            if now < not_before:
                continue
            try:
                status = self._load(partition)
            except (TransientError, KafkaException) as error:
                log.info("partition waits", extra={"partition": partition, "reason": str(error)})
                self._pending[partition] = time.monotonic() + RETRY_SECONDS
                continue
            except StateError:
                log.exception(
                    "partition stopped: its state is damaged",
                    extra={"partition": partition, "remedy": "mend or delete the key, then restart the worker"},
                )
                del self._pending[partition]
                self._telemetry.gauge("brandpulse_partition_paused").labels(partition).set(1)
                continue
            del self._pending[partition]
            guard = InvalidGuard(run_limit=self._config.invalid_run, share_limit=self._config.invalid_share)
            held = HeldPartition(status, status.next, guard)
            stopped = bool(status.paused) and status.allowed_until <= status.next
            self._telemetry.gauge("brandpulse_partition_paused").labels(partition).set(int(stopped))
            if stopped:
                self._paused[partition] = Pause(held, status.paused)
            else:
                found[partition] = held
        if found:
            self._begin(found)

    def _begin(self, found: dict[int, HeldPartition]) -> None:
        """Read the partitions of *found* from their positions on."""
        known = {place.partition for place in self._consumer.assignment()} - self._stuck
        try:
            if found.keys() <= known:
                for partition, held in found.items():
                    self._consumer.seek(TopicPartition(self._config.topic, partition, held.position))
            else:
                # A fetcher that found its offset out of range is started by a new assignment alone, as a fresh one is;
                # seeks it refuses for ever ("Erroneous state", seen on Apache Kafka when retention overtook us).
                # Partitions that wait, for their state or for a person, are left out until they begin.
                self._assign_anew(found)
                self._stuck -= found.keys()
        except KafkaException as error:
            log.info("partitions wait", extra={"partitions": sorted(found), "reason": str(error)})
            self._pending |= dict.fromkeys(found, time.monotonic() + RETRY_SECONDS)
            return
        self._held |= found
        self._consumer.resume([TopicPartition(self._config.topic, partition) for partition in found])

    def _assign_anew(self, found: dict[int, HeldPartition]) -> None:
        """Start fetchers at the positions of *found*."""
        if self._incremental:
            mine = [TopicPartition(self._config.topic, partition, held.position) for partition, held in found.items()]
            self._consumer.incremental_unassign(mine)
            self._consumer.incremental_assign(mine)
        else:
            places = {partition: held.position for partition, held in (self._held | found).items()}
            self._consumer.assign([TopicPartition(self._config.topic, *place) for place in places.items()])

    def _load(self, partition: int) -> PartitionStatus:
        """The partition's state, put right for the log as it is now. Raises TransientError, StateError."""
        seen = self._store.load(self._config.topic, partition)
        extent = self._extent(partition, seen.next if seen else 0)
        origin = self._origin(partition, extent) if seen is None else None
        start = start_of(self._config.topic, partition, seen, extent, origin)
        if start.reason:
            log.warning(
                "partition starts elsewhere",
                extra={"partition": partition, "next": start.status.next, "reason": start.reason},
            )
            self._on_other_log()
            status = replace(start.status, life=secrets.token_hex(8))
            if not self._store.rebase(seen, status):
                raise TransientError("another worker moved the state")
        else:
            status = start.status
        return replace(status, owner=self._config.owner, lateness_ms=self._config.lateness_ms)

    def _origin(self, partition: int, log_now: LogExtent) -> int | None:
        """Where a partition without state begins: None for the log's beginning, as ever unless we are told otherwise.

        The first worker of a namespace notes the ends of all partitions at once; who comes later goes by that note, so
        that what arrives between is counted.
        """
        topic, topic_id_now = self._config.topic, log_now.topic_id
        noted = self._store.origins(topic_id_now)
        if noted is None and self._config.start == "latest":
            count = len(self._consumer.list_topics(topic, timeout=5).topics[topic].partitions)
            if any(self._store.load(topic, other) is not None for other in range(count)):
                return None  # the topic has state: this partition alone lost its own, or nobody posted to it yet
            noted = self._store.begin_at(topic_id_now, [self._end(other) for other in range(count)])
            log.warning("namespace begins at the log's end", extra={"topic": topic, "offsets": noted})
        return noted[partition] if noted is not None and partition < len(noted) else None

    def _end(self, partition: int) -> int:
        """Offset after the last record. What the embedded broker lists is too low: a fetch tells."""
        servers, topic = self._config.bootstrap_servers, self._config.topic
        low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=5, cached=False)
        return log_end(servers, topic, partition, known=max(low, high - 1))

    def _extent(self, partition: int, stands_at: int) -> LogExtent:
        servers, topic = self._config.bootstrap_servers, self._config.topic
        low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=5, cached=False)
        if stands_at > high:
            # Either the log is another one, or the broker is the embedded one, which lists its end too low.
            high = log_end(servers, topic, partition, known=max(low, high - 1))
        return LogExtent(topic_id(self._admin, topic), low, high)

    def _tell_unassigned(self) -> None:
        if not self._mine:
            log.warning(
                "no partition assigned: there are more workers than partitions, or the group is stuck",
                extra={"remedy": "if brandpulse doctor finds partitions without a worker, restart the workers"},
            )

    def _resume_allowed(self) -> None:
        """A person may have let a paused partition go on."""
        for partition, order in list(self._paused.items()):
            self._signs.tell_paused(order.held, order.reason)
            try:
                status = self._store.load(self._config.topic, partition)
            except (TransientError, StateError):
                continue
            if status is not None and status.allowed_until > status.next:
                del self._paused[partition]
                self._pending[partition] = time.monotonic()

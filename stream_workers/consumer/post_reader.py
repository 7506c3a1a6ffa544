"""Reads topic `posts` in a thread of its own, where nothing but Redis's `next` says where to begin.

Kafka's committed offset is written for lag tools and never read: Faust and plain consumers alike commit past records
that were not processed.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from brandpulse.errors import TransientError
from brandpulse.kafka.client import client_config
from brandpulse.kafka.error_hints import explain
from brandpulse.runtime.metrics import Telemetry
from brandpulse.state.partition_state import PartitionStatus
from stream_workers.aggregation.seen_id_filter import IdFilter, KnownIds
from stream_workers.consumer.adaptive_batch_size import Pace
from stream_workers.consumer.assigned_partition import HeldPartition, ReadBatch
from stream_workers.consumer.batches import cut
from stream_workers.consumer.broker_liveness import Answers
from stream_workers.consumer.dlq_limit import InvalidGuard
from stream_workers.consumer.group_rejoin import Unassigned
from stream_workers.consumer.partition_assignment import Ownership
from stream_workers.consumer.start_offsets import Beginnings
from stream_workers.consumer.status_reporter import SignsOfLife
from stream_workers.consumer.stuck_detector import QUEUED_RECORDS, Reads
from stream_workers.state_store.partition_store import PartitionStore

log = logging.getLogger(__name__)

TOUCH_SECONDS = 1.0
COMMIT_SECONDS = 5.0
ALLOW_CHECK_SECONDS = 2.0
IDENTITY_CHECK_SECONDS = 1.0
UNASSIGNED_SECONDS = 15.0


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
    new_filter: Callable[[], IdFilter] | None = None
    """Where the ids of what this worker counts are noted; None: the store is asked for all."""


Offer = Callable[[ReadBatch, float], bool]
"""Takes a batch if there is room within so many seconds; False: not now."""


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
        pace: Pace | None = None,
    ) -> None:
        """*on_other_log* is called before a partition starts in a log it did not know; may raise TransientError. *pace*
        tells how many records a read takes, `config.batch_posts` at most."""
        self._config = config
        self._pace = pace or Pace(config.batch_posts)
        self._offer = offer
        self._telemetry = telemetry
        self._stopping = threading.Event()
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
                "queued.min.messages": QUEUED_RECORDS,
                "isolation.level": "read_committed",
                # Says that nothing follows: control records of transactions take offsets that we never see.
                "enable.partition.eof": True,
            }
        )
        self._beginnings = Beginnings(
            self._consumer,
            store,
            telemetry,
            bootstrap_servers=config.bootstrap_servers,
            topic=config.topic,
            start=config.start,
            on_other_log=on_other_log,
        )
        self._signs = SignsOfLife(
            self._consumer,
            store,
            telemetry,
            Answers(self._beginnings.ask_leaders),
            topic=config.topic,
            idle_after_seconds=config.idle_after_seconds,
            wall_ms=wall_ms,
            lost=self.reset,
            stands_still=self._fetch_anew,
        )
        self._owned = Ownership(
            self._consumer,
            store,
            telemetry,
            self._signs,
            topic=config.topic,
            load=self._load,
            new_guard=lambda: InvalidGuard(run_limit=config.invalid_run, share_limit=config.invalid_share),
            new_known=lambda: KnownIds(config.new_filter),
            incremental=config.group_protocol == "consumer",
        )
        self._unassigned = Unassigned(
            self._beginnings.signs_of_life,
            patience_seconds=max(UNASSIGNED_SECONDS, 2 * config.session_timeout_seconds),
        )
        self._identity_checked = 0.0
        self._reads = Reads()
        now = time.monotonic()
        signs, owned = self._signs, self._owned
        self._chores = {
            "tell": Chore(TOUCH_SECONDS, lambda now: signs.tell(owned.held, now, self._reads), now),
            "commit": Chore(COMMIT_SECONDS, lambda _now: signs.commit(owned.held), now + COMMIT_SECONDS),
            "resume": Chore(ALLOW_CHECK_SECONDS, lambda _now: owned.resume_allowed(), now),
            "unassigned": Chore(TOUCH_SECONDS, self._mind_unassigned, now),
        }

    def reset(self, held: HeldPartition, reason: str) -> None:
        self._owned.reset(held, reason)

    def pause(self, held: HeldPartition, reason: str) -> None:
        self._owned.pause(held, reason)

    def stop(self) -> None:
        self._stopping.set()

    @property
    def partitions(self) -> list[int]:
        """Those that this worker reads now."""
        return list(self._owned.held)

    def lag(self) -> int:
        """Records between what is applied and the log's ends; a partition that waits for its state counts as one."""
        return sum(self._signs.lag_of(held) or 0 for held in list(self._owned.held.values())) + self._owned.waiting

    def not_ready(self) -> str | None:
        """Why this worker cannot count posts now; None where it can, or where it waits for partitions as a spare.

        May be called from any thread.
        """
        if self._stopping.is_set():
            return "the worker is stopping"
        if not self._owned.joined:
            return "the consumer group has not answered yet"
        if waiting := self._owned.waiting:
            return f"{waiting} partitions wait for their state in Redis"
        if not self._signs.store_answers:
            return "Redis does not answer"
        if silent := self._signs.silent_leaders(list(self._owned.held)):
            return f"Kafka does not answer for the partitions {sorted(silent)}"
        return None

    def run(self) -> None:
        """Reads until `stop`. Raises what it cannot bear: the process then ends and is started anew."""
        self._join()
        try:
            while not self._stopping.is_set():
                self._owned.obey()
                self._owned.load_pending()
                self._read_once()
                self._do_chores()
        finally:
            # Batches already handed over may still settle: the state is theirs until the store says otherwise.
            self._owned.forget_waiting()

    def close(self) -> None:
        """After the last batch is settled: commit for lag tools, leave the group."""
        self._signs.commit(self._owned.held, asynchronous=False)
        self._consumer.close()

    def _do_chores(self) -> None:
        """What is due by the clock; also while a batch waits for room, or a burst would look like an idle partition."""
        now = time.monotonic()
        for due, chore in self._chores.items():
            if now >= chore.at:
                self._chores[due] = replace(chore, at=now + chore.every_seconds)
                chore.do(now)

    def _join(self) -> None:
        self._consumer.subscribe(
            [self._config.topic],
            on_assign=self._owned.assigned,
            on_revoke=self._owned.revoked,
            on_lost=self._owned.revoked,
        )

    def _mind_unassigned(self, now: float) -> None:
        if not self._owned.unassigned:
            self._unassigned.assigned(now)
        elif self._unassigned.look(now):
            self._consumer.unsubscribe()
            self._join()

    def _fetch_anew(self, partition: int, reason: str) -> None:
        self._owned.fetch_anew(partition, reason)

    def _load(self, partition: int, stuck: bool) -> PartitionStatus:
        status = self._beginnings.status_of(partition, stuck=stuck)
        return replace(status, owner=self._config.owner, lateness_ms=self._config.lateness_ms)

    # -- reading -------------------------------------------------------------------------------------------------

    def _read_once(self) -> None:
        started = time.perf_counter()
        most = self._pace.posts
        messages = self._consumer.consume(most, self._config.batch_wait_seconds)
        waited = time.perf_counter()
        stages = self._telemetry.counter("brandpulse_stage_seconds_total")
        stages.labels("wait").inc(waited - started)
        roomy = waited - started if len(messages) < most else 0.0
        self._reads = Reads(self._reads.roomy_seconds + roomy, self._reads.records + len(messages))
        if not messages:
            return
        batch = cut(messages, self._owned.held, self._take_error)
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
            found, reason = self._beginnings.topic_id(), "the topic is another one"
        except TransientError as error:
            found, reason = "", str(error)
        self._identity_checked = now
        if all(held.status.topic_id == found for held in self._owned.held.values()):
            return True
        for held in self._owned.held.values():
            self.reset(held, reason)
        return False

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
                        self._owned.order_reset(message.partition(), "read while paused")
                    elif error.code() != KafkaError._PARTITION_EOF:
                        self._take_error(error, message)
                self._owned.obey()
                self._do_chores()
        finally:
            if paused:
                mine = {tp.partition for tp in self._consumer.assignment()} & self._owned.held.keys()
                self._consumer.resume([tp for tp in paused if tp.partition in mine])

    def _take_error(self, error: KafkaError, message: Message) -> None:
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            self._owned.start_anew(message.partition(), f"offset out of range: {error.str()}")
        elif error.fatal():
            raise KafkaException(error)
        else:
            log.warning("kafka says", extra={"error": explain(error), "partition": message.partition()})

"""Reads topic `posts` in its own thread. Only Redis's `next` decides where to start.

Kafka's committed offset is written for lag tools and never read: Faust and plain consumers commit past records that
were not processed.
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
from stream_workers.aggregation.seen_id_filter import IdFilter, SeenIdFilter
from stream_workers.consumer.adaptive_batch_size import AdaptiveBatchSize
from stream_workers.consumer.assigned_partition import AssignedPartition
from stream_workers.consumer.batches import ReadBatch, split_by_partition
from stream_workers.consumer.broker_liveness import BrokerLiveness
from stream_workers.consumer.dlq_limit import DlqLimit
from stream_workers.consumer.group_rejoin import GroupRejoinPolicy
from stream_workers.consumer.partition_assignment import PartitionAssignment
from stream_workers.consumer.start_offsets import StartOffsetResolver
from stream_workers.consumer.status_reporter import StatusReporter
from stream_workers.consumer.stuck_detector import QUEUED_RECORDS, ReadStats
from stream_workers.state_store.partition_store import PartitionStore

log = logging.getLogger(__name__)

TOUCH_SECONDS = 1.0
COMMIT_SECONDS = 5.0
ALLOW_CHECK_SECONDS = 2.0
IDENTITY_CHECK_SECONDS = 1.0
UNASSIGNED_SECONDS = 15.0


GroupProtocol = Literal["classic", "consumer"]
"""`consumer` is KIP-848: the broker assigns partitions, and its settings define when a member is dead."""


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
    """Where to start in a topic of which no partition has state."""
    group_protocol: GroupProtocol = "classic"
    new_filter: Callable[[], IdFilter] | None = None
    """Creates a filter for the ids that this worker counts; None: every id is looked up in the store."""


OfferBatch = Callable[[ReadBatch, float], bool]
"""Accepts a batch if a slot becomes free within the given seconds; False: try again."""


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """Times are monotonic seconds."""

    every_seconds: float
    run: Callable[[float], None]
    due_at: float


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
        offer: OfferBatch,
        telemetry: Telemetry,
        *,
        on_other_log: Callable[[], None],
        wall_ms: Callable[[], int],
        batch_size: AdaptiveBatchSize | None = None,
    ) -> None:
        """*on_other_log* is called before a partition starts in a log it did not know; may raise TransientError.
        *batch_size*: records per read, at most `config.batch_posts`."""
        self._config = config
        self._batch_size = batch_size or AdaptiveBatchSize(config.batch_posts)
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
                # Also how long a rebalance waits for members. This thread polls at all times, so it may be short.
                "max.poll.interval.ms": max(30_000, int(config.session_timeout_seconds * 1_000)),
                # The default of a second starves a fast reader whenever librdkafka's queue was full.
                "fetch.queue.backoff.ms": 2,
                # A waiting fetch blocks later requests on the connection, such as offset queries at assignment.
                "fetch.wait.max.ms": 100,
                "queued.max.messages.kbytes": 32_768,
                "queued.min.messages": QUEUED_RECORDS,
                "isolation.level": "read_committed",
                # Reports that nothing follows: control records of transactions take offsets that are never read.
                "enable.partition.eof": True,
            }
        )
        self._start_offsets = StartOffsetResolver(
            self._consumer,
            store,
            telemetry,
            bootstrap_servers=config.bootstrap_servers,
            topic=config.topic,
            start=config.start,
            on_other_log=on_other_log,
        )
        self._reporter = StatusReporter(
            self._consumer,
            store,
            telemetry,
            BrokerLiveness(self._start_offsets.request_log_ends),
            topic=config.topic,
            idle_after_seconds=config.idle_after_seconds,
            wall_ms=wall_ms,
            on_state_moved=self.reset,
            on_stuck=self._reload_stalled,
        )
        self._assignment = PartitionAssignment(
            self._consumer,
            store,
            telemetry,
            self._reporter,
            topic=config.topic,
            load=self._load,
            new_dlq_limit=lambda: DlqLimit(run_limit=config.invalid_run, share_limit=config.invalid_share),
            new_seen_ids=lambda: SeenIdFilter(config.new_filter),
            incremental=config.group_protocol == "consumer",
        )
        self._rejoin = GroupRejoinPolicy(
            self._start_offsets.last_seen,
            patience_seconds=max(UNASSIGNED_SECONDS, 2 * config.session_timeout_seconds),
        )
        self._identity_checked = 0.0
        self._reads = ReadStats()
        now = time.monotonic()
        reporter, assignment = self._reporter, self._assignment
        self._tasks = {
            "report": PeriodicTask(
                TOUCH_SECONDS, lambda now: reporter.report(assignment.active, now, self._reads), now
            ),
            "commit": PeriodicTask(
                COMMIT_SECONDS, lambda _now: reporter.commit(assignment.active), now + COMMIT_SECONDS
            ),
            "resume": PeriodicTask(ALLOW_CHECK_SECONDS, lambda _now: assignment.resume_allowed(), now),
            "rejoin": PeriodicTask(TOUCH_SECONDS, self._rejoin_if_needed, now),
        }

    def reset(self, partition: AssignedPartition, reason: str) -> None:
        self._assignment.reset(partition, reason)

    def pause(self, partition: AssignedPartition, reason: str) -> None:
        self._assignment.pause(partition, reason)

    def stop(self) -> None:
        self._stopping.set()

    @property
    def partitions(self) -> list[int]:
        """Those that this worker reads now."""
        return list(self._assignment.active)

    def lag(self) -> int:
        """Records between the applied offsets and the ends of the logs. A partition not loaded yet counts as one."""
        return (
            sum(self._reporter.lag(partition) or 0 for partition in list(self._assignment.active.values()))
            + self._assignment.pending
        )

    def not_ready(self) -> str | None:
        """Why this worker cannot count posts now; None if it can, or if it is a spare without partitions.

        May be called from any thread.
        """
        if self._stopping.is_set():
            return "the worker is stopping"
        if not self._assignment.joined:
            return "the consumer group has not assigned partitions yet"
        if pending := self._assignment.pending:
            return f"the state of {pending} partitions is not loaded from Redis yet"
        if not self._reporter.store_responds:
            return "Redis does not respond"
        if silent := self._reporter.silent_leaders(list(self._assignment.active)):
            return f"Kafka does not respond for the partitions {sorted(silent)}"
        return None

    def run(self) -> None:
        """Reads until `stop`. Raises errors that it cannot handle: the process then ends and is restarted."""
        self._join()
        try:
            while not self._stopping.is_set():
                self._assignment.process_requests()
                self._assignment.load_pending()
                self._read_once()
                self._run_tasks()
        finally:
            # Batches in flight may still be applied: this worker owns the state until the store refuses a write.
            self._assignment.cancel_pending()

    def close(self) -> None:
        """After the last batch is stored: commit for lag tools, leave the group."""
        self._reporter.commit(self._assignment.active, asynchronous=False)
        self._consumer.close()

    def _run_tasks(self) -> None:
        """Run the due tasks, also while a batch waits for a slot: otherwise a burst looks like an idle partition."""
        now = time.monotonic()
        for name, task in self._tasks.items():
            if now >= task.due_at:
                self._tasks[name] = replace(task, due_at=now + task.every_seconds)
                task.run(now)

    def _join(self) -> None:
        self._consumer.subscribe(
            [self._config.topic],
            on_assign=self._assignment.on_assigned,
            on_revoke=self._assignment.on_revoked,
            on_lost=self._assignment.on_revoked,
        )

    def _rejoin_if_needed(self, now: float) -> None:
        if not self._assignment.is_empty:
            self._rejoin.on_assigned(now)
        elif self._rejoin.unread_partitions(now):
            self._consumer.unsubscribe()
            self._join()

    def _reload_stalled(self, partition: int, reason: str) -> None:
        self._assignment.reload_stalled(partition, reason)

    def _load(self, partition: int, out_of_range: bool) -> PartitionStatus:
        status = self._start_offsets.resolve(partition, out_of_range=out_of_range)
        return replace(status, owner=self._config.owner, lateness_ms=self._config.lateness_ms)

    # -- reading -------------------------------------------------------------------------------------------------

    def _read_once(self) -> None:
        started = time.perf_counter()
        limit = self._batch_size.posts
        messages = self._consumer.consume(limit, self._config.batch_wait_seconds)
        waited = time.perf_counter()
        stages = self._telemetry.counter("brandpulse_stage_seconds_total")
        stages.labels("wait").inc(waited - started)
        unfilled = waited - started if len(messages) < limit else 0.0
        self._reads = ReadStats(self._reads.unfilled_seconds + unfilled, self._reads.records + len(messages))
        if not messages:
            return
        batch = split_by_partition(messages, self._assignment.active, self._handle_error)
        stages.labels("read").inc(time.perf_counter() - waited)
        if not batch.parts or not self._is_same_log():
            return
        self._telemetry.counter("brandpulse_posts_read_total").inc(batch.posts)
        self._offer_until_accepted(batch)

    def _is_same_log(self) -> bool:
        """Whether the topic is still the one whose offsets are assigned; if not, all partitions are reloaded.

        A topic that was deleted, recreated and filled past the offset in the meantime would be read from the middle.
        """
        now = time.monotonic()
        if now - self._identity_checked < IDENTITY_CHECK_SECONDS:
            return True
        try:
            topic_id, reason = self._start_offsets.topic_id(), "the topic was recreated"
        except TransientError as error:
            topic_id, reason = "", str(error)
        self._identity_checked = now
        if all(partition.status.topic_id == topic_id for partition in self._assignment.active.values()):
            return True
        for partition in self._assignment.active.values():
            self.reset(partition, reason)
        return False

    def _offer_until_accepted(self, batch: ReadBatch) -> None:
        """Wait for a slot. After a second the partitions are paused, so that polling keeps the group membership."""
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
                        # Fetched before the pause took effect: it must be read again.
                        self._assignment.reload(message.partition(), "read while paused")
                    elif error.code() != KafkaError._PARTITION_EOF:
                        self._handle_error(error, message)
                self._assignment.process_requests()
                self._run_tasks()
        finally:
            if paused:
                active = {tp.partition for tp in self._consumer.assignment()} & self._assignment.active.keys()
                self._consumer.resume([tp for tp in paused if tp.partition in active])

    def _handle_error(self, error: KafkaError, message: Message) -> None:
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            self._assignment.reload_out_of_range(message.partition(), f"offset out of range: {error.str()}")
        elif error.fatal():
            raise KafkaException(error)
        else:
            log.warning("kafka client error", extra={"error": explain(error), "partition": message.partition()})

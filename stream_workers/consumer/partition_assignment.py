"""The partitions that the group assigned to this worker: from assignment, through loading and pauses, to revocation."""

import logging
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, TopicPartition

from brandpulse.errors import StateError, TransientError
from brandpulse.runtime.metrics import Telemetry
from brandpulse.state.partition_state import PartitionStatus
from stream_workers.aggregation.seen_id_filter import SeenIdFilter
from stream_workers.consumer.assigned_partition import AssignedPartition
from stream_workers.consumer.dlq_limit import DlqLimit
from stream_workers.consumer.status_reporter import StatusReporter
from stream_workers.state_store.partition_store import PartitionStore

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class ResetRequest:
    """Ask the reader to release a partition and load it again."""

    partition: AssignedPartition
    reason: str


@dataclass(frozen=True, slots=True)
class PauseRequest:
    """Ask the reader to stop a partition until an operator allows it to continue."""

    partition: AssignedPartition
    reason: str


class PartitionAssignment:
    """The assigned partitions of one topic, and the state of those that are not read yet.

    For the reading thread only, except `reset` and `pause`.
    """

    def __init__(
        self,
        consumer: Consumer,
        store: PartitionStore,
        telemetry: Telemetry,
        reporter: StatusReporter,
        *,
        topic: str,
        load: Callable[[int, bool], PartitionStatus],
        new_dlq_limit: Callable[[], DlqLimit],
        new_seen_ids: Callable[[], SeenIdFilter] = SeenIdFilter,
        incremental: bool,
    ) -> None:
        """*load* returns a partition's state with its start offset; its flag says that the offset was out of range.
        *incremental*: whether rebalances add and revoke some partitions, not always all."""
        self._consumer = consumer
        self._store = store
        self._telemetry = telemetry
        self._reporter = reporter
        self._topic = topic
        self._load = load
        self._new_dlq_limit = new_dlq_limit
        self._new_seen_ids = new_seen_ids
        self._incremental = incremental
        self._requests: queue.SimpleQueue[ResetRequest | PauseRequest] = queue.SimpleQueue()
        self._assigned: set[int] = set()
        """Partitions that the group assigned, in any state."""
        self.active: dict[int, AssignedPartition] = {}
        """Those that are read."""
        self._pending: dict[int, float] = {}
        """Partitions whose state must be loaded -> earliest time (monotonic seconds)."""
        self._paused: dict[int, PauseRequest] = {}
        self._out_of_range: set[int] = set()
        """Partitions whose fetcher stopped at an offset out of range."""
        self._stalled: set[int] = set()
        """Partitions whose fetcher stopped without an error."""
        self.joined = False
        """Whether the group has assigned partitions to this worker, which may be none."""

    def reset(self, partition: AssignedPartition, reason: str) -> None:
        partition.released = True
        self._requests.put(ResetRequest(partition, reason))

    def pause(self, partition: AssignedPartition, reason: str) -> None:
        partition.released = True
        self._requests.put(PauseRequest(partition, reason))

    @property
    def pending(self) -> int:
        """Number of partitions whose state must be loaded."""
        return len(self._pending)

    @property
    def is_empty(self) -> bool:
        """Whether the group assigned no partition to this worker."""
        return not self._assigned

    def cancel_pending(self) -> None:
        self._pending.clear()

    def on_assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        log.info("partitions assigned", extra={"partitions": sorted(p.partition for p in partitions)})
        self.joined = True
        self._out_of_range.clear()
        self._stalled.clear()
        # Nothing is read before the state gives the start offset; loading must not block the group. And nothing is
        # assigned at a logical offset, to be sought later: with a slow broker librdkafka 2.16 takes the late reply to
        # its own request for the log's end as newer than the seek, and skips all before the end (18 of 86 tries).
        if self._incremental:
            # An incremental assignment must be confirmed here. A numeric offset needs no request to the broker.
            consumer.incremental_assign([TopicPartition(place.topic, place.partition, 0) for place in partitions])
            consumer.pause(partitions)
        else:
            consumer.assign([])
            self._assigned.clear()
        self._assigned |= {partition.partition for partition in partitions}
        for partition in partitions:
            self._pending[partition.partition] = 0.0

    def on_revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        log.info("partitions revoked", extra={"partitions": sorted(p.partition for p in partitions)})
        self._assigned -= {partition.partition for partition in partitions}
        for partition in partitions:
            self._release(partition.partition)
            self._pending.pop(partition.partition, None)
            self._paused.pop(partition.partition, None)

    def _release(self, number: int) -> None:
        partition = self.active.pop(number, None)
        if partition is not None:
            partition.released = True
        self._reporter.forget(number)

    def process_requests(self) -> None:
        while True:
            try:
                request = self._requests.get_nowait()
            except queue.Empty:
                return
            number = request.partition.status.partition
            if self.active.get(number) is not request.partition:
                continue
            self._release(number)
            self._consumer.pause([TopicPartition(self._topic, number)])
            if isinstance(request, PauseRequest):
                log.error("partition paused", extra={"partition": number, "reason": request.reason})
                self._paused[number] = request
                self._reporter.report_paused(request.partition, request.reason)
            else:
                log.warning("reloading partition", extra={"partition": number, "reason": request.reason})
                self._pending[number] = time.monotonic()

    def reload(self, number: int, reason: str) -> None:
        partition = self.active.get(number)
        if partition is not None and not partition.released:
            self.reset(partition, reason)

    def reload_out_of_range(self, number: int, reason: str) -> None:
        """The fetcher stopped for good: load the partition, check its start offset, and start a new fetcher."""
        self._out_of_range.add(number)
        self.reload(number, reason)

    def reload_stalled(self, number: int, reason: str) -> None:
        """Load the partition and start a new fetcher, although its offset seems correct."""
        self._stalled.add(number)
        self.reload(number, reason)

    def load_pending(self) -> None:
        now = time.monotonic()
        loaded: dict[int, AssignedPartition] = {}
        for number, not_before in list(self._pending.items()):
            if now < not_before:
                continue
            try:
                status = self._load(number, number in self._out_of_range)
            except (TransientError, KafkaException) as error:
                log.info("partition load deferred", extra={"partition": number, "reason": str(error)})
                self._pending[number] = time.monotonic() + RETRY_SECONDS
                continue
            except StateError:
                log.exception(
                    "partition stopped: its state is damaged",
                    extra={"partition": number, "remedy": "repair or delete the key, then restart the worker"},
                )
                del self._pending[number]
                self._telemetry.gauge("brandpulse_partition_paused").labels(number).set(1)
                continue
            del self._pending[number]
            partition = AssignedPartition(
                status, status.next, self._new_dlq_limit(), epoch=status.epoch, seen_ids=self._new_seen_ids()
            )
            paused = bool(status.paused) and status.allowed_until <= status.next
            self._telemetry.gauge("brandpulse_partition_paused").labels(number).set(int(paused))
            if paused:
                self._paused[number] = PauseRequest(partition, status.paused)
            else:
                loaded[number] = partition
        if loaded:
            self._start(loaded)

    def _start(self, loaded: dict[int, AssignedPartition]) -> None:
        """Read the *loaded* partitions from their positions."""
        fetching = {place.partition for place in self._consumer.assignment()} - self._out_of_range - self._stalled
        try:
            if loaded.keys() <= fetching:
                for number, partition in loaded.items():
                    self._consumer.seek(self._place(number, partition))
            else:
                # Only a new assignment starts a fetcher again that found its offset out of range. It refuses seeks for
                # ever ("Erroneous state", seen on Apache Kafka when retention overtook the worker). Partitions that are
                # pending or paused are left out until they start.
                self._restart_fetchers(loaded)
                self._out_of_range -= loaded.keys()
                self._stalled -= loaded.keys()
        except KafkaException as error:
            log.info("partition start deferred", extra={"partitions": sorted(loaded), "reason": str(error)})
            self._pending |= dict.fromkeys(loaded, time.monotonic() + RETRY_SECONDS)
            return
        self.active |= loaded
        self._consumer.resume([TopicPartition(self._topic, number) for number in loaded])

    def _restart_fetchers(self, loaded: dict[int, AssignedPartition]) -> None:
        """Start fetchers at the positions of *loaded*."""
        if self._incremental:
            places = [self._place(number, partition) for number, partition in loaded.items()]
            self._consumer.incremental_unassign(places)
            self._consumer.incremental_assign(places)
        else:
            self._consumer.assign([self._place(*one) for one in (self.active | loaded).items()])

    def _place(self, number: int, partition: AssignedPartition) -> TopicPartition:
        """With the epoch of the previous record: the client validates it whenever the leader changes."""
        return TopicPartition(self._topic, number, partition.position, leader_epoch=partition.epoch)

    def resume_allowed(self) -> None:
        """Load the paused partitions that an operator allowed to continue."""
        for number, request in list(self._paused.items()):
            self._reporter.report_paused(request.partition, request.reason)
            try:
                status = self._store.load(self._topic, number)
            except (TransientError, StateError):
                continue
            if status is not None and status.allowed_until > status.next:
                del self._paused[number]
                self._pending[number] = time.monotonic()

"""The partitions that the group gave this worker: from their assignment, through loading and pauses, to their loss."""

import logging
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, TopicPartition

from brandpulse.errors import StateError, TransientError
from brandpulse.runtime.metrics import Telemetry
from brandpulse.state.partition_state import PartitionStatus
from stream_workers.aggregation.seen_id_filter import KnownIds
from stream_workers.consumer.assigned_partition import HeldPartition
from stream_workers.consumer.dlq_limit import InvalidGuard
from stream_workers.consumer.status_reporter import SignsOfLife
from stream_workers.state_store.partition_store import PartitionStore

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5


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


class Ownership:
    """What we hold of one topic, and why not yet of the rest.

    For the reading thread alone, but for `reset` and `pause`.
    """

    def __init__(
        self,
        consumer: Consumer,
        store: PartitionStore,
        telemetry: Telemetry,
        signs: SignsOfLife,
        *,
        topic: str,
        load: Callable[[int, bool], PartitionStatus],
        new_guard: Callable[[], InvalidGuard],
        new_known: Callable[[], KnownIds] = KnownIds,
        incremental: bool,
    ) -> None:
        """*load* gives a partition's state at its place in the log; it is told whether a fetcher gave up there.
        *incremental*: whether the group gives and takes some partitions, not always all."""
        self._consumer = consumer
        self._store = store
        self._telemetry = telemetry
        self._signs = signs
        self._topic = topic
        self._load = load
        self._new_guard = new_guard
        self._new_known = new_known
        self._incremental = incremental
        self._orders: queue.SimpleQueue[Reset | Pause] = queue.SimpleQueue()
        self._mine: set[int] = set()
        """Partitions that the group gave us, whatever became of them."""
        self.held: dict[int, HeldPartition] = {}
        """Those that are read."""
        self._pending: dict[int, float] = {}
        """Partitions that wait for their state to be loaded -> not before (monotonic seconds)."""
        self._paused: dict[int, Pause] = {}
        self._stuck: set[int] = set()
        """Partitions whose fetcher gave up at an offset out of range."""
        self._forgotten: set[int] = set()
        """Partitions whose fetcher does nothing, and says nothing."""
        self.joined = False
        """Whether the group has answered: it gave this worker its partitions, which may be none."""

    def reset(self, held: HeldPartition, reason: str) -> None:
        held.gone = True
        self._orders.put(Reset(held, reason))

    def pause(self, held: HeldPartition, reason: str) -> None:
        held.gone = True
        self._orders.put(Pause(held, reason))

    @property
    def waiting(self) -> int:
        """Partitions that wait for their state."""
        return len(self._pending)

    @property
    def unassigned(self) -> bool:
        """Whether the group gave us nothing."""
        return not self._mine

    def forget_waiting(self) -> None:
        self._pending.clear()

    def assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        log.info("assigned", extra={"partitions": sorted(p.partition for p in partitions)})
        self.joined = True
        self._stuck.clear()
        self._forgotten.clear()
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

    def revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        log.info("revoked", extra={"partitions": sorted(p.partition for p in partitions)})
        self._mine -= {partition.partition for partition in partitions}
        for partition in partitions:
            self._forget(partition.partition)
            self._pending.pop(partition.partition, None)
            self._paused.pop(partition.partition, None)

    def _forget(self, partition: int) -> None:
        held = self.held.pop(partition, None)
        if held is not None:
            held.gone = True
        self._signs.forget(partition)

    def obey(self) -> None:
        while True:
            try:
                order = self._orders.get_nowait()
            except queue.Empty:
                return
            partition = order.held.status.partition
            if self.held.get(partition) is not order.held:
                continue
            self._forget(partition)
            self._consumer.pause([TopicPartition(self._topic, partition)])
            if isinstance(order, Pause):
                log.error("partition paused", extra={"partition": partition, "reason": order.reason})
                self._paused[partition] = order
                self._signs.tell_paused(order.held, order.reason)
            else:
                log.warning("partition reloads", extra={"partition": partition, "reason": order.reason})
                self._pending[partition] = time.monotonic()

    def order_reset(self, partition: int, reason: str) -> None:
        held = self.held.get(partition)
        if held is not None and not held.gone:
            self.reset(held, reason)

    def start_anew(self, partition: int, reason: str) -> None:
        """Its fetcher is of no use any more: load the partition and give it a new one."""
        self._stuck.add(partition)
        self.order_reset(partition, reason)

    def fetch_anew(self, partition: int, reason: str) -> None:
        """Load the partition and give it a new fetcher, though nothing is known to be wrong with its place."""
        self._forgotten.add(partition)
        self.order_reset(partition, reason)

    def load_pending(self) -> None:
        now = time.monotonic()
        found: dict[int, HeldPartition] = {}
        for partition, not_before in list(self._pending.items()):
            if now < not_before:
                continue
            try:
                status = self._load(partition, partition in self._stuck)
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
            held = HeldPartition(status, status.next, self._new_guard(), epoch=status.epoch, known=self._new_known())
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
        known = {place.partition for place in self._consumer.assignment()} - self._stuck - self._forgotten
        try:
            if found.keys() <= known:
                for partition, held in found.items():
                    self._consumer.seek(self._place(partition, held))
            else:
                # A fetcher that found its offset out of range is started by a new assignment alone, as a fresh one is;
                # seeks it refuses for ever ("Erroneous state", seen on Apache Kafka when retention overtook us).
                # Partitions that wait, for their state or for a person, are left out until they begin.
                self._assign_anew(found)
                self._stuck -= found.keys()
                self._forgotten -= found.keys()
        except KafkaException as error:
            log.info("partitions wait", extra={"partitions": sorted(found), "reason": str(error)})
            self._pending |= dict.fromkeys(found, time.monotonic() + RETRY_SECONDS)
            return
        self.held |= found
        self._consumer.resume([TopicPartition(self._topic, partition) for partition in found])

    def _assign_anew(self, found: dict[int, HeldPartition]) -> None:
        """Start fetchers at the positions of *found*."""
        if self._incremental:
            mine = [self._place(partition, held) for partition, held in found.items()]
            self._consumer.incremental_unassign(mine)
            self._consumer.incremental_assign(mine)
        else:
            self._consumer.assign([self._place(*place) for place in (self.held | found).items()])

    def _place(self, partition: int, held: HeldPartition) -> TopicPartition:
        """With the epoch of the record before: the client asks about it whenever the leader changes."""
        return TopicPartition(self._topic, partition, held.position, leader_epoch=held.epoch)

    def resume_allowed(self) -> None:
        """A person may have let a paused partition go on."""
        for partition, order in list(self._paused.items()):
            self._signs.tell_paused(order.held, order.reason)
            try:
                status = self._store.load(self._topic, partition)
            except (TransientError, StateError):
                continue
            if status is not None and status.allowed_until > status.next:
                del self._paused[partition]
                self._pending[partition] = time.monotonic()

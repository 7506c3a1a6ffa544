"""Resolves the start offset of a partition: its stored state, corrected for the log as the broker reports it."""

import contextlib
import logging
import secrets
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import replace
from typing import Literal, get_args

from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, OffsetSpec

from brandpulse.errors import StateError, TransientError
from brandpulse.kafka.client import client_config
from brandpulse.kafka.topic_scan import common_end, log_end
from brandpulse.kafka.topics import topic_id
from brandpulse.runtime.metrics import Telemetry
from brandpulse.state.partition_state import PartitionStatus
from stream_workers.consumer.log_identity import CommonPrefix, LogBreak, LogExtent, resolve_start
from stream_workers.state_store.partition_store import PartitionStore

log = logging.getLogger(__name__)


class StartOffsetResolver:
    """Queries store and broker. Called by the reading thread only, and may take seconds."""

    def __init__(
        self,
        consumer: Consumer,
        store: PartitionStore,
        telemetry: Telemetry,
        *,
        bootstrap_servers: str,
        topic: str,
        start: Literal["earliest", "latest"],
        on_other_log: Callable[[], None],
    ) -> None:
        """*on_other_log* is called before a partition starts in a log it did not know; may raise TransientError."""
        self._consumer = consumer
        self._store = store
        self._breaks = telemetry.counter("brandpulse_log_breaks_total")
        for log_break in get_args(LogBreak):
            self._breaks.labels(log_break)  # so that the first one is an increase
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        self._start = start
        self._on_other_log = on_other_log
        self._admin = self._new_admin()

    def resolve(self, partition: int, *, out_of_range: bool = False) -> PartitionStatus:
        """The partition's state, corrected for the log. Raises TransientError, StateError, KafkaException.

        *out_of_range*: reading on from the position failed, so the log's end may have been cut off and rewritten.
        """
        stored = self._store.load(self._topic, partition)
        extent = self._extent(partition, stored, out_of_range=out_of_range)
        origin = self._origin(partition, extent) if stored is None else None
        start = resolve_start(self._topic, partition, stored, extent, origin)
        if not start.reason:
            return start.status
        log.warning(
            "start offset moved",
            extra={"partition": partition, "next": start.status.next, "reason": start.reason},
        )
        self._on_other_log()
        status = replace(start.status, life=secrets.token_hex(8))
        if not self._store.rebase(stored, status):
            raise TransientError("another worker moved the state")
        if start.log_break is not None:
            self._breaks.labels(start.log_break).inc()
        return status

    def topic_id(self) -> str:
        """The topic's current id. Raises TransientError."""
        try:
            return topic_id(self._admin, self._topic)
        except TransientError:
            # librdkafka keeps waiting for the controller that it knew, even a dead one: a new client looks it up.
            self._admin = self._new_admin()
            raise

    def last_seen(self) -> dict[int, int]:
        """Partition -> wall clock (ms) of its last heartbeat; 0: it has none. Partitions with damaged state, which no
        worker can read, are left out. Raises TransientError."""
        self.topic_id()  # on some brokers a metadata request would create a missing topic
        try:
            partitions = self._consumer.list_topics(self._topic, timeout=5).topics[self._topic].partitions
        except KafkaException as error:
            raise TransientError(f"topic {self._topic}: {error}") from error
        last_seen = dict[int, int]()
        for partition in partitions:
            with contextlib.suppress(StateError):
                status = self._store.load(self._topic, partition)
                last_seen[partition] = 0 if status is None else status.seen_wall_ms
        return last_seen

    def request_log_ends(
        self, partitions: Collection[int], timeout_seconds: float
    ) -> dict[int, "Future[ListOffsetsResultInfo]"]:
        """Request each partition's log end from its leader. Returns at once; raises KafkaException."""
        places = {TopicPartition(self._topic, partition): OffsetSpec.latest() for partition in partitions}
        replies = self._admin.list_offsets(
            places, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=timeout_seconds
        )
        return {place.partition: reply for place, reply in replies.items()}

    def _new_admin(self) -> AdminClient:
        return AdminClient(client_config(self._bootstrap_servers) | {"socket.timeout.ms": 5_000})

    def _origin(self, partition: int, extent: LogExtent) -> int | None:
        """Where a partition without state starts; None for the start of the log, the default.

        The first worker of a namespace stores the ends of all partitions at once. Later workers use the stored offsets,
        so that records written in between are counted.
        """
        offsets = self._store.origins(extent.topic_id)
        if offsets is None and self._start == "latest":
            count = len(self._consumer.list_topics(self._topic, timeout=5).topics[self._topic].partitions)
            if any(self._store.load(self._topic, other) is not None for other in range(count)):
                return None  # the topic has state: only this partition lost its own, or has no posts yet
            offsets = self._store.set_origins(extent.topic_id, [self._end(other) for other in range(count)])
            log.warning("namespace starts at the end of the log", extra={"topic": self._topic, "offsets": offsets})
        return offsets[partition] if offsets is not None and partition < len(offsets) else None

    def _end(self, partition: int) -> int:
        """Offset after the last record. The embedded broker lists it too low, so a fetch decides."""
        low, high = self._listed(partition)
        return log_end(self._bootstrap_servers, self._topic, partition, known=max(low, high - 1))

    def _extent(self, partition: int, stored: PartitionStatus | None, *, out_of_range: bool) -> LogExtent:
        low, high = self._listed(partition)
        next_offset = stored.next if stored else 0
        if next_offset > high:
            # Either the log is another one, or this is the embedded broker, which lists its end too low.
            high = log_end(self._bootstrap_servers, self._topic, partition, known=max(low, high - 1))
        log_id = self.topic_id()
        if stored is None or stored.topic_id != log_id or next_offset < low:
            return LogExtent(log_id, low, high)
        if not out_of_range and next_offset <= high and not self._leader_changed(partition, stored.epoch):
            return LogExtent(log_id, low, high)
        try:
            end = common_end(self._bootstrap_servers, self._topic, partition, at=next_offset, epoch=stored.epoch)
        except TransientError:
            if next_offset <= high:
                raise
            end = None  # the embedded broker does not reply beyond the end of its log
        return LogExtent(log_id, low, high, CommonPrefix(end))

    def _leader_changed(self, partition: int, epoch: int) -> bool:
        """Whether the log has had another leader since *epoch*: only a new leader can have another end."""
        if epoch < 0:
            return False
        place = TopicPartition(self._topic, partition)
        [listed] = self._admin.list_offsets({place: OffsetSpec.latest()}, request_timeout=5).values()
        current = listed.result().leader_epoch
        return current is not None and current >= 0 and current != epoch

    def _listed(self, partition: int) -> tuple[int, int]:
        place = TopicPartition(self._topic, partition)
        low, high = self._consumer.get_watermark_offsets(place, timeout=5, cached=False)
        return low, high

"""Where a partition begins to be read: its state in the store, put right for the log as the broker shows it now."""

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
from stream_workers.consumer.log_identity import Break, Common, LogExtent, start_of
from stream_workers.state_store.partition_store import PartitionStore

log = logging.getLogger(__name__)


class Beginnings:
    """Asks store and broker; called by the reading thread only, and may take seconds."""

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
        for why in get_args(Break):
            self._breaks.labels(why)  # so that the first one is an increase
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        self._start = start
        self._on_other_log = on_other_log
        self._admin = self._new_admin()

    def status_of(self, partition: int, *, stuck: bool = False) -> PartitionStatus:
        """The partition's state, put right for the log. Raises TransientError, StateError, KafkaException.

        *stuck*: it could not be read on where it stood, so the log's end may have been cut off and written anew.
        """
        seen = self._store.load(self._topic, partition)
        extent = self._extent(partition, seen, stuck=stuck)
        origin = self._origin(partition, extent) if seen is None else None
        start = start_of(self._topic, partition, seen, extent, origin)
        if not start.reason:
            return start.status
        log.warning(
            "partition starts elsewhere",
            extra={"partition": partition, "next": start.status.next, "reason": start.reason},
        )
        self._on_other_log()
        status = replace(start.status, life=secrets.token_hex(8))
        if not self._store.rebase(seen, status):
            raise TransientError("another worker moved the state")
        if start.broke is not None:
            self._breaks.labels(start.broke).inc()
        return status

    def topic_id(self) -> str:
        """The topic's id as it is now. Raises TransientError."""
        try:
            return topic_id(self._admin, self._topic)
        except TransientError:
            # librdkafka goes on waiting for the controller that it knew, dead or not: a new client asks who it is now.
            self._admin = self._new_admin()
            raise

    def signs_of_life(self) -> dict[int, int]:
        """Partition -> wall clock (ms) at which the worker that reads it told so last; 0: none ever did. Those that no
        worker may read, their state being damaged, are left out. Raises TransientError."""
        self.topic_id()  # a metadata request for a topic that is not there would make it, on some brokers
        try:
            partitions = self._consumer.list_topics(self._topic, timeout=5).topics[self._topic].partitions
        except KafkaException as error:
            raise TransientError(f"topic {self._topic}: {error}") from error
        signs = dict[int, int]()
        for partition in partitions:
            with contextlib.suppress(StateError):
                seen = self._store.load(self._topic, partition)
                signs[partition] = 0 if seen is None else seen.seen_wall_ms
        return signs

    def ask_leaders(self, partitions: Collection[int], seconds: float) -> dict[int, "Future[ListOffsetsResultInfo]"]:
        """Ask the leader of each partition where its log ends. Returns at once; raises KafkaException."""
        places = {TopicPartition(self._topic, partition): OffsetSpec.latest() for partition in partitions}
        asked = self._admin.list_offsets(places, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=seconds)
        return {place.partition: answer for place, answer in asked.items()}

    def _new_admin(self) -> AdminClient:
        return AdminClient(client_config(self._bootstrap_servers) | {"socket.timeout.ms": 5_000})

    def _origin(self, partition: int, log_now: LogExtent) -> int | None:
        """Where a partition without state begins: None for the log's beginning, as ever unless we are told otherwise.

        The first worker of a namespace notes the ends of all partitions at once; who comes later goes by that note, so
        that what arrives between is counted.
        """
        topic_id_now = log_now.topic_id
        noted = self._store.origins(topic_id_now)
        if noted is None and self._start == "latest":
            count = len(self._consumer.list_topics(self._topic, timeout=5).topics[self._topic].partitions)
            if any(self._store.load(self._topic, other) is not None for other in range(count)):
                return None  # the topic has state: this partition alone lost its own, or nobody posted to it yet
            noted = self._store.begin_at(topic_id_now, [self._end(other) for other in range(count)])
            log.warning("namespace begins at the log's end", extra={"topic": self._topic, "offsets": noted})
        return noted[partition] if noted is not None and partition < len(noted) else None

    def _end(self, partition: int) -> int:
        """Offset after the last record. What the embedded broker lists is too low: a fetch tells."""
        low, high = self._listed(partition)
        return log_end(self._bootstrap_servers, self._topic, partition, known=max(low, high - 1))

    def _extent(self, partition: int, seen: PartitionStatus | None, *, stuck: bool) -> LogExtent:
        low, high = self._listed(partition)
        stands_at = seen.next if seen else 0
        if stands_at > high:
            # Either the log is another one, or the broker is the embedded one, which lists its end too low.
            high = log_end(self._bootstrap_servers, self._topic, partition, known=max(low, high - 1))
        log_id = self.topic_id()
        if seen is None or seen.topic_id != log_id or stands_at < low:
            return LogExtent(log_id, low, high)
        if not stuck and stands_at <= high and not self._led_anew(partition, seen.epoch):
            return LogExtent(log_id, low, high)
        try:
            end = common_end(self._bootstrap_servers, self._topic, partition, at=stands_at, epoch=seen.epoch)
        except TransientError:
            if stands_at <= high:
                raise
            end = None  # the embedded broker answers with silence beyond its log's end
        return LogExtent(log_id, low, high, Common(end))

    def _led_anew(self, partition: int, epoch: int) -> bool:
        """Whether the log had another leader since: it alone can have brought another end along."""
        if epoch < 0:
            return False
        place = TopicPartition(self._topic, partition)
        [listed] = self._admin.list_offsets({place: OffsetSpec.latest()}, request_timeout=5).values()
        now = listed.result().leader_epoch
        return now is not None and now >= 0 and now != epoch

    def _listed(self, partition: int) -> tuple[int, int]:
        place = TopicPartition(self._topic, partition)
        low, high = self._consumer.get_watermark_offsets(place, timeout=5, cached=False)
        return low, high

"""Reports the state of a worker's partitions: to the store, to Prometheus, to Kafka's lag tools, to the log.

Called by the reading thread only. It decides nothing about posts.
"""

import contextlib
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from brandpulse.errors import TransientError
from brandpulse.runtime.metrics import Telemetry
from brandpulse.state.partition_state import PartitionStatus
from stream_workers.consumer.assigned_partition import AssignedPartition
from stream_workers.consumer.broker_liveness import BrokerLiveness
from stream_workers.consumer.stuck_detector import ReadStats, StuckPartitionDetector
from stream_workers.state_store.partition_store import PartitionStore

log = logging.getLogger(__name__)

LOGGED_BACKLOG = 1_000
"""A smaller backlog is not logged."""


class StatusReporter:
    """Watches the assigned partitions of one topic. After *idle_after_seconds* at the log's end a partition is idle."""

    def __init__(
        self,
        consumer: Consumer,
        store: PartitionStore,
        telemetry: Telemetry,
        liveness: BrokerLiveness,
        *,
        topic: str,
        idle_after_seconds: float,
        wall_ms: Callable[[], int],
        on_state_moved: Callable[[AssignedPartition, str], None],
        on_stuck: Callable[[int, str], None],
    ) -> None:
        """*on_state_moved* is called for a partition whose stored offset changed although no batch is in flight;
        *on_stuck* for one that is not read although records wait."""
        self._consumer = consumer
        self._store = store
        self._telemetry = telemetry
        self._liveness = liveness
        self._topic = topic
        self._idle_after_seconds = idle_after_seconds
        self._wall_ms = wall_ms
        self._on_state_moved = on_state_moved
        self._on_stuck = on_stuck
        self._stuck_detector = StuckPartitionDetector()
        self._caught_up_since: dict[int, float] = {}
        self._behind_since: tuple[float, int] | None = None
        self.store_responds = True
        """Whether the store accepted the last heartbeat."""

    def lag(self, partition: AssignedPartition) -> int | None:
        """Records between the applied offset and the log's end at the last fetch; None before the first fetch."""
        number = partition.status.partition
        if self._stuck_detector.is_behind(number):
            return max(0, self._liveness.log_ends.get(number, 0) - partition.status.next)
        if partition.eof_position == partition.position == partition.status.next:
            return 0
        place = TopicPartition(self._topic, number)
        try:
            _, high = self._consumer.get_watermark_offsets(place, cached=True)
        except (KafkaException, RuntimeError):
            return None
        return max(0, high - partition.status.next) if high >= 0 else None

    def report(self, partitions: Mapping[int, AssignedPartition], now: float, reads: ReadStats) -> None:
        """Called about once a second. *now*: monotonic seconds."""
        self._liveness.update({number: partition.position for number, partition in partitions.items()}, now)
        for number in self._stuck_detector.stuck(partitions, self._liveness.log_ends, reads):
            end = self._liveness.log_ends[number]
            self._telemetry.counter("brandpulse_stuck_partitions_total").inc()
            self._on_stuck(number, f"not read beyond {partitions[number].position} although the log ends at {end}")
        lags = {number: self.lag(partition) for number, partition in partitions.items()}
        self._log_catch_up(partitions, sum(lag or 0 for lag in lags.values()), now)
        store_responds = True
        for number, partition in partitions.items():
            status, lag = partition.status, lags[number]
            at_end = lag == 0 and partition.position == status.next
            since = self._caught_up_since.setdefault(number, now) if at_end else now
            if not at_end:
                self._caught_up_since.pop(number, None)
            self._telemetry.gauge("brandpulse_partition_lag").labels(number).set(lag or 0)
            if status.clock_ms > 0:
                watermark = self._telemetry.gauge("brandpulse_partition_watermark_seconds")
                watermark.labels(number).set(status.watermark_ms / 1_000)
            silent = self._liveness.silent_seconds(number)
            # Without a broker the log's end is unknown: the cached one always reports that nothing follows.
            idle = at_end and now - since >= self._idle_after_seconds and not silent
            heartbeat = replace(status, seen_wall_ms=self._seen_ms(silent), caught_up=idle, lag=lag or 0, paused="")
            owned = self._touch(heartbeat) if store_responds else None
            # A hanging store is asked once per round: asked for each partition it would block the reader for minutes.
            store_responds = owned is not None
            if owned is False and partition.position == status.next and partition.status is status:
                # The store lost its last writes. On a quiet partition no post would reveal it.
                self._on_state_moved(partition, f"the stored offset is no longer {status.next}")

    def report_paused(self, partition: AssignedPartition, reason: str) -> None:
        self._telemetry.gauge("brandpulse_partition_paused").labels(partition.status.partition).set(1)
        seen_ms = self._seen_ms(self._liveness.silent_seconds(partition.status.partition))
        self._touch(replace(partition.status, seen_wall_ms=seen_ms, caught_up=False, paused=reason))

    def forget(self, partition: int) -> None:
        """The partition belongs to another worker now, or will be reloaded."""
        self._liveness.forget(partition)
        self._stuck_detector.forget(partition)
        self._caught_up_since.pop(partition, None)
        for name in ("lag", "watermark_seconds", "paused"):
            with contextlib.suppress(KeyError):
                self._telemetry.gauge(f"brandpulse_partition_{name}").remove(str(partition))

    def commit(self, partitions: Mapping[int, AssignedPartition], *, asynchronous: bool = True) -> None:
        """Commit offsets for Kafka's lag tools. No part of brandpulse reads them."""
        offsets = [
            TopicPartition(self._topic, number, partition.status.next)
            for number, partition in partitions.items()
            if not partition.released
        ]
        if not offsets:
            return
        arguments: dict[str, Any] = {"offsets": offsets, "asynchronous": asynchronous}
        try:
            self._consumer.commit(**arguments)
        except KafkaException as error:
            log.info("offset commit failed", extra={"reason": str(error)})

    def _seen_ms(self, silent_seconds: float) -> int:
        """The time of the heartbeat: it counts only while the broker responds."""
        return self._wall_ms() - int(silent_seconds * 1_000)

    def _log_catch_up(self, partitions: Mapping[int, AssignedPartition], lag: int, now: float) -> None:
        """One line when a backlog is finished: its size and the rate."""
        applied = sum(partition.status.next for partition in partitions.values())
        if lag:
            self._behind_since = self._behind_since or (now, applied)
        elif self._behind_since is not None and partitions:
            (since, before), self._behind_since = self._behind_since, None
            posts, seconds = applied - before, now - since
            if posts > LOGGED_BACKLOG and seconds > 0:
                log.info("caught up", extra={"posts": posts, "posts_per_second": round(posts / seconds)})

    def _touch(self, status: PartitionStatus) -> bool | None:
        """Whether the stored offset is that of *status*; None if the store does not respond."""
        try:
            owned = self._store.touch(status)
        except TransientError as error:
            self.store_responds = False
            log.info("heartbeat failed", extra={"partition": status.partition, "reason": str(error)})
            return None
        self.store_responds = True
        return owned

    def silent_leaders(self, partitions: Collection[int]) -> list[int]:
        """Those of *partitions*, which are assigned, whose leader in Kafka does not respond."""
        return [partition for partition in partitions if self._liveness.is_silent(partition)]

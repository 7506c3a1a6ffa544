"""What a worker tells of its partitions: to the store, to Prometheus, to Kafka's lag tools, to the log.

Called by the reading thread only. Nothing here decides anything about posts.
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
from stream_workers.consumer.assigned_partition import HeldPartition
from stream_workers.consumer.broker_liveness import Answers
from stream_workers.consumer.stuck_detector import Reads, Standstills
from stream_workers.state_store.partition_store import PartitionStore

log = logging.getLogger(__name__)

WORTH_A_LINE = 1_000
"""A backlog of fewer records is everyday life."""


class SignsOfLife:
    """Watches the held partitions of one topic. *idle_after_seconds* at the log's end make a partition idle."""

    def __init__(
        self,
        consumer: Consumer,
        store: PartitionStore,
        telemetry: Telemetry,
        answers: Answers,
        *,
        topic: str,
        idle_after_seconds: float,
        wall_ms: Callable[[], int],
        lost: Callable[[HeldPartition, str], None],
        stands_still: Callable[[int, str], None],
    ) -> None:
        """*lost* is told of a partition whose state stands elsewhere though nothing of ours is under way;
        *stands_still* of one that is not read though records wait."""
        self._consumer = consumer
        self._store = store
        self._telemetry = telemetry
        self._answers = answers
        self._topic = topic
        self._idle_after_seconds = idle_after_seconds
        self._wall_ms = wall_ms
        self._lost = lost
        self._stands_still = stands_still
        self._standstills = Standstills()
        self._caught_up_since: dict[int, float] = {}
        self._behind_since: tuple[float, int] | None = None
        self.store_answers = True
        """Whether the store answered the last sign of life."""

    def lag_of(self, held: HeldPartition) -> int | None:
        """Records between what is applied and the log's end as the last fetch saw it; None before the first fetch."""
        partition = held.status.partition
        if self._standstills.behind(partition):
            return max(0, self._answers.ends.get(partition, 0) - held.status.next)
        if held.ended_at == held.position == held.status.next:
            return 0
        place = TopicPartition(self._topic, partition)
        try:
            _, high = self._consumer.get_watermark_offsets(place, cached=True)
        except (KafkaException, RuntimeError):
            return None
        return max(0, high - held.status.next) if high >= 0 else None

    def tell(self, partitions: Mapping[int, HeldPartition], now: float, reads: Reads) -> None:
        """Once a second or so; *now* is monotonic seconds."""
        self._answers.look({partition: held.position for partition, held in partitions.items()}, now)
        for partition in self._standstills.look(partitions, self._answers.ends, reads):
            end = self._answers.ends[partition]
            self._telemetry.counter("brandpulse_partition_standstills_total").inc()
            self._stands_still(partition, f"not read on from {partitions[partition].position}, though it ends at {end}")
        lags = {partition: self.lag_of(held) for partition, held in partitions.items()}
        self._tell_rate(partitions, sum(lag or 0 for lag in lags.values()), now)
        answers = True
        for partition, held in partitions.items():
            status, lag = held.status, lags[partition]
            at_end = lag == 0 and held.position == status.next
            since = self._caught_up_since.setdefault(partition, now) if at_end else now
            if not at_end:
                self._caught_up_since.pop(partition, None)
            self._telemetry.gauge("brandpulse_partition_lag").labels(partition).set(lag or 0)
            if status.clock_ms > 0:
                watermark = self._telemetry.gauge("brandpulse_partition_watermark_seconds")
                watermark.labels(partition).set(status.watermark_ms / 1_000)
            silent = self._answers.silent_seconds(partition)
            # Where the broker is gone nobody knows the log's end: what we remember of it says nothing follows.
            idle = at_end and now - since >= self._idle_after_seconds and not silent
            life = replace(status, seen_wall_ms=self._seen_ms(silent), caught_up=idle, lag=lag or 0, paused="")
            stands = self._touch(life) if answers else None
            # A store that hangs is asked once a round: asked for each partition it would keep the reader for minutes.
            answers = stands is not None
            if stands is False and held.position == status.next and held.status is status:
                # The store lost its last writes. On a quiet partition no post would come to find that out.
                self._lost(held, f"the store does not stand at {status.next} any more")

    def tell_paused(self, held: HeldPartition, reason: str) -> None:
        self._telemetry.gauge("brandpulse_partition_paused").labels(held.status.partition).set(1)
        seen_ms = self._seen_ms(self._answers.silent_seconds(held.status.partition))
        self._touch(replace(held.status, seen_wall_ms=seen_ms, caught_up=False, paused=reason))

    def forget(self, partition: int) -> None:
        """It is somebody else's now, or will be loaded anew."""
        self._answers.forget(partition)
        self._standstills.forget(partition)
        self._caught_up_since.pop(partition, None)
        for name in ("lag", "watermark_seconds", "paused"):
            with contextlib.suppress(KeyError):
                self._telemetry.gauge(f"brandpulse_partition_{name}").remove(str(partition))

    def commit(self, partitions: Mapping[int, HeldPartition], *, asynchronous: bool = True) -> None:
        """Offsets for Kafka's lag tools; nobody of ours reads them."""
        offsets = [
            TopicPartition(self._topic, partition, held.status.next)
            for partition, held in partitions.items()
            if not held.gone
        ]
        if not offsets:
            return
        arguments: dict[str, Any] = {"offsets": offsets, "asynchronous": asynchronous}
        try:
            self._consumer.commit(**arguments)
        except KafkaException as error:
            log.info("offsets not committed", extra={"reason": str(error)})

    def _seen_ms(self, silent_seconds: float) -> int:
        """Our own sign of life is worth something only with the broker's."""
        return self._wall_ms() - int(silent_seconds * 1_000)

    def _tell_rate(self, partitions: Mapping[int, HeldPartition], lag: int, now: float) -> None:
        """One line when a backlog is worked off: how much, how fast."""
        applied = sum(held.status.next for held in partitions.values())
        if lag:
            self._behind_since = self._behind_since or (now, applied)
        elif self._behind_since is not None and partitions:
            (since, before), self._behind_since = self._behind_since, None
            posts, seconds = applied - before, now - since
            if posts > WORTH_A_LINE and seconds > 0:
                log.info("caught up", extra={"posts": posts, "posts_per_second": round(posts / seconds)})

    def _touch(self, status: PartitionStatus) -> bool | None:
        """Whether the store stands where *status* says; None when it does not answer."""
        try:
            stands = self._store.touch(status)
        except TransientError as error:
            self.store_answers = False
            log.info("no sign of life given", extra={"partition": status.partition, "reason": str(error)})
            return None
        self.store_answers = True
        return stands

    def silent_leaders(self, partitions: Collection[int]) -> list[int]:
        """Those of *partitions*, which are held, whose leader in Kafka does not answer."""
        return [partition for partition in partitions if self._answers.is_silent(partition)]

from collections.abc import Collection
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import ListOffsetsResultInfo

from brandpulse.errors import TransientError
from brandpulse.runtime.metric_definitions import WORKER_METRICS
from brandpulse.runtime.metrics import Telemetry
from brandpulse.state.partition_state import PartitionStatus
from stream_workers.consumer.assigned_partition import AssignedPartition
from stream_workers.consumer.broker_liveness import BrokerLiveness
from stream_workers.consumer.dlq_limit import DlqLimit
from stream_workers.consumer.status_reporter import StatusReporter
from stream_workers.consumer.stuck_detector import ReadStats
from stream_workers.state_store.memory_store import MemoryPartitionStore
from tests.support.builders import a_status


@dataclass
class LogEnds:
    """The one thing asked of a consumer here: where the last fetch saw the log end (-1001 before any)."""

    high: int

    def get_watermark_offsets(self, _place: Any, *, cached: bool) -> tuple[int, int]:
        assert cached, "a query would block the reading thread"
        return 0, self.high


class Watched:
    """One partition at offset 10. At second n the wall clock shows 1,000 n ms."""

    def __init__(self, high: int, position: int = 10) -> None:
        self.ends = LogEnds(high)
        self.now = 0.0
        self.broker_answers = True
        self.moved: list[str] = []
        self.stuck: list[str] = []
        self.leader_says = 10
        self.store = MemoryPartitionStore()
        status = a_status(10)
        self.store.rebase(None, status)
        self.partition = AssignedPartition(status, position, DlqLimit(run_limit=9, share_limit=0.5))
        self._signs = StatusReporter(
            cast("Consumer", self.ends),
            self.store,
            Telemetry(WORKER_METRICS),
            BrokerLiveness(self._ask),
            topic="posts",
            idle_after_seconds=3,
            wall_ms=lambda: int(self.now * 1_000),
            on_state_moved=lambda partition, reason: self.moved.append(reason),
            on_stuck=lambda partition, reason: self.stuck.append(reason),
        )

    def _ask(self, partitions: Collection[int], _seconds: float) -> "dict[int, Future[ListOffsetsResultInfo]]":
        """An answer at once, or none ever: a broker that is stopped closes no connection."""
        answers: dict[int, Future[ListOffsetsResultInfo]] = {partition: Future() for partition in partitions}
        for answer in answers.values() if self.broker_answers else ():
            answer.set_result(ListOffsetsResultInfo(self.leader_says, 0, 0))
        return answers

    def report_at(self, now: float) -> PartitionStatus:
        """What the store says after the sign of life of second *now*."""
        self.now = now
        self._signs.report({0: self.partition}, now, ReadStats(now))
        status = self.store.load("posts", 0)
        assert status is not None
        return status

    def idle_at(self, now: float) -> bool:
        return self.report_at(now).caught_up

    def paused_at(self, now: float) -> PartitionStatus:
        """The same of a partition that waits for a person: it is not read."""
        self.now = now
        self._signs.report({}, now, ReadStats(now))
        self._signs.report_paused(self.partition, "31 of 40 posts are invalid")
        status = self.store.load("posts", 0)
        assert status is not None
        return status


def test_partition_is_idle_only_after_some_seconds_at_its_end() -> None:
    watched = Watched(high=10)
    assert [watched.idle_at(now) for now in (100, 102, 103, 110)] == [False, False, True, True]


def test_partition_with_lag_is_not_idle_and_restarts_its_idle_time() -> None:
    watched = Watched(high=10)
    assert watched.idle_at(100) is False
    watched.ends.high = 15
    assert watched.idle_at(104) is False
    watched.ends.high = 10
    assert [watched.idle_at(now) for now in (105, 109)] == [False, True]


def test_stuck_partition_is_not_idle_whatever_the_client_last_reported() -> None:
    watched = Watched(high=10)
    watched.partition.eof_position, watched.partition.eof_count = 10, 1
    assert [watched.idle_at(now) for now in range(100, 106)] == [False, False, False, True, True, True]
    watched.leader_says = 40
    seen = [watched.report_at(now) for now in range(106, 140)]
    assert (seen[-1].caught_up, seen[-1].lag) == (False, 30)
    assert watched.stuck == ["not read beyond 10 although the log ends at 40"]


def test_partition_with_uncounted_records_is_not_idle() -> None:
    watched = Watched(high=10, position=12)
    assert [watched.idle_at(now) for now in (100, 110)] == [False, False]


def test_before_the_first_fetch_the_lag_is_unknown() -> None:
    watched = Watched(high=-1001)
    assert [watched.idle_at(now) for now in (100, 110)] == [False, False]


def test_heartbeat_holds_owner_and_progress() -> None:
    watched = Watched(high=25)
    watched.partition.status = replace(watched.partition.status, owner="host:1")
    status = watched.report_at(100)
    assert (status.owner, status.seen_wall_ms, status.lag, status.paused) == ("host:1", 100_000, 15, "")


@pytest.mark.parametrize("waits", [False, True], ids=["an idle one", "one that waits for a person"])
def test_heartbeat_time_stops_while_the_broker_is_silent(waits: bool) -> None:
    watched = Watched(high=10)
    report = watched.paused_at if waits else watched.report_at
    assert [report(now).seen_wall_ms for now in range(100, 160)] == [now * 1_000 for now in range(100, 160)]
    assert report(160).caught_up is not waits
    watched.broker_answers = False
    seen = {now: report(now) for now in range(161, 300)}
    last = seen[299].seen_wall_ms
    assert 155_000 <= last <= 161_000, "the last answer"
    assert {one.seen_wall_ms for now, one in seen.items() if now >= last // 1_000 + 15} == {last}
    assert not any(one.caught_up for now, one in seen.items() if now >= last // 1_000 + 15)
    watched.broker_answers = True
    back = [report(now) for now in range(300, 316)]
    assert back[-1].seen_wall_ms == 315_000
    assert report(330).caught_up is not waits


def test_broker_that_pauses_for_ten_seconds_is_not_silent() -> None:
    watched = Watched(high=10)
    watched.idle_at(100)
    seen = []
    for now in range(101, 140):
        watched.broker_answers = not 103 <= now < 113
        seen.append(watched.report_at(now))
    assert [one.seen_wall_ms for one in seen] == [now * 1_000 for now in range(101, 140)]


def test_arriving_records_count_as_a_reply() -> None:
    watched = Watched(high=10_000)
    watched.broker_answers = False
    for now in range(100, 200):
        assert watched.report_at(now).seen_wall_ms == now * 1_000
        watched.partition.position += 1


def test_transaction_gap_at_the_end_is_no_lag() -> None:
    watched = Watched(high=11)
    watched.partition.eof_position = 10
    assert [watched.idle_at(now) for now in (100, 104)] == [False, True]


def test_idle_partition_detects_that_the_store_lost_its_last_writes() -> None:
    watched = Watched(high=10)
    watched.idle_at(100)
    assert watched.moved == []
    behind = watched.store.load("posts", 0)
    assert behind is not None
    watched.store.rebase(behind, replace(behind, next=4))
    watched.idle_at(101)
    assert watched.moved == ["the stored offset is no longer 10"]


def test_batch_in_flight_is_not_taken_for_a_loss() -> None:
    watched = Watched(high=20, position=20)
    before = watched.store.load("posts", 0)
    assert before is not None
    watched.store.rebase(before, replace(before, next=20))
    watched.idle_at(101)
    assert watched.moved == []


def test_store_that_does_not_respond_is_called_once_per_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each asking may take its whole time-out: asked for every partition, it would keep the reader for minutes."""
    watched = Watched(high=10)
    asked: list[int] = []

    def hangs(status: PartitionStatus) -> bool:
        asked.append(status.partition)
        raise TransientError("Redis is unreachable: timed out")

    monkeypatch.setattr(watched.store, "touch", hangs)
    watched._signs.report(dict.fromkeys(range(4), watched.partition), 100.0, ReadStats(100.0))
    assert len(asked) == 1
    watched._signs.report(dict.fromkeys(range(4), watched.partition), 101.0, ReadStats(101.0))
    assert len(asked) == 2
    assert watched.moved == []

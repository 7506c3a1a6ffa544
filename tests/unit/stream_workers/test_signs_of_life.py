from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
from confluent_kafka import Consumer

from brandpulse.errors import TransientError
from brandpulse.partitions import PartitionStatus
from brandpulse.telemetry import WORKER_METRICS, Telemetry
from stream_workers.guard import InvalidGuard
from stream_workers.held import HeldPartition
from stream_workers.memory_store import MemoryPartitionStore
from stream_workers.signs_of_life import SignsOfLife
from tests.builders import a_status


@dataclass
class LogEnds:
    """The one thing asked of a consumer here: where the last fetch saw the log end (-1001 before any)."""

    high: int

    def get_watermark_offsets(self, _place: Any, *, cached: bool) -> tuple[int, int]:
        assert cached, "a query would block the reading thread"
        return 0, self.high


class Watched:
    """One held partition that stands at offset 10."""

    def __init__(self, high: int, position: int = 10) -> None:
        self.ends = LogEnds(high)
        self.lost: list[str] = []
        self.store = MemoryPartitionStore()
        status = a_status(10)
        self.store.rebase(None, status)
        self.held = HeldPartition(status, position, InvalidGuard(run_limit=9, share_limit=0.5))
        self._signs = SignsOfLife(
            cast("Consumer", self.ends),
            self.store,
            Telemetry(WORKER_METRICS),
            topic="posts",
            idle_after_seconds=3,
            wall_ms=lambda: 1_000,
            lost=lambda held, reason: self.lost.append(reason),
        )

    def idle_at(self, now: float) -> bool:
        self._signs.tell({0: self.held}, now)
        status = self.store.load("posts", 0)
        assert status is not None
        return status.caught_up


def test_a_partition_is_idle_only_after_some_seconds_at_its_end() -> None:
    watched = Watched(high=10)
    assert [watched.idle_at(now) for now in (100, 102, 103, 110)] == [False, False, True, True]


def test_a_partition_with_lag_is_never_idle_and_starts_over_when_it_has_caught_up() -> None:
    watched = Watched(high=10)
    assert watched.idle_at(100) is False
    watched.ends.high = 15
    assert watched.idle_at(104) is False
    watched.ends.high = 10
    assert [watched.idle_at(now) for now in (105, 109)] == [False, True]


def test_what_is_read_and_not_yet_counted_is_not_idle() -> None:
    watched = Watched(high=10, position=12)
    assert [watched.idle_at(now) for now in (100, 110)] == [False, False]


def test_before_the_first_fetch_nobody_knows_the_end() -> None:
    watched = Watched(high=-1001)
    assert [watched.idle_at(now) for now in (100, 110)] == [False, False]


def test_a_sign_of_life_says_who_and_how_far() -> None:
    watched = Watched(high=25)
    watched.held.status = replace(watched.held.status, owner="host:1")
    watched.idle_at(100)
    status = watched.store.load("posts", 0)
    assert status is not None
    assert (status.owner, status.seen_wall_ms, status.lag, status.paused) == ("host:1", 1_000, 15, "")


def test_a_gap_that_a_transaction_left_at_the_end_is_no_lag() -> None:
    watched = Watched(high=11)
    watched.held.ended_at = 10
    assert [watched.idle_at(now) for now in (100, 104)] == [False, True]


def test_a_quiet_partition_notices_that_the_store_lost_its_last_writes() -> None:
    watched = Watched(high=10)
    watched.idle_at(100)
    assert watched.lost == []
    behind = watched.store.load("posts", 0)
    assert behind is not None
    watched.store.rebase(behind, replace(behind, next=4))
    watched.idle_at(101)
    assert watched.lost == ["the store does not stand at 10 any more"]


def test_a_batch_under_way_is_no_loss() -> None:
    watched = Watched(high=20, position=20)
    before = watched.store.load("posts", 0)
    assert before is not None
    watched.store.rebase(before, replace(before, next=20))
    watched.idle_at(101)
    assert watched.lost == []


def test_a_store_that_does_not_answer_is_asked_once_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each asking may take its whole time-out: asked for every partition, it would keep the reader for minutes."""
    watched = Watched(high=10)
    asked: list[int] = []

    def hangs(status: PartitionStatus) -> bool:
        asked.append(status.partition)
        raise TransientError("Redis is unreachable: timed out")

    monkeypatch.setattr(watched.store, "touch", hangs)
    watched._signs.tell(dict.fromkeys(range(4), watched.held), 100.0)
    assert len(asked) == 1
    watched._signs.tell(dict.fromkeys(range(4), watched.held), 101.0)
    assert len(asked) == 2
    assert watched.lost == []

"""A worker without partitions: a spare one waits, one that its group forgot rejoins."""

import logging
from collections.abc import Mapping
from itertools import pairwise

import pytest

from brandpulse.errors import TransientError
from stream_workers.consumer.group_rejoin import LONGEST_WAIT_SECONDS, GroupRejoinPolicy

PATIENCE = 15.0


class Group:
    """Three partitions; those in *read* get heartbeats as time passes."""

    def __init__(self, *read: int) -> None:
        self.read = set(read)
        self.now = 0.0
        self.fault = ""
        self.policy = GroupRejoinPolicy(self.last_seen, patience_seconds=PATIENCE)
        self.joined = list[tuple[float, list[int]]]()

    def last_seen(self) -> Mapping[int, int]:
        if self.fault:
            raise TransientError(self.fault)
        return {one: int(self.now * 1_000) if one in self.read else 0 for one in range(3)}

    def pass_seconds(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            unread = self.policy.unread_partitions(self.now)
            if unread:
                self.joined.append((self.now, unread))


def test_spare_worker_waits_and_logs_it(caplog: pytest.LogCaptureFixture) -> None:
    group = Group(0, 1, 2)
    group.pass_seconds(200)
    assert group.joined == []
    records = [record for record in caplog.records if "more workers than partitions" in record.message]
    assert 1 <= len(records) <= 3, "not every second"


def test_unread_partition_causes_rejoins_at_growing_intervals() -> None:
    group = Group(0)
    group.pass_seconds(3_600)
    at = [when for when, _ in group.joined]
    assert all(unread == [1, 2] for _, unread in group.joined)
    assert at[0] == PATIENCE + 1
    gaps = [later - earlier for earlier, later in pairwise(at)]
    assert gaps == sorted(gaps)
    assert LONGEST_WAIT_SECONDS <= gaps[-1] <= LONGEST_WAIT_SECONDS + PATIENCE
    assert len(at) <= 12, "each rebalances the whole group"


def test_partition_that_changes_owner_gets_time() -> None:
    group = Group(0, 1, 2)
    group.pass_seconds(60)
    group.read.clear()
    group.pass_seconds(int(PATIENCE) - 1)
    group.read |= {0, 1, 2}
    group.pass_seconds(60)
    assert group.joined == []


def test_assignment_restarts_the_wait() -> None:
    group = Group()
    group.pass_seconds(100)
    assert len(group.joined) == 3
    group.policy.on_assigned(group.now)
    group.pass_seconds(int(PATIENCE))
    assert len(group.joined) == 3
    group.pass_seconds(1)
    assert len(group.joined) == 4, "the wait is short again"


def test_without_kafka_or_store_the_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    group = Group()
    group.fault = "topic posts is gone"
    with caplog.at_level(logging.WARNING):
        group.pass_seconds(130)
    assert group.joined == []
    records = [record for record in caplog.records if "readers of the topic unknown" in record.message]
    assert [getattr(record, "reason", "") for record in records] == ["topic posts is gone"] * 2

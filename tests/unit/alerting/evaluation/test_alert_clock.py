from dataclasses import replace
from typing import Any

import pytest

from alerting.evaluation.alert_clock import (
    AlertClock,
    ClockPolicy,
    StallDetector,
    alert_clock,
    stream_silence,
    unseen_partitions,
)
from brandpulse.state.partition_state import NO_CLOCK, PartitionStatus

POLICY = ClockPolicy()
NOW = 10**12
IDLE = PartitionStatus(
    "posts", 0, 100, "t", clock_ms=500_000, lateness_ms=100_000, owner="w", seen_wall_ms=NOW - 1_000, caught_up=True
)
BEHIND = replace(IDLE, partition=1, clock_ms=300_000, caught_up=False, lag=7)


@pytest.mark.parametrize(
    ("statuses", "clock"),
    [
        ([], AlertClock(None)),
        ([IDLE], AlertClock(400_000)),
        ([IDLE, replace(IDLE, partition=1, clock_ms=700_000)], AlertClock(600_000)),
        ([IDLE, BEHIND], AlertClock(200_000, ("posts:1",))),
        ([replace(IDLE, caught_up=False), BEHIND], AlertClock(200_000, ("posts:0", "posts:1"))),
        ([IDLE, replace(IDLE, partition=1, clock_ms=300_000, owner="")], AlertClock(200_000, ("posts:1",))),
        (
            [IDLE, replace(IDLE, partition=1, clock_ms=300_000, seen_wall_ms=NOW - 31_000)],
            AlertClock(200_000, ("posts:1",)),
        ),
        ([IDLE, replace(IDLE, partition=1, clock_ms=NO_CLOCK)], AlertClock(400_000)),
        ([IDLE, replace(BEHIND, clock_ms=NO_CLOCK)], AlertClock(None, ("posts:1",))),
        ([replace(IDLE, clock_ms=NO_CLOCK)], AlertClock(None)),
    ],
    ids=[
        "no partition",
        "one idle",
        "all idle: the furthest",
        "one with lag holds the clock",
        "the slowest of two",
        "one without owner holds the clock",
        "an owner not seen for long is none",
        "an idle one without posts holds nothing",
        "an unread one without posts holds everything",
        "no post anywhere",
    ],
)
def test_the_slowest_busy_partition_sets_the_clock(statuses: list[PartitionStatus], clock: AlertClock) -> None:
    assert alert_clock(statuses, now_ms=NOW, policy=POLICY) == clock


@pytest.mark.parametrize(
    ("age_ms", "changes", "dark"),
    [
        (45_000, {}, False),
        (45_001, {}, True),
        (45_001, {"paused": "31 of 40 posts are invalid"}, True),
        (0, {"paused": "31 of 40 posts are invalid", "caught_up": False}, False),
        (0, {"caught_up": False, "lag": 7}, False),
    ],
    ids=["seen", "unseen", "paused and unseen", "paused", "behind"],
)
def test_a_partition_without_a_sign_of_life_is_unseen(age_ms: int, changes: dict[str, Any], dark: bool) -> None:
    status = replace(IDLE, seen_wall_ms=NOW - age_ms, **changes)
    assert unseen_partitions([IDLE, status], now_ms=NOW, policy=POLICY) == ((status,) if dark else ())


def test_a_partition_with_lag_that_does_not_move_is_stalled() -> None:
    watch = StallDetector(POLICY)
    moved = replace(BEHIND, next=101)
    assert watch.check([BEHIND], now_ms=NOW).stalled == "unknown"
    assert watch.check([moved], now_ms=NOW + 1).stalled == "no"
    assert watch.check([moved], now_ms=NOW + 119_999).stalled == "no"
    stall = watch.check([moved], now_ms=NOW + 120_001)
    assert (stall.stalled, stall.partitions) == ("yes", (moved,))
    assert watch.check([replace(moved, next=102)], now_ms=NOW + 120_002).stalled == "no"


def test_an_idle_partition_is_never_stalled() -> None:
    watch = StallDetector(POLICY)
    for later in range(0, 10**6, 10_000):
        status = replace(IDLE, seen_wall_ms=NOW + later)
        assert watch.check([status], now_ms=NOW + later).stalled == "no"


def test_a_new_leader_reports_no_recovery_before_it_saw_movement() -> None:
    watch = StallDetector(POLICY)
    assert {watch.check([BEHIND], now_ms=NOW + at).stalled for at in range(0, 119_000, 1_000)} == {"unknown"}


@pytest.mark.parametrize(
    ("status", "silent"),
    [
        (replace(IDLE, clock_ms=NOW - 60_000), "no"),
        (replace(IDLE, clock_ms=NOW - POLICY.silent_after_ms), "yes"),
        (replace(IDLE, clock_ms=NOW - POLICY.silent_after_ms, caught_up=False), "unknown"),
        (replace(IDLE, clock_ms=NOW - POLICY.live_within_ms - 1), "unknown"),
        (replace(IDLE, clock_ms=NO_CLOCK), "unknown"),
    ],
    ids=["posts come", "none for half an hour", "not all read", "a replay of the past", "never a post"],
)
def test_only_a_live_stream_read_to_its_end_is_silent(status: PartitionStatus, silent: str) -> None:
    assert stream_silence([status], now_ms=NOW, policy=POLICY) == silent

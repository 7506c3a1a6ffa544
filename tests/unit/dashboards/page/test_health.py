from typing import Any

import pytest

from brandpulse.state.keys import HOUR_MS
from brandpulse.state.outcomes.post_outcomes import Cell, Period, offset_number
from brandpulse.state.partition_state import PartitionStatus
from dashboards.page.health import AlerterHealth, health, partition_health

NOW_MS = 1_763_476_340_000
ALERTER = AlerterHealth(leading=True, evaluated_until_ms=NOW_MS, pending=0, quarantined=0)


def a_partition(number: int = 0, **changes: Any) -> PartitionStatus:
    fields: dict[str, Any] = {"owner": "worker-1", "seen_wall_ms": NOW_MS - 2_000, "caught_up": True} | changes
    return PartitionStatus(topic="posts", partition=number, next=500, topic_id="one", **fields)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "caught up"),
        ({"caught_up": False, "lag": 1_200}, "1,200 behind"),
        ({"caught_up": False, "lag": 0}, "reading"),
        ({"paused": "31 of 40 posts are invalid"}, "paused: 31 of 40 posts are invalid"),
        ({"owner": ""}, "no worker"),
        ({"seen_wall_ms": NOW_MS - 31_000}, "no report from its worker for 30 s"),
        ({"seen_wall_ms": NOW_MS - 7_300_000}, "no report from its worker for 121 min"),
    ],
)
def test_partition_state_has_the_expected_wording(changes: dict[str, Any], words: str) -> None:
    assert partition_health(a_partition(**changes), now_ms=NOW_MS).words == words


@pytest.mark.parametrize(
    ("partitions", "verdict", "sentence"),
    [
        ([], "waiting", "No worker has started in this namespace yet: start one with `brandpulse worker`."),
        ([a_partition(0), a_partition(1)], "fine", "All 2 partitions caught up."),
        (
            [a_partition(0, caught_up=False, lag=700), a_partition(1, caught_up=False, lag=500), a_partition(2)],
            "behind",
            "1,200 posts behind on 2 of 3 partitions.",
        ),
        (
            [a_partition(0, owner=""), a_partition(1, caught_up=False, lag=500)],
            "bad",
            "1 of 2 partitions without a worker: start `brandpulse worker`; if one runs, see `brandpulse doctor`.",
        ),
        (
            [a_partition(0, paused="too many"), a_partition(1, owner="")],
            "bad",
            "1 of 2 partitions paused: see `brandpulse dlq list`, then `brandpulse dlq allow`.",
        ),
    ],
)
def test_worst_partition_decides_verdict_and_sentence(
    partitions: list[PartitionStatus], verdict: str, sentence: str
) -> None:
    shown = health(partitions, ALERTER, now_ms=NOW_MS)

    assert (shown.verdict, shown.sentence) == (verdict, sentence)


def test_counters_are_summed_over_partitions() -> None:
    partitions = [a_partition(0, late=1, dead=2, repeated=3), a_partition(1, late=10, dead=20, unmatched=5, lost=7)]

    shown = health(partitions, ALERTER, now_ms=NOW_MS)

    assert (shown.late, shown.dead, shown.repeated, shown.unmatched, shown.lost) == (11, 22, 3, 5, 7)


def test_mostly_late_posts_give_verdict_behind() -> None:
    cells = Cell("rss", "late", offset_number(0, 5 * HOUR_MS), 90), Cell("rss", "on_time", offset_number(0, 0), 10)
    found = health([a_partition(post_outcomes=(Period(1, cells),), unread=3)], ALERTER, now_ms=NOW_MS)
    assert (found.doubtful, found.verdict, found.unread) == (True, "behind", 3)
    assert found.banners[0].startswith("90 % of the counted posts from 'rss'")


def test_pause_reason_with_a_remedy_is_shown_unchanged() -> None:
    paused = a_partition(paused="too many: cause; do this, then `brandpulse dlq allow`")
    assert "too many: cause; do this" in health([paused], ALERTER, now_ms=NOW_MS).sentence

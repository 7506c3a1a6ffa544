"""Late data is an alert: late posts never page, so operators must know of them."""

from datetime import UTC, datetime

import pytest

from alerting.episodes.lifecycle import OpenEpisode
from alerting.evaluation.lateness import Lateness, LatenessDetector
from alerting.evaluation.stream_health import decide_health, lateness_health
from brandpulse.state.partition_state import PartitionStatus

MINUTE = 60_000


def a_status(*, late: int, records: int, partition: int = 0) -> PartitionStatus:
    return PartitionStatus(topic="posts", partition=partition, next=records, topic_id="t", late=late)


def watched(counters: list[tuple[int, int]]) -> list[Lateness]:
    """Late posts and records a minute, looked at minute by minute."""
    watch = LatenessDetector()
    return [
        watch.check([a_status(late=late, records=records)], now_ms=minute * MINUTE)
        for minute, (late, records) in enumerate(counters)
    ]


@pytest.mark.parametrize(
    ("late_a_minute", "records_a_minute", "holds"),
    [(0, 100, "no"), (5, 100, "no"), (15, 100, "unknown"), (30, 100, "yes"), (1, 2, "unknown"), (0, 0, "unknown")],
)
def test_the_share_of_late_records_decides(late_a_minute: int, records_a_minute: int, holds: str) -> None:
    found = watched([(late_a_minute * minute, 1_000 + records_a_minute * minute) for minute in range(31)])
    assert found[-1].active == holds


def test_before_a_quarter_of_an_hour_lateness_is_unknown() -> None:
    found = watched([(90 * minute, 100 * minute) for minute in range(31)])
    assert [one.active for one in found[:15]] == ["unknown"] * 15
    assert found[15].active == "yes"


def test_late_posts_an_hour_ago_are_forgotten() -> None:
    found = watched([(min(90 * minute, 1_800), 100 * minute) for minute in range(70)])
    assert found[20].active == "yes"
    assert (found[-1].late, found[-1].records, found[-1].active) == (0, 3_000, "no")


def test_counters_that_restart_give_no_negative_lateness() -> None:
    found = watched([*((90 * minute, 100 * minute) for minute in range(20)), (0, 10), (0, 20)])
    assert found[-1] == Lateness(0, 10, "unknown")


def test_late_data_fires_once_with_its_numbers_and_resolves() -> None:
    opened: OpenEpisode | None = None
    transitions = []
    counters = [(min(40 * minute, 1_200), 100 * minute) for minute in range(90)]
    for minute, lateness in enumerate(watched(counters)):
        now = datetime.fromtimestamp(1_772_409_600 + 60 * minute, UTC)
        decision = decide_health(opened, lateness_health(lateness), now=now)
        opened = decision.after
        if decision.transition is not None:
            transitions.append((decision.transition, decision.reason))
    (fired, why), (ended, over) = transitions
    assert (fired, ended) == ("triggered", "resolved")
    assert "600 of the last 1500 records came after their minute was closed" in why
    assert over == "Posts arrive in time again."

import pytest

from brandpulse.state.partition_state import Generation
from stream_workers.consumer.log_identity import CommonPrefix, LogExtent, resolve_start
from tests.support.builders import a_status


def test_partition_continues_at_its_stored_offset() -> None:
    start = resolve_start("posts", 0, a_status(40), LogExtent("log-1", 0, 100))
    assert (start.status.next, start.reason) == (40, "")


def test_partition_without_state_starts_at_the_start_of_the_log() -> None:
    start = resolve_start("posts", 3, None, LogExtent("log-1", 7, 100))
    assert (start.status.next, start.status.partition, start.status.topic_id) == (7, 3, "log-1")
    assert start.reason


def test_recreated_topic_is_read_from_its_start_and_counters_stay() -> None:
    start = resolve_start("posts", 0, a_status(40, dead=3), LogExtent("log-2", 0, 100))
    assert (start.status.next, start.status.topic_id, start.status.dead) == (0, "log-2", 3)


@pytest.mark.parametrize("high", [30, 39, 100])
def test_log_with_a_rewritten_end_is_read_from_the_cut(high: int) -> None:
    start = resolve_start("posts", 0, a_status(40, epoch=3, lost=2), LogExtent("log-1", 0, high, CommonPrefix(30)))
    assert (start.status.next, start.status.epoch, start.status.lost) == (30, 3, 2)
    assert "the log was rewritten from 30" in start.reason


def test_retention_losses_of_a_rewritten_log_are_counted() -> None:
    start = resolve_start("posts", 0, a_status(40, epoch=3, lost=2), LogExtent("log-1", 35, 90, CommonPrefix(30)))
    assert (start.status.next, start.status.epoch, start.status.lost) == (35, -1, 7)


@pytest.mark.parametrize(
    ("remembered", "high", "starts"), [(12, 39, 28), (1_000, 39, 7), (0, 39, 39), (12, 20, 20), (12, 90, 28)]
)
def test_unknown_cut_is_read_again_only_as_far_as_ids_are_remembered(remembered: int, high: int, starts: int) -> None:
    generations = (Generation(4, 0, remembered // 2), Generation(5, 0, remembered - remembered // 2))
    start = resolve_start(
        "posts", 0, a_status(40, generations=generations), LogExtent("log-1", 7, high, CommonPrefix(None))
    )
    assert (start.status.next, start.status.epoch) == (starts, -1)
    assert f"reading again from {starts}" in start.reason


def test_log_confirmed_by_the_broker_moves_nothing() -> None:
    assert resolve_start("posts", 0, a_status(40, epoch=3), LogExtent("log-1", 0, 90, CommonPrefix(40))).reason == ""


def test_stored_offset_at_the_end_of_the_log_is_valid() -> None:
    assert resolve_start("posts", 0, a_status(40), LogExtent("log-1", 0, 40)).reason == ""


def test_offsets_lost_to_retention_are_counted() -> None:
    start = resolve_start("posts", 0, a_status(40, lost=2), LogExtent("log-1", 60, 100))
    assert (start.status.next, start.status.lost) == (60, 22)


@pytest.mark.parametrize(("origin", "starts"), [(50, 50), (3, 7), (101, 101)])
def test_partition_without_state_starts_at_the_namespace_origin(origin: int, starts: int) -> None:
    start = resolve_start("posts", 0, None, LogExtent("log-1", 7, 100), origin)
    assert start.status.next == starts
    assert f"{starts - 7} older records are left out" in start.reason


def test_partition_with_state_ignores_the_namespace_origin() -> None:
    assert resolve_start("posts", 0, a_status(40), LogExtent("log-1", 0, 100), 90).status.next == 40

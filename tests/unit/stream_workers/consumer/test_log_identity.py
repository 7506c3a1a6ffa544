import pytest

from brandpulse.state.partition_state import Generation
from stream_workers.consumer.log_identity import CommonPrefix, LogExtent, resolve_start
from tests.support.builders import a_status


def test_a_partition_goes_on_where_it_stood() -> None:
    start = resolve_start("posts", 0, a_status(40), LogExtent("log-1", 0, 100))
    assert (start.status.next, start.reason) == (40, "")


def test_a_partition_without_state_starts_at_the_logs_beginning() -> None:
    start = resolve_start("posts", 3, None, LogExtent("log-1", 7, 100))
    assert (start.status.next, start.status.partition, start.status.topic_id) == (7, 3, "log-1")
    assert start.reason


def test_a_recreated_topic_is_read_from_its_beginning_and_counters_stay() -> None:
    start = resolve_start("posts", 0, a_status(40, dead=3), LogExtent("log-2", 0, 100))
    assert (start.status.next, start.status.topic_id, start.status.dead) == (0, "log-2", 3)


@pytest.mark.parametrize("high", [30, 39, 100])
def test_a_log_whose_end_was_cut_off_is_read_on_from_the_cut_however_far_it_was_written_anew(high: int) -> None:
    start = resolve_start("posts", 0, a_status(40, epoch=3, lost=2), LogExtent("log-1", 0, high, CommonPrefix(30)))
    assert (start.status.next, start.status.epoch, start.status.lost) == (30, 3, 2)
    assert "the log was rewritten from 30" in start.reason


def test_what_retention_took_of_a_log_that_was_cut_and_written_anew_is_lost() -> None:
    start = resolve_start("posts", 0, a_status(40, epoch=3, lost=2), LogExtent("log-1", 35, 90, CommonPrefix(30)))
    assert (start.status.next, start.status.epoch, start.status.lost) == (35, -1, 7)


@pytest.mark.parametrize(
    ("remembered", "high", "starts"), [(12, 39, 28), (1_000, 39, 7), (0, 39, 39), (12, 20, 20), (12, 90, 28)]
)
def test_where_nobody_knows_the_cut_nothing_is_read_again_that_was_forgotten(
    remembered: int, high: int, starts: int
) -> None:
    generations = (Generation(4, 0, remembered // 2), Generation(5, 0, remembered - remembered // 2))
    start = resolve_start(
        "posts", 0, a_status(40, generations=generations), LogExtent("log-1", 7, high, CommonPrefix(None))
    )
    assert (start.status.next, start.status.epoch) == (starts, -1)
    assert f"reading again from {starts}" in start.reason


def test_a_doubt_that_the_broker_dispels_moves_nothing() -> None:
    assert resolve_start("posts", 0, a_status(40, epoch=3), LogExtent("log-1", 0, 90, CommonPrefix(40))).reason == ""


def test_the_end_of_the_log_itself_is_a_fine_place_to_stand() -> None:
    assert resolve_start("posts", 0, a_status(40), LogExtent("log-1", 0, 40)).reason == ""


def test_offsets_lost_to_retention_are_counted() -> None:
    start = resolve_start("posts", 0, a_status(40, lost=2), LogExtent("log-1", 60, 100))
    assert (start.status.next, start.status.lost) == (60, 22)


@pytest.mark.parametrize(("origin", "starts"), [(50, 50), (3, 7), (101, 101)])
def test_a_partition_without_state_starts_where_its_namespace_began(origin: int, starts: int) -> None:
    start = resolve_start("posts", 0, None, LogExtent("log-1", 7, 100), origin)
    assert start.status.next == starts
    assert f"{starts - 7} older records are left out" in start.reason


def test_where_a_namespace_began_is_nothing_to_a_partition_with_state() -> None:
    assert resolve_start("posts", 0, a_status(40), LogExtent("log-1", 0, 100), 90).status.next == 40

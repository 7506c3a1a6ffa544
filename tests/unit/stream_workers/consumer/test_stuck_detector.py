"""Partitions that are not read although records wait, and those that only look like it."""

from stream_workers.consumer.assigned_partition import AssignedPartition
from stream_workers.consumer.dlq_limit import DlqLimit
from stream_workers.consumer.stuck_detector import QUEUED_RECORDS, ReadStats, StuckPartitionDetector
from tests.support.builders import a_status


def _partition(position: int = 10) -> AssignedPartition:
    return AssignedPartition(a_status(position), position, DlqLimit(run_limit=9, share_limit=0.5))


def _stuck_at(detector: StuckPartitionDetector, partition: AssignedPartition, end: int, seconds: range) -> list[int]:
    """The seconds of reading at which *partition* was reported as stuck."""
    return [second for second in seconds if detector.stuck({0: partition}, {0: end}, ReadStats(float(second)))]


def test_partition_with_waiting_records_unread_for_20_seconds_is_stuck() -> None:
    detector = StuckPartitionDetector()
    assert _stuck_at(detector, _partition(), 50, range(100, 150)) == [120, 140]
    assert detector.is_behind(0)


def test_partition_that_is_read_is_not_stuck() -> None:
    detector, partition = StuckPartitionDetector(), _partition()
    for second in range(100, 200):
        partition.position += second % 15 == 0
        assert detector.stuck({0: partition}, {0: 50}, ReadStats(float(second))) == []


def test_time_without_reads_does_not_count() -> None:
    detector, partition = StuckPartitionDetector(), _partition()
    assert _stuck_at(detector, partition, 50, range(100, 119)) == []
    assert not any(detector.stuck({0: partition}, {0: 50}, ReadStats(118.0)) for _ in range(100))


def test_partition_at_its_end_is_not_stuck() -> None:
    detector = StuckPartitionDetector()
    assert _stuck_at(detector, _partition(), 10, range(100, 200)) == []
    assert not detector.is_behind(0)
    assert detector.stuck({0: _partition()}, {}, ReadStats(200.0)) == []


def test_one_missing_offset_may_be_the_end_of_a_transaction() -> None:
    assert _stuck_at(StuckPartitionDetector(), _partition(), 11, range(100, 200)) == []


def test_offsets_before_a_reported_end_do_not_count_until_the_log_grows() -> None:
    detector, partition = StuckPartitionDetector(), _partition()
    assert _stuck_at(detector, partition, 20, range(100, 110)) == []
    partition.eof_position, partition.eof_count = 10, 1
    assert _stuck_at(detector, partition, 20, range(110, 200)) == []
    assert _stuck_at(detector, partition, 21, range(200, 225)) == [220]


def test_reloaded_partition_with_an_immediate_end_is_not_reloaded_again() -> None:
    detector = StuckPartitionDetector()
    assert _stuck_at(detector, _partition(), 20, range(100, 125)) == [120]
    detector.forget(0)
    successor = _partition()
    successor.eof_position, successor.eof_count = 10, 1
    assert _stuck_at(detector, successor, 20, range(125, 300)) == []


def test_reloaded_partition_gets_its_own_patience() -> None:
    detector = StuckPartitionDetector()
    assert _stuck_at(detector, _partition(), 50, range(100, 119)) == []
    assert _stuck_at(detector, _partition(), 50, range(119, 139)) == []


def test_without_unfilled_reads_a_partition_is_stuck_after_a_full_queue() -> None:
    detector = StuckPartitionDetector()
    partitions = {number: _partition() for number in range(4)}
    ends = dict.fromkeys(partitions, 10**9)
    found: dict[int, list[int]] = {}
    for thousands in range(0, 1_100, 50):
        for number in (0, 1, 2):
            partitions[number].position += 1
        found[thousands] = detector.stuck(partitions, ends, ReadStats(records=thousands * 1_000))
    assert 5 * QUEUED_RECORDS == 500_000
    assert {thousands: seen for thousands, seen in found.items() if seen} == {500: [3], 1_000: [3]}

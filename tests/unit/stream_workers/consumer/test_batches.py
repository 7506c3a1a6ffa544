from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import pytest
from confluent_kafka import KafkaError, Message

from stream_workers.consumer.assigned_partition import AssignedPartition
from stream_workers.consumer.batches import split_by_partition
from stream_workers.consumer.dlq_limit import DlqLimit
from tests.support.builders import NOON_MS, a_status


@dataclass
class Received:
    """What the client hands over: a record, or word of something else."""

    place: int
    at: int
    problem: int | None = None
    epoch: int | None = None

    def partition(self) -> int:
        return self.place

    def offset(self) -> int:
        return self.at

    def error(self) -> KafkaError | None:
        return None if self.problem is None else KafkaError(self.problem)

    def timestamp(self) -> tuple[int, int]:
        return 1, NOON_MS

    def key(self) -> bytes:
        return b"k"

    def headers(self) -> None:
        return None

    def leader_epoch(self) -> int | None:
        return self.epoch

    def value(self) -> bytes:
        return b"v"


@pytest.fixture
def held() -> dict[int, AssignedPartition]:
    return {}


def hold(partitions: dict[int, AssignedPartition], partition: int, position: int) -> AssignedPartition:
    held = AssignedPartition(a_status(position, partition=partition), position, DlqLimit(run_limit=9, share_limit=0.5))
    partitions[partition] = held
    return held


def cut_of(held: dict[int, AssignedPartition], received: Sequence[Received]) -> list[tuple[int, int, int, list[int]]]:
    parts = split_by_partition(cast("Sequence[Message]", received), held, lambda _error, _message: None).parts
    return [
        (part.partition.status.partition, part.from_offset, part.to_offset, [record.offset for record in part.records])
        for part in parts
    ]


def test_read_is_split_by_partition_into_consecutive_batches(held: dict[int, AssignedPartition]) -> None:
    hold(held, 0, 5)
    hold(held, 1, 0)
    assert cut_of(held, [Received(0, 5), Received(1, 0), Received(0, 6)]) == [(0, 5, 7, [5, 6]), (1, 0, 1, [0])]
    assert cut_of(held, [Received(0, 7)]) == [(0, 7, 8, [7])]


def test_gaps_of_compaction_or_transactions_are_skipped(held: dict[int, AssignedPartition]) -> None:
    hold(held, 0, 5)
    assert cut_of(held, [Received(0, 9), Received(0, 12)]) == [(0, 5, 13, [9, 12])]


def test_record_returned_twice_is_used_once(held: dict[int, AssignedPartition]) -> None:
    """Seen after a seek on a broker fresh from its start: all of a partition twice within one read."""
    hold(held, 0, 0)
    assert cut_of(held, [Received(0, 0), Received(0, 1), Received(0, 0), Received(0, 1)]) == [(0, 0, 2, [0, 1])]
    assert cut_of(held, [Received(0, 1)]) == []


def test_records_of_unassigned_partitions_are_dropped(held: dict[int, AssignedPartition]) -> None:
    hold(held, 0, 0).released = True
    assert cut_of(held, [Received(0, 0), Received(3, 0)]) == []


def test_end_of_partition_is_noted_unless_records_follow(held: dict[int, AssignedPartition]) -> None:
    place = hold(held, 0, 0)
    cut_of(held, [Received(0, 0), Received(0, 1, KafkaError._PARTITION_EOF)])
    assert place.eof_position == 1
    cut_of(held, [Received(0, 1), Received(0, 2, KafkaError._PARTITION_EOF), Received(0, 2)])
    assert place.eof_position != place.position, "a record came after the word of the end"


@pytest.mark.parametrize(("epochs", "last"), [([4, 4], 4), ([4, 5], 5), ([4, None], -1), ([None, None], -1)])
def test_batch_holds_the_epoch_of_its_last_record(
    held: dict[int, AssignedPartition], epochs: list[int | None], last: int
) -> None:
    place = hold(held, 0, 5)
    received = [Received(0, 5 + number, epoch=epoch) for number, epoch in enumerate(epochs)]
    [part] = split_by_partition(cast("Sequence[Message]", received), held, lambda _error, _message: None).parts
    assert (part.epoch, place.epoch) == (last, last)

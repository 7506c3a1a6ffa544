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
    """What the client returns: a record, or an error."""

    partition_number: int
    at: int
    problem: int | None = None
    epoch: int | None = None

    def partition(self) -> int:
        return self.partition_number

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
def assigned() -> dict[int, AssignedPartition]:
    return {}


def assign(partitions: dict[int, AssignedPartition], partition: int, position: int) -> AssignedPartition:
    assigned = AssignedPartition(
        a_status(position, partition=partition), position, DlqLimit(run_limit=9, share_limit=0.5)
    )
    partitions[partition] = assigned
    return assigned


def split(
    assigned: dict[int, AssignedPartition], received: Sequence[Received]
) -> list[tuple[int, int, int, list[int]]]:
    parts = split_by_partition(cast("Sequence[Message]", received), assigned, lambda _error, _message: None).parts
    return [
        (part.partition.status.partition, part.from_offset, part.to_offset, [record.offset for record in part.records])
        for part in parts
    ]


def test_read_is_split_by_partition_into_consecutive_batches(assigned: dict[int, AssignedPartition]) -> None:
    assign(assigned, 0, 5)
    assign(assigned, 1, 0)
    assert split(assigned, [Received(0, 5), Received(1, 0), Received(0, 6)]) == [(0, 5, 7, [5, 6]), (1, 0, 1, [0])]
    assert split(assigned, [Received(0, 7)]) == [(0, 7, 8, [7])]


def test_gaps_of_compaction_or_transactions_are_skipped(assigned: dict[int, AssignedPartition]) -> None:
    assign(assigned, 0, 5)
    assert split(assigned, [Received(0, 9), Received(0, 12)]) == [(0, 5, 13, [9, 12])]


def test_record_returned_twice_is_used_once(assigned: dict[int, AssignedPartition]) -> None:
    """Seen after a seek on a fresh broker: all of a partition twice within one read."""
    assign(assigned, 0, 0)
    assert split(assigned, [Received(0, 0), Received(0, 1), Received(0, 0), Received(0, 1)]) == [(0, 0, 2, [0, 1])]
    assert split(assigned, [Received(0, 1)]) == []


def test_records_of_unassigned_partitions_are_dropped(assigned: dict[int, AssignedPartition]) -> None:
    assign(assigned, 0, 0).released = True
    assert split(assigned, [Received(0, 0), Received(3, 0)]) == []


def test_end_of_partition_is_noted_unless_records_follow(assigned: dict[int, AssignedPartition]) -> None:
    partition_number = assign(assigned, 0, 0)
    split(assigned, [Received(0, 0), Received(0, 1, KafkaError._PARTITION_EOF)])
    assert partition_number.eof_position == 1
    split(assigned, [Received(0, 1), Received(0, 2, KafkaError._PARTITION_EOF), Received(0, 2)])
    assert partition_number.eof_position != partition_number.position, "a record came after the reported end"


@pytest.mark.parametrize(("epochs", "last"), [([4, 4], 4), ([4, 5], 5), ([4, None], -1), ([None, None], -1)])
def test_batch_holds_the_epoch_of_its_last_record(
    assigned: dict[int, AssignedPartition], epochs: list[int | None], last: int
) -> None:
    partition_number = assign(assigned, 0, 5)
    received = [Received(0, 5 + number, epoch=epoch) for number, epoch in enumerate(epochs)]
    [part] = split_by_partition(cast("Sequence[Message]", received), assigned, lambda _error, _message: None).parts
    assert (part.epoch, partition_number.epoch) == (last, last)

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from brandpulse.errors import TransientError
from brandpulse.partitions import PartitionStatus
from brandpulse.telemetry import WORKER_METRICS, Telemetry
from stream_workers.guard import InvalidGuard
from stream_workers.held import HeldPartition
from stream_workers.memory_store import MemoryPartitionStore
from stream_workers.reader import PostReader, ReaderConfig
from stream_workers.settings import WorkerSettings
from tests.builders import NOON_MS, a_status


@dataclass
class Received:
    """What the client hands over: a record, or word of something else."""

    place: int
    at: int
    problem: int | None = None

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

    def value(self) -> bytes:
        return b"v"


@pytest.fixture
def reader() -> PostReader:
    """Never connected: only cutting is asked of it."""
    config = ReaderConfig(
        bootstrap_servers="127.0.0.1:1",
        group_id="g",
        topic="posts",
        batch_posts=10,
        batch_wait_seconds=0.1,
        session_timeout_seconds=6,
        idle_after_seconds=3,
        lateness_ms=0,
        invalid_run=10,
        invalid_share=0.5,
        owner="me",
    )

    def take(_batch: Any, _timeout_seconds: float) -> bool:
        return True

    return PostReader(
        config,
        MemoryPartitionStore(),
        take,
        Telemetry(WORKER_METRICS),
        on_other_log=lambda: None,
        wall_ms=lambda: 0,
    )


def hold(reader: PostReader, partition: int, position: int) -> HeldPartition:
    held = HeldPartition(a_status(position, partition=partition), position, InvalidGuard(run_limit=9, share_limit=0.5))
    reader._held[partition] = held
    return held


def cut(reader: PostReader, received: Sequence[Received]) -> list[tuple[int, int, int, list[int]]]:
    parts = reader._cut(list(received)).parts
    return [
        (part.held.status.partition, part.from_offset, part.to_offset, [record.offset for record in part.records])
        for part in parts
    ]


def test_a_read_is_cut_by_partition_and_each_part_follows_on(reader: PostReader) -> None:
    hold(reader, 0, 5)
    hold(reader, 1, 0)
    assert cut(reader, [Received(0, 5), Received(1, 0), Received(0, 6)]) == [(0, 5, 7, [5, 6]), (1, 0, 1, [0])]
    assert cut(reader, [Received(0, 7)]) == [(0, 7, 8, [7])]


def test_gaps_that_compaction_or_transactions_left_are_stepped_over(reader: PostReader) -> None:
    hold(reader, 0, 5)
    assert cut(reader, [Received(0, 9), Received(0, 12)]) == [(0, 5, 13, [9, 12])]


def test_records_that_come_twice_are_taken_once(reader: PostReader) -> None:
    """Seen after a seek on a broker fresh from its start: all of a partition twice within one read."""
    hold(reader, 0, 0)
    assert cut(reader, [Received(0, 0), Received(0, 1), Received(0, 0), Received(0, 1)]) == [(0, 0, 2, [0, 1])]
    assert cut(reader, [Received(0, 1)]) == []


def test_records_of_partitions_that_are_not_held_fall_out(reader: PostReader) -> None:
    hold(reader, 0, 0).gone = True
    assert cut(reader, [Received(0, 0), Received(3, 0)]) == []


def test_the_end_is_noted_where_nothing_follows_it(reader: PostReader) -> None:
    held = hold(reader, 0, 0)
    cut(reader, [Received(0, 0), Received(0, 1, KafkaError._PARTITION_EOF)])
    assert held.ended_at == 1
    cut(reader, [Received(0, 1), Received(0, 2, KafkaError._PARTITION_EOF), Received(0, 2)])
    assert held.ended_at != held.position, "a record came after the word of the end"


class Assignments:
    """Notes where a consumer was told to read; stands before the real one."""

    def __init__(self) -> None:
        self.assigned: list[TopicPartition] = []
        self.sought: list[tuple[int, int]] = []
        self.told: list[list[tuple[int, int]]] = []

    def assign(self, places: list[TopicPartition]) -> None:
        self.assigned = places
        self.told.append([(place.partition, place.offset) for place in places])

    def assignment(self) -> list[TopicPartition]:
        return self.assigned

    def seek(self, place: TopicPartition) -> None:
        self.sought.append((place.partition, place.offset))

    def pause(self, _places: list[TopicPartition]) -> None: ...

    def resume(self, _places: list[TopicPartition]) -> None: ...


def test_a_partition_is_assigned_only_where_its_state_says(reader: PostReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Assigned at the log's end and sought from there, 18 of 86 began at the end: librdkafka had asked for it late."""
    consumer = Assignments()
    states = {0: a_status(70), 1: a_status(0, partition=1)}

    def load(_reader: PostReader, partition: int) -> PartitionStatus:
        if partition not in states:
            raise TransientError("Redis is away")
        return states[partition]

    monkeypatch.setattr(reader, "_consumer", consumer)
    monkeypatch.setattr(PostReader, "_load", load)
    reader._assigned(cast("Consumer", consumer), [TopicPartition("posts", partition) for partition in range(3)])
    reader._load_pending()
    reader._held[0].position = 75
    states[2] = a_status(9, partition=2)
    reader._pending[2] = 0.0
    reader._load_pending()
    assert consumer.told == [[], [(0, 70), (1, 0)], [(0, 75), (1, 0), (2, 9)]]
    assert consumer.sought == []


def test_a_partition_that_loads_anew_is_sought_and_a_stuck_one_is_assigned_anew(
    reader: PostReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = Assignments()
    monkeypatch.setattr(reader, "_consumer", consumer)
    monkeypatch.setattr(PostReader, "_load", lambda _reader, partition: a_status(5, partition=partition))
    reader._assigned(cast("Consumer", consumer), [TopicPartition("posts", partition) for partition in range(2)])
    reader._load_pending()
    reader.reset(reader._held[1], "refused")
    reader._obey()
    reader._load_pending()
    assert (consumer.told[-1], consumer.sought) == ([(0, 5), (1, 5)], [(1, 5)])
    cut(reader, [Received(1, 5, KafkaError._AUTO_OFFSET_RESET)])
    reader._obey()
    reader._held[0].position = 8
    reader._load_pending()
    assert (consumer.told[-1], consumer.sought) == ([(0, 8), (1, 5)], [(1, 5)])


def test_an_offset_out_of_range_loads_the_partition_anew(reader: PostReader) -> None:
    held = hold(reader, 0, 7)
    cut(reader, [Received(0, 7, KafkaError._AUTO_OFFSET_RESET)])
    assert held.gone


def test_a_dead_worker_is_noticed_as_soon_as_a_broker_with_its_defaults_allows() -> None:
    settings = WorkerSettings()
    assert (settings.group_protocol, settings.session_timeout_seconds) == ("classic", 6)

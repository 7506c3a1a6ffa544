from collections.abc import Callable
from typing import Any, cast

from confluent_kafka import Consumer, TopicPartition

from brandpulse.errors import TransientError
from brandpulse.runtime.metric_definitions import WORKER_METRICS
from brandpulse.runtime.metrics import Telemetry
from brandpulse.state.partition_state import PartitionStatus
from stream_workers.consumer.broker_liveness import BrokerLiveness
from stream_workers.consumer.dlq_limit import DlqLimit
from stream_workers.consumer.partition_assignment import PartitionAssignment
from stream_workers.consumer.status_reporter import StatusReporter
from stream_workers.state_store.memory_store import MemoryPartitionStore
from tests.support.builders import a_status


class Assignments:
    """Replaces the real consumer and records where it reads."""

    def __init__(self) -> None:
        self.assigned: list[TopicPartition] = []
        self.sought: list[tuple[int, int]] = []
        self.assignments: list[list[tuple[int, int]]] = []

    def assign(self, places: list[TopicPartition]) -> None:
        self.assigned = places
        self.assignments.append([(place.partition, place.offset) for place in places])

    def assignment(self) -> list[TopicPartition]:
        return self.assigned

    def seek(self, place: TopicPartition) -> None:
        self.sought.append((place.partition, place.offset))

    def pause(self, _places: list[TopicPartition]) -> None: ...

    def resume(self, _places: list[TopicPartition]) -> None: ...


def ownership(consumer: Assignments, load: Callable[[int, bool], PartitionStatus]) -> PartitionAssignment:
    store, telemetry = MemoryPartitionStore(), Telemetry(WORKER_METRICS)
    asked: Any = consumer
    signs = StatusReporter(
        asked,
        store,
        telemetry,
        BrokerLiveness(lambda _partitions, _seconds: {}),
        topic="posts",
        idle_after_seconds=3,
        wall_ms=lambda: 0,
        on_state_moved=lambda _held, _reason: None,
        on_stuck=lambda _partition, _reason: None,
    )
    return PartitionAssignment(
        asked,
        store,
        telemetry,
        signs,
        topic="posts",
        load=load,
        new_dlq_limit=lambda: DlqLimit(run_limit=9, share_limit=0.5),
        incremental=False,
    )


def give(assignment: PartitionAssignment, consumer: Assignments, partitions: int) -> None:
    assignment.on_assigned(
        cast("Consumer", consumer), [TopicPartition("posts", partition) for partition in range(partitions)]
    )
    assignment.load_pending()


def test_partition_is_assigned_at_its_stored_offset() -> None:
    """Assigned at the log's end and sought from there, 18 of 86 began at the end: librdkafka had asked for it late."""
    consumer = Assignments()
    states = {0: a_status(70), 1: a_status(0, partition=1)}

    def load(partition: int, _stuck: bool) -> PartitionStatus:
        if partition not in states:
            raise TransientError("Redis is away")
        return states[partition]

    assignment = ownership(consumer, load)
    give(assignment, consumer, 3)
    assert consumer.assignments == [[], [(0, 70), (1, 0)]]
    assert assignment.pending == 1, "the state of the third is not loaded yet"
    assignment.active[0].position = 75
    states[2] = a_status(9, partition=2)
    assignment._pending[2] = 0.0
    assignment.load_pending()
    assert consumer.assignments[-1] == [(0, 75), (1, 0), (2, 9)]
    assert consumer.sought == []


def test_reloaded_partition_is_sought_and_out_of_range_one_reassigned() -> None:
    consumer = Assignments()
    stuck_at_load = []

    def load(partition: int, stuck: bool) -> PartitionStatus:
        stuck_at_load.append(stuck)
        return a_status(5, partition=partition)

    assignment = ownership(consumer, load)
    give(assignment, consumer, 2)
    assignment.reset(assignment.active[1], "refused")
    assignment.process_requests()
    assignment.load_pending()
    assert (consumer.assignments[-1], consumer.sought) == ([(0, 5), (1, 5)], [(1, 5)])
    assignment.reload_out_of_range(1, "offset out of range")
    assignment.process_requests()
    assignment.active[0].position = 8
    assignment.load_pending()
    assert (consumer.assignments[-1], consumer.sought) == ([(0, 8), (1, 5)], [(1, 5)])
    assert stuck_at_load == [False, False, False, True], "the log may not be the one that was read"


def test_partition_is_released_when_it_reloads_or_is_revoked() -> None:
    consumer = Assignments()
    assignment = ownership(consumer, lambda partition, _stuck: a_status(5, partition=partition))
    give(assignment, consumer, 2)
    first, second = assignment.active[0], assignment.active[1]
    assignment.reset(first, "refused")
    assignment.on_revoked(cast("Consumer", consumer), [TopicPartition("posts", 1)])
    assignment.process_requests()
    assert first.released and second.released and not assignment.active

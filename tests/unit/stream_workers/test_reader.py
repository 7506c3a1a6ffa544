from typing import Any

import pytest
from confluent_kafka import KafkaError

from brandpulse.telemetry import WORKER_METRICS, Telemetry
from stream_workers.guard import InvalidGuard
from stream_workers.held import HeldPartition
from stream_workers.memory_store import MemoryPartitionStore
from stream_workers.reader import PostReader, ReaderConfig
from stream_workers.settings import WorkerSettings
from tests.builders import a_status


@pytest.fixture
def reader() -> PostReader:
    """Never connected: only what it does about errors is asked of it."""
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


class OutOfRange:
    """What the client hands over when a fetcher gives up."""

    def partition(self) -> int:
        return 0


def test_an_offset_out_of_range_loads_the_partition_anew(reader: PostReader) -> None:
    held = HeldPartition(a_status(7), 7, InvalidGuard(run_limit=9, share_limit=0.5))
    reader._owned.held[0] = held
    message: Any = OutOfRange()
    reader._take_error(KafkaError(KafkaError._AUTO_OFFSET_RESET), message)
    assert held.gone


def test_a_dead_worker_is_noticed_as_soon_as_a_broker_with_its_defaults_allows() -> None:
    settings = WorkerSettings()
    assert (settings.group_protocol, settings.session_timeout_seconds) == ("classic", 6)

from typing import Any

import pytest
from confluent_kafka import KafkaError

from brandpulse.telemetry import WORKER_METRICS, Telemetry
from stream_workers.guard import InvalidGuard
from stream_workers.held import HeldPartition
from stream_workers.memory_store import MemoryPartitionStore
from stream_workers.reader import PostReader
from stream_workers.settings import WorkerSettings
from tests.builders import a_reader_config, a_status


@pytest.fixture
def reader() -> PostReader:
    """Never connected: only what it does about errors is asked of it."""

    def take(_batch: Any, _timeout_seconds: float) -> bool:
        return True

    return PostReader(
        a_reader_config(),
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

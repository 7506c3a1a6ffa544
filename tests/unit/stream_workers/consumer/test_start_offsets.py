from typing import Any, cast

import pytest

from brandpulse.errors import TransientError
from brandpulse.runtime.metric_definitions import WORKER_METRICS
from brandpulse.runtime.metrics import Telemetry
from stream_workers.consumer import start_offsets
from stream_workers.consumer.log_identity import CommonPrefix, LogExtent
from stream_workers.consumer.start_offsets import StartOffsetResolver
from stream_workers.state_store.memory_store import MemoryPartitionStore
from tests.support.builders import a_status


def _start_offsets(store: MemoryPartitionStore, telemetry: Telemetry) -> StartOffsetResolver:
    """Never connected."""
    return StartOffsetResolver(
        cast(Any, None),
        store,
        telemetry,
        bootstrap_servers="127.0.0.1:1",
        topic="posts",
        start="earliest",
        on_other_log=lambda: None,
    )


def test_admin_client_is_replaced_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def first_waits(admin: object, _topic: str) -> str:
        asked.append(admin)
        if admin is asked[0]:
            raise TransientError("Timed out waiting for controller")
        return "log-1"

    monkeypatch.setattr(start_offsets, "topic_id", first_waits)
    where = _start_offsets(MemoryPartitionStore(), Telemetry(WORKER_METRICS))
    with pytest.raises(TransientError, match="controller"):
        where.topic_id()
    assert where.topic_id() == "log-1"


@pytest.mark.parametrize(
    ("extent", "why"),
    [
        (LogExtent("log-1", 0, 100), None),
        (LogExtent("log-2", 0, 100), "another_log"),
        (LogExtent("log-1", 60, 100), "retention"),
        (LogExtent("log-1", 0, 100, CommonPrefix(30)), "cut"),
        (LogExtent("log-1", 0, 30, CommonPrefix(None)), "cut"),
    ],
    ids=["all there", "recreated", "its start is gone", "its end was lost", "its end was lost, at an unknown offset"],
)
def test_each_log_break_is_counted_by_its_reason(
    monkeypatch: pytest.MonkeyPatch, extent: LogExtent, why: str | None
) -> None:
    store, telemetry = MemoryPartitionStore(), Telemetry(WORKER_METRICS)
    store.rebase(None, a_status(40))
    where = _start_offsets(store, telemetry)
    monkeypatch.setattr(where, "_extent", lambda *_, **__: extent)
    where.resolve(0)
    counted = {
        kind: telemetry.registry.get_sample_value("brandpulse_log_breaks_total", {"why": kind})
        for kind in ("another_log", "retention", "cut")
    }
    assert counted == {kind: int(kind == why) for kind in counted}


def test_partition_without_state_counts_no_log_break(monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry = Telemetry(WORKER_METRICS)
    where = _start_offsets(MemoryPartitionStore(), telemetry)
    monkeypatch.setattr(where, "_extent", lambda *_, **__: LogExtent("log-1", 7, 100))
    assert where.resolve(0).next == 7
    assert b'brandpulse_log_breaks_total{why="cut"} 0.0' in telemetry.expose()

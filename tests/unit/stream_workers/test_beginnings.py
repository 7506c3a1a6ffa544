from typing import Any, cast

import pytest

from brandpulse.errors import TransientError
from stream_workers import beginnings
from stream_workers.beginnings import Beginnings
from stream_workers.memory_store import MemoryPartitionStore


def test_a_client_that_waits_for_a_dead_controller_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def first_waits(admin: object, _topic: str) -> str:
        asked.append(admin)
        if admin is asked[0]:
            raise TransientError("Timed out waiting for controller")
        return "log-1"

    monkeypatch.setattr(beginnings, "topic_id", first_waits)
    where = Beginnings(
        cast(Any, None),
        MemoryPartitionStore(),
        bootstrap_servers="127.0.0.1:1",
        topic="posts",
        start="earliest",
        on_other_log=lambda: None,
    )
    with pytest.raises(TransientError, match="controller"):
        where.topic_id()
    assert where.topic_id() == "log-1"

"""The page about a stalled stream describes its partitions."""

from typing import Any

import pytest

from alerting.evaluation.alert_clock import Stall
from alerting.evaluation.stream_health import stall_health
from brandpulse.state.partition_state import PartitionStatus

SEEN_MS = 1_772_420_403_000  # 2026-03-02 03:00:03 UTC


@pytest.mark.parametrize(
    ("changes", "unseen", "sentence"),
    [
        (
            {"lag": 7},
            False,
            "Partition posts:3 does not move (worker host:1), 7 records behind: new posts are not counted.",
        ),
        (
            {"owner": "", "lag": 7},
            True,
            "Partition posts:3 has no worker and is 7 records behind: new posts are not counted.",
        ),
        (
            {},
            True,
            "Partition posts:3: no sign of life from worker host:1 since 2026-03-02 03:00:03 UTC. It is gone, or Kafka "
            "does not respond to it: new posts are not counted.",
        ),
        (
            {"paused": "31 of 40 posts are invalid"},
            False,
            "Partition posts:3 waits for an operator: 31 of 40 posts are invalid",
        ),
    ],
    ids=["stands", "never owned", "unseen", "paused"],
)
def test_the_page_describes_the_stalled_partition(changes: dict[str, Any], unseen: bool, sentence: str) -> None:
    fields: dict[str, Any] = {"owner": "host:1", "seen_wall_ms": SEEN_MS} | changes
    status = PartitionStatus("posts", 3, 100, "t", **fields)
    health = stall_health(Stall("yes", (status,)), (status,) if unseen else ())
    assert health.reason == sentence

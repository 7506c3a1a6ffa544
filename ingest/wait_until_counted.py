"""Waits until the workers have counted what was sent: every partition's `next` has reached the log's end."""

import time
from collections.abc import Callable
from typing import Protocol

from brandpulse.errors import BrandpulseError
from brandpulse.state.partition_state import PartitionStatus
from ingest.topic_reader import LogEnds

POLL_SECONDS = 0.2


class NotCountedError(BrandpulseError):
    """Nobody counts: no partition has moved for a while."""


class Partitions(Protocol):
    """The part of `PaneReader` that is needed here."""

    def partitions(self) -> list[PartitionStatus]: ...


def wait_until_applied(
    ends: LogEnds,
    reader: Partitions,
    *,
    topic: str,
    patience_seconds: float,
    progress: Callable[[int], None],
    should_stop: Callable[[], bool],
) -> bool:
    """True once every partition of *topic* is applied up to *ends*; False when *stopping* says so first.

    *progress* is told how many records are left. Raises NotCountedError when that number has not changed for
    *patience_seconds*, and TransientError when the store does not answer.
    """
    before, since = -1, time.monotonic()
    while not should_stop():
        stands_at = {status.partition: status.next for status in reader.partitions() if status.topic == topic}
        left = sum(max(0, end - stands_at.get(partition, 0)) for partition, end in ends.high.items())
        progress(left)
        if left == 0:
            return True
        if left != before:
            before, since = left, time.monotonic()
        elif time.monotonic() - since > patience_seconds:
            raise NotCountedError(
                f"{left} records wait and nobody counts them; `brandpulse doctor` says why (is a worker running?)"
            )
        time.sleep(POLL_SECONDS)
    return False

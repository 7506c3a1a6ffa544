"""Waits until the workers have counted the sent posts: every partition's `next` has reached the log's end."""

import time
from collections.abc import Callable
from typing import Protocol

from brandpulse.errors import BrandpulseError
from brandpulse.state.partition_state import PartitionStatus
from ingest.topic_reader import LogEnds

POLL_SECONDS = 0.2


class NotCountedError(BrandpulseError):
    """No worker counts: no partition has advanced for a while."""


class Partitions(Protocol):
    """The part of `PaneReader` that this module uses."""

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
    """True once every partition of *topic* is applied up to *ends*; False if *should_stop* returns True first.

    *progress* gets the number of remaining records. Raises NotCountedError if that number has not changed for
    *patience_seconds*, and TransientError if Redis does not answer.
    """
    before, since = -1, time.monotonic()
    while not should_stop():
        applied = {status.partition: status.next for status in reader.partitions() if status.topic == topic}
        left = sum(max(0, end - applied.get(partition, 0)) for partition, end in ends.high.items())
        progress(left)
        if left == 0:
            return True
        if left != before:
            before, since = left, time.monotonic()
        elif time.monotonic() - since > patience_seconds:
            raise NotCountedError(
                f"{left} records are waiting and no worker counts them. Is a worker running? `brandpulse doctor` "
                "reports the cause"
            )
        time.sleep(POLL_SECONDS)
    return False

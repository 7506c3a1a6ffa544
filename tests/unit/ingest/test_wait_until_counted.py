import pytest

from brandpulse.state.partition_state import PartitionStatus
from ingest.topic_reader import LogEnds
from ingest.wait_until_counted import NotCountedError, wait_until_applied
from tests.support.builders import a_status

ENDS = LogEnds(low={0: 0, 1: 0}, high={0: 10, 1: 5})


class MovingPartitions:
    """Advances by *step* at each call."""

    def __init__(self, step: int) -> None:
        self._step = step
        self.looks = 0

    def partitions(self) -> list[PartitionStatus]:
        self.looks += 1
        moved = self.looks * self._step
        return [a_status(min(10, moved)), a_status(min(5, moved), partition=1), a_status(0, topic="another")]


def test_wait_ends_when_every_partition_is_at_its_end() -> None:
    left: list[int] = []
    partitions = MovingPartitions(4)
    counted = wait_until_applied(
        ENDS, partitions, topic="posts", patience_seconds=9, progress=left.append, should_stop=lambda: False
    )
    assert counted
    assert left == [7, 2, 0]


def test_wait_without_progress_raises_not_counted() -> None:
    with pytest.raises(NotCountedError, match=r"15 records are waiting.*doctor"):
        wait_until_applied(
            ENDS,
            MovingPartitions(0),
            topic="posts",
            patience_seconds=0.3,
            progress=lambda _: None,
            should_stop=lambda: False,
        )


def test_wait_ends_when_asked_to_stop() -> None:
    partitions = MovingPartitions(0)
    assert not wait_until_applied(
        ENDS, partitions, topic="posts", patience_seconds=9, progress=lambda _: None, should_stop=lambda: True
    )
    assert partitions.looks == 0

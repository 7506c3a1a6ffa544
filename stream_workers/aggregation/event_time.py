"""Classifies a post by its event time: on time, late, too old, from the future. Pure.

The result depends only on earlier records of the partition, so it is the same however batches are cut.
"""

from dataclasses import dataclass
from enum import Enum

FUTURE_TOLERANCE_MS = 5 * 60_000


class Timeliness(Enum):
    ON_TIME = "on_time"
    LATE = "late"
    TOO_OLD = "too_old"
    FROM_THE_FUTURE = "from_the_future"


# Looking a member up in its class takes as long as the rest of `classify_event_time`.
ON_TIME, LATE, TOO_OLD, FROM_THE_FUTURE = Timeliness


@dataclass(frozen=True, slots=True)
class Retention:
    """How long posts count, in ms of event time."""

    lateness_ms: int
    minutes_ms: int
    hours_ms: int
    authors_ms: int = 3 * 3_600_000


def classify_event_time(event_ms: int, record_ms: int, clock_ms: int, retention: Retention) -> tuple[Timeliness, int]:
    """The timeliness of a post, and the partition's clock after it.

    The clock is the largest min(event time, record time) so far: a wrong date ahead of its record cannot move it past
    the time at which Kafka received the record. Without a record timestamp (-1) only the event time counts.
    """
    if record_ms >= 0 and event_ms > record_ms + FUTURE_TOLERANCE_MS:
        return FROM_THE_FUTURE, clock_ms
    behind = clock_ms - event_ms  # far below 0 while there is no clock
    if behind > retention.hours_ms:
        return TOO_OLD, clock_ms
    moved = event_ms if record_ms < 0 or event_ms < record_ms else record_ms
    return (LATE if behind > retention.lateness_ms else ON_TIME), moved if moved > clock_ms else clock_ms

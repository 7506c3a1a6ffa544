"""Is the log still the one we read? Where to begin in it, and why somewhere else than where we stood. Pure."""

from dataclasses import dataclass, replace
from typing import Literal

from brandpulse.state.partition_state import PartitionStatus


@dataclass(frozen=True, slots=True)
class LogExtent:
    """A partition's log as the broker shows it now; readable offsets are low <= offset < high."""

    topic_id: str
    low: int
    high: int
    common: "Common | None" = None
    """What the broker said when asked whether this is still the log that we read; None: there was no doubt."""


@dataclass(frozen=True, slots=True)
class Common:
    """Up to where the log is the one that we read: our `next`, or less; None: the broker cannot tell."""

    end: int | None


Break = Literal["another_log", "retention", "cut"]
"""What happened to a log that is not read on where we stood."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin. A reason says that the stored state must be moved there first; none that it stands right."""

    status: PartitionStatus
    reason: str = ""
    broke: Break | None = None
    """None of a partition without state, too: nothing was read of it yet."""


def start_of(
    topic: str, partition: int, seen: PartitionStatus | None, log: LogExtent, origin: int | None = None
) -> Start:
    """Begin at `next`, unless the log is another one, or no longer reaches back that far.

    *origin*: where the namespace began to read this log, if that was not its beginning.

    A recreated topic has another id, and so has an embedded broker's that restarted empty. A log that keeps its id can
    lose its end, and be written anew from there: by an unclean election, or a disk that lost its last writes. Panes and
    repeat memory stay in every case.
    """
    if seen is None:
        return _without_state(topic, partition, log, origin)
    if seen.topic_id != log.topic_id:
        reason = f"another log: topic id {log.topic_id}, was {seen.topic_id}"
        moved = replace(seen, next=log.low, epoch=-1, topic_id=log.topic_id, paused="", allowed_until=0)
        return Start(moved, reason, "another_log")
    if seen.next < log.low:
        lost = log.low - seen.next
        reason = f"{lost} offsets lost to retention before {log.low}"
        return Start(replace(seen, next=log.low, epoch=-1, lost=seen.lost + lost), reason, "retention")
    end = seen.next if log.common is None else log.common.end
    if end is None or end < seen.next or log.high < seen.next:
        return _after_a_cut(seen, log, end if end != seen.next else None)
    return Start(seen)


def _without_state(topic: str, partition: int, log: LogExtent, origin: int | None) -> Start:
    if origin is None:
        return Start(PartitionStatus(topic, partition, log.low, log.topic_id), "no state yet: from the log's beginning")
    # Not held against the log's end: the embedded broker lists it too low.
    at = max(origin, log.low)
    reason = f"no state yet: from {at}, where this namespace began; {at - log.low} older records are left out"
    return Start(PartitionStatus(topic, partition, at, log.topic_id), reason)


def _after_a_cut(seen: PartitionStatus, log: LogExtent, end: int | None) -> Start:
    """Begin where the log was cut (*end*); if nobody knows, as far back as every id that was counted is remembered.

    Each counted post took an offset, so the posts in the last N offsets are among the N ids that are remembered.
    """
    gone = f"the log lost its end: we stood at {seen.next}"
    if end is not None:
        at = max(end, log.low)
        reason = f"{gone}, and from {end} on it was written anew; what it lost stays counted"
        epoch, lost = (seen.epoch, seen.lost) if at == end else (-1, seen.lost + at - end)
        return Start(replace(seen, next=at, epoch=epoch, lost=lost, paused="", allowed_until=0), reason, "cut")
    remembered = sum(generation.size for generation in seen.generations)
    at = min(log.high, max(log.low, seen.next - remembered))
    reason = (
        f"{gone}, it ends at {log.high}, and the broker cannot tell where it was cut: read again from {at}, as far "
        "back as ids are remembered"
    )
    return Start(replace(seen, next=at, epoch=-1, paused="", allowed_until=0), reason, "cut")

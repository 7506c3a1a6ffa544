"""Is the log still the one we read? Where to begin in it, and why somewhere else than where we stood. Pure."""

from dataclasses import dataclass, replace

from brandpulse.partitions import PartitionStatus


@dataclass(frozen=True, slots=True)
class LogExtent:
    """A partition's log as the broker shows it now; readable offsets are low <= offset < high."""

    topic_id: str
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin. A reason says that the stored state must be moved there first; none that it stands right."""

    status: PartitionStatus
    reason: str = ""


def start_of(
    topic: str, partition: int, seen: PartitionStatus | None, log: LogExtent, origin: int | None = None
) -> Start:
    """Begin at `next`, unless the log is another one, or no longer reaches back that far.

    *origin*: where the namespace began to read this log, if that was not its beginning.

    A recreated topic has another id; an embedded broker restarted empty has another id too, and a log that ends below
    `next` cannot be the one we read. Panes and repeat memory stay in every case.
    """
    if seen is None and origin is not None:
        # Not held against the log's end: the embedded broker lists it too low.
        at = max(origin, log.low)
        reason = f"no state yet: from {at}, where this namespace began; {at - log.low} older records are left out"
        return Start(PartitionStatus(topic, partition, at, log.topic_id), reason)
    if seen is None:
        return Start(PartitionStatus(topic, partition, log.low, log.topic_id), "no state yet: from the log's beginning")
    if seen.topic_id != log.topic_id:
        reason = f"another log: topic id {log.topic_id}, was {seen.topic_id}"
        return Start(replace(seen, next=log.low, topic_id=log.topic_id, paused="", allowed_until=0), reason)
    if seen.next > log.high:
        reason = f"another log: it ends at {log.high}, we stood at {seen.next}"
        return Start(replace(seen, next=log.low, paused="", allowed_until=0), reason)
    if seen.next < log.low:
        lost = log.low - seen.next
        return Start(
            replace(seen, next=log.low, lost=seen.lost + lost), f"{lost} offsets lost to retention before {log.low}"
        )
    return Start(seen)

"""Decides whether a log is still the one that was read, and where to start in it. Pure."""

from dataclasses import dataclass, replace
from typing import Literal

from brandpulse.state.partition_state import PartitionStatus


@dataclass(frozen=True, slots=True)
class LogExtent:
    """A partition's log as the broker reports it now. Readable offsets are low <= offset < high."""

    topic_id: str
    low: int
    high: int
    common: "CommonPrefix | None" = None
    """The broker's reply whether this is still the log that was read; None: there was no reason to ask."""


@dataclass(frozen=True, slots=True)
class CommonPrefix:
    """Offset up to which the log is the one that was read: at most the stored `next`; None: unknown to the broker."""

    end: int | None


LogBreak = Literal["another_log", "retention", "cut"]
"""Why a log cannot be read on from the stored offset."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where to start. With a reason, the stored state must be moved there first; without one it is correct."""

    status: PartitionStatus
    reason: str = ""
    log_break: LogBreak | None = None
    """Also None for a partition without state: nothing of it was read yet."""


def resolve_start(
    topic: str, partition: int, stored: PartitionStatus | None, log: LogExtent, origin: int | None = None
) -> Start:
    """Start at `next`, unless the log is another one or does not reach back that far.

    *origin*: where the namespace started to read this log, if not at its beginning.

    A recreated topic has another id, and so has the topic of an embedded broker that restarted empty. A log that keeps
    its id can lose its end and be rewritten from there, by an unclean election or a disk that lost its last writes.
    Panes and the dedup window stay in every case.
    """
    if stored is None:
        return _without_state(topic, partition, log, origin)
    if stored.topic_id != log.topic_id:
        reason = f"another log: topic id {log.topic_id}, was {stored.topic_id}"
        moved = replace(stored, next=log.low, epoch=-1, topic_id=log.topic_id, paused="", allowed_until=0)
        return Start(moved, reason, "another_log")
    if stored.next < log.low:
        lost = log.low - stored.next
        reason = f"{lost} offsets lost to retention before {log.low}"
        return Start(replace(stored, next=log.low, epoch=-1, lost=stored.lost + lost), reason, "retention")
    end = stored.next if log.common is None else log.common.end
    if end is None or end < stored.next or log.high < stored.next:
        return _after_cut(stored, log, end if end != stored.next else None)
    return Start(stored)


def _without_state(topic: str, partition: int, log: LogExtent, origin: int | None) -> Start:
    if origin is None:
        return Start(
            PartitionStatus(topic, partition, log.low, log.topic_id), "no state yet: from the start of the log"
        )
    # Not compared to the log's end: the embedded broker reports it too low.
    at = max(origin, log.low)
    reason = f"no state yet: from {at}, where this namespace started; {at - log.low} older records are left out"
    return Start(PartitionStatus(topic, partition, at, log.topic_id), reason)


def _after_cut(stored: PartitionStatus, log: LogExtent, end: int | None) -> Start:
    """Start where the log was cut (*end*); if unknown, as far back as every counted id is remembered.

    Each counted post took an offset, so the posts in the last N offsets are among the N remembered ids.
    """
    cut = f"the log lost its end: the stored offset is {stored.next}"
    if end is not None:
        at = max(end, log.low)
        reason = f"{cut}, and the log was rewritten from {end}; counts of the lost posts stay"
        epoch, lost = (stored.epoch, stored.lost) if at == end else (-1, stored.lost + at - end)
        return Start(replace(stored, next=at, epoch=epoch, lost=lost, paused="", allowed_until=0), reason, "cut")
    remembered = sum(generation.size for generation in stored.generations)
    at = min(log.high, max(log.low, stored.next - remembered))
    reason = (
        f"{cut}, the log ends at {log.high}, and the broker does not know where it was cut: reading again from {at}, "
        "as far back as ids are remembered"
    )
    return Start(replace(stored, next=at, epoch=-1, paused="", allowed_until=0), reason, "cut")

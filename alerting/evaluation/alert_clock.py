"""The alert clock: how far event time has come over all partitions, and whether the stream is stalled or silent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from brandpulse.state.partition_state import NO_CLOCK, PartitionStatus


@dataclass(frozen=True, slots=True)
class ClockPolicy:
    """Wall-clock limits of the stream's own alerts."""

    owner_fresh_ms: int = 30_000
    """An owner with an older last sign of life does not count."""
    stalled_after_ms: int = 120_000
    """A partition that delays the clock and has not moved for this time is stalled."""
    unseen_after_ms: int = 45_000
    """A partition without a sign of life for this time is unseen: its worker is gone, or the broker is."""
    silent_after_ms: int = 30 * 60_000
    """A live stream is silent if its newest post is older than this."""
    live_within_ms: int = 24 * 3_600_000
    """A stream whose newest post is older than this is a replay, not a live stream: it cannot fall silent."""


@dataclass(frozen=True, slots=True)
class AlertClock:
    """How far event time has come, and what delays it."""

    until_ms: int | None
    """No on-time post is expected below this. None: there was no post yet, or a partition's time is unknown."""
    waits_for: tuple[str, ...] = ()
    """Partitions that are not idle: the slowest of them sets the clock."""


def partition_name(status: PartitionStatus) -> str:
    return f"{status.topic}:{status.partition}"


def is_idle(status: PartitionStatus, *, now_ms: int, policy: ClockPolicy) -> bool:
    """A partition is idle if its owner recently reported that it has reached the end of the log."""
    return bool(status.owner) and status.caught_up and now_ms - status.seen_wall_ms <= policy.owner_fresh_ms


def unseen_partitions(
    statuses: Sequence[PartitionStatus], *, now_ms: int, policy: ClockPolicy
) -> tuple[PartitionStatus, ...]:
    """The partitions without a recent sign of life of a worker. A paused partition still has a worker."""
    return tuple(status for status in statuses if now_ms - status.seen_wall_ms > policy.unseen_after_ms)


def alert_clock(statuses: Sequence[PartitionStatus], *, now_ms: int, policy: ClockPolicy) -> AlertClock:
    """The smallest watermark of the partitions that are not idle; if all are idle, the largest, so not beyond the data.

    A partition without an owner, or with lag, delays the clock: its unread posts may contain a rise.
    """
    busy = [status for status in statuses if not is_idle(status, now_ms=now_ms, policy=policy)]
    names = tuple(partition_name(status) for status in busy)
    known = [status.watermark_ms for status in statuses if status.clock_ms != NO_CLOCK]
    if not known or any(status.clock_ms == NO_CLOCK for status in busy):
        return AlertClock(None, names)
    return AlertClock(min((status.watermark_ms for status in busy), default=max(known)), names)


Tristate = Literal["yes", "no", "unknown"]


@dataclass(frozen=True, slots=True)
class Stall:
    """Whether a partition delays the clock without moving. "unknown" changes nothing."""

    stalled: Tristate
    partitions: tuple[PartitionStatus, ...] = ()


class StallDetector:
    """Remembers when each partition last moved. For a new leader, a partition is unknown until it has moved once."""

    def __init__(self, policy: ClockPolicy) -> None:
        self._policy = policy
        self._unchanged_since: dict[str, tuple[int, int, bool]] = {}

    def check(self, statuses: Sequence[PartitionStatus], *, now_ms: int) -> Stall:
        """A partition is stalled if it is not idle and its `next` has not changed for too long."""
        stalled, unsure = [], False
        for status in statuses:
            name = partition_name(status)
            idle = is_idle(status, now_ms=now_ms, policy=self._policy)
            offset, since, known = self._unchanged_since.get(name, (None, now_ms, False))
            if offset is not None and (offset != status.next or idle):
                known, since = True, now_ms
            self._unchanged_since[name] = (status.next, since, known or idle)
            if not idle and now_ms - since >= self._policy.stalled_after_ms:
                stalled.append(status)
            elif not idle and not known:
                unsure = True
        if stalled:
            return Stall("yes", tuple(stalled))
        return Stall("unknown" if unsure else "no")


def stream_silence(statuses: Sequence[PartitionStatus], *, now_ms: int, policy: ClockPolicy) -> Tristate:
    """Whether a live stream is silent: all partitions are read to the end, and the newest post is old."""
    newest = max((status.clock_ms for status in statuses), default=NO_CLOCK)
    age_ms = now_ms - newest
    if newest == NO_CLOCK or age_ms > policy.live_within_ms:
        return "unknown"
    if age_ms < policy.silent_after_ms:
        return "no"
    return "yes" if all(is_idle(status, now_ms=now_ms, policy=policy) for status in statuses) else "unknown"

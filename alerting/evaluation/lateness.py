"""Detects that posts arrive too late for alerts. Workers count late posts; this tests the last half hour."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from alerting.evaluation.alert_clock import Tristate
from brandpulse.state.partition_state import PartitionStatus


@dataclass(frozen=True, slots=True)
class LatenessPolicy:
    """When late posts are an alert."""

    over_ms: int = 30 * 60_000
    """Length of the tested period, by the wall clock."""
    share: float = 0.2
    """Alert if this part of the records was late. Late posts are counted but never page."""
    calm_share: float = 0.1
    """Below it, the alert resolves."""
    min_late: int = 100


@dataclass(frozen=True, slots=True)
class Lateness:
    """The result for the last period."""

    late: int = 0
    records: int = 0
    active: Tristate = "unknown"

    @property
    def reason(self) -> str:
        return (
            f"{self.late} of the last {self.records} records came after their minute was closed. They are counted, but "
            "do not page. A source delivers late, or a backlog is being read."
        )


class LatenessDetector:
    """Remembers the counters of the last period. For a new leader, the result is unknown for half a period."""

    def __init__(self, policy: LatenessPolicy | None = None) -> None:
        self._policy = policy or LatenessPolicy()
        self._seen: deque[tuple[int, int, int]] = deque()
        """Wall clock (ms), late posts and records since the state began, rising; at most one a minute."""

    def check(self, statuses: Sequence[PartitionStatus], *, now_ms: int) -> Lateness:
        policy = self._policy
        late, records = sum(status.late for status in statuses), sum(status.next for status in statuses)
        if self._seen and (late < self._seen[-1][1] or records < self._seen[-1][2]):
            # The counters went back: another log, or another namespace.
            self._seen.clear()
        if not self._seen or now_ms - self._seen[-1][0] >= 60_000:
            self._seen.append((now_ms, late, records))
        while now_ms - self._seen[0][0] > policy.over_ms:
            self._seen.popleft()
        since_ms, late_then, records_then = self._seen[0] if self._seen else (now_ms, late, records)
        found = Lateness(late - late_then, records - records_then)
        if now_ms - since_ms < policy.over_ms // 2 or not found.records:
            return found
        share = found.late / found.records
        if share >= policy.share and found.late >= policy.min_late:
            return Lateness(found.late, found.records, "yes")
        return Lateness(found.late, found.records, "no" if share < policy.calm_share else "unknown")

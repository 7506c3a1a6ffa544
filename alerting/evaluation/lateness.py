"""Do posts come too late to be alerted on? Counted by the workers, judged here over the last half hour."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from alerting.evaluation.alert_clock import Tristate
from brandpulse.state.partition_state import PartitionStatus


@dataclass(frozen=True, slots=True)
class LatenessPolicy:
    """When late posts are an alert of their own."""

    over_ms: int = 30 * 60_000
    """Looked at together, by the wall clock."""
    share: float = 0.2
    """So many of the records read were late: what they say is counted, and pages nobody."""
    calm_share: float = 0.1
    least_late: int = 100


@dataclass(frozen=True, slots=True)
class Lateness:
    """What the last while looked like."""

    late: int = 0
    records: int = 0
    holds: Tristate = "unknown"

    @property
    def reason(self) -> str:
        return (
            f"{self.late} of the last {self.records} records came after their minute was closed: they are counted, and "
            "nobody is paged about them. A source delivers late, or a backlog is being read."
        )


class LatenessDetector:
    """Remembers the counters of the last while. A new leader's watch knows nothing until half of it has passed."""

    def __init__(self, policy: LatenessPolicy | None = None) -> None:
        self._policy = policy or LatenessPolicy()
        self._seen: deque[tuple[int, int, int]] = deque()
        """Wall clock (ms), late posts and records since the state began, rising; at most one a minute."""

    def check(self, statuses: Sequence[PartitionStatus], *, now_ms: int) -> Lateness:
        policy = self._policy
        late, records = sum(status.late for status in statuses), sum(status.next for status in statuses)
        if self._seen and (late < self._seen[-1][1] or records < self._seen[-1][2]):
            # Another log, or another namespace: these counters are not those counters.
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
        if share >= policy.share and found.late >= policy.least_late:
            return Lateness(found.late, found.records, "yes")
        return Lateness(found.late, found.records, "no" if share < policy.calm_share else "unknown")

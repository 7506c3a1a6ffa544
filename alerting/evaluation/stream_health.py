"""Episodes about the stream itself: stalled, silent, late. Times are wall clock, because event time does not move."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from alerting.episodes.lifecycle import ALL_BRANDS, Decision, Memory, OpenEpisode, episode_key, evidence_without_posts
from alerting.evaluation.alert_clock import Stall, Tristate, partition_name
from alerting.evaluation.lateness import Lateness
from brandpulse.schema.episodes import Episode, Severity
from brandpulse.state.partition_state import PartitionStatus

StreamRule = Literal["stream_stalled", "stream_silent", "late_data", "brand_silent"]
_SEVERITY: dict[StreamRule, Severity] = {
    "stream_stalled": "error",
    "stream_silent": "warning",
    "late_data": "warning",
    "brand_silent": "warning",
}


@dataclass(frozen=True, slots=True)
class StreamHealth:
    """The current state of one stream rule, and a sentence about it."""

    rule: StreamRule
    active: Tristate
    reason: str


def stall_health(stall: Stall, unseen: Collection[PartitionStatus] = ()) -> StreamHealth:
    """*unseen*: partitions without a sign of life of a worker."""
    reason = "; ".join(_stall_reason(status, unseen=status in unseen) for status in stall.partitions)
    return StreamHealth("stream_stalled", stall.stalled, reason)


def silence_health(silent: Tristate, *, newest_ms: int | None) -> StreamHealth:
    since = "" if newest_ms is None else f" since {datetime.fromtimestamp(newest_ms / 1_000, UTC):%Y-%m-%d %H:%M} UTC"
    return StreamHealth("stream_silent", silent, f"No post of any brand{since}.")


def lateness_health(lateness: Lateness) -> StreamHealth:
    return StreamHealth("late_data", lateness.active, lateness.reason)


def _stall_reason(status: PartitionStatus, *, unseen: bool) -> str:
    name = f"Partition {partition_name(status)}"
    if not status.owner:
        return f"{name} has no worker and is {status.lag} records behind: new posts are not counted."
    if unseen:
        since = datetime.fromtimestamp(status.seen_wall_ms / 1_000, UTC)
        return (
            f"{name}: no sign of life from worker {status.owner} since {since:%Y-%m-%d %H:%M:%S} UTC. It is gone, or "
            "Kafka does not respond to it: new posts are not counted."
        )
    if status.paused:
        return f"{name} waits for an operator: {status.paused}"
    return f"{name} does not move (worker {status.owner}), {status.lag} records behind: new posts are not counted."


def decide_health(before: OpenEpisode | None, health: StreamHealth, *, now: datetime) -> Decision:
    """The decision about one stream rule: fires once, resolves once; "unknown" changes nothing."""
    if health.active == "unknown":
        return Decision("frozen: no data", after=before)
    evidence = evidence_without_posts(now, now, health.reason or "It moves again.")
    if health.active == "yes":
        if before is not None:
            return Decision("still up", after=before)
        episode = Episode(
            key=episode_key(ALL_BRANDS, health.rule, now),
            brand=ALL_BRANDS,
            rule=health.rule,
            severity=_SEVERITY[health.rule],
            state="firing",
            started_at=now,
            fired_at=now,
            updated_at=now,
            first=evidence,
            peak=evidence,
            latest=evidence,
        )
        return Decision(evidence.reason, "triggered", OpenEpisode(episode, Memory(told_at=now)))
    if before is None:
        return Decision("nothing new")
    again = "Posts arrive in time again." if health.rule == "late_data" else "The stream flows again."
    evidence = evidence.model_copy(update={"reason": again})
    closed = before.episode.model_copy(
        update={"state": "resolved", "resolved_at": now, "updated_at": now, "latest": evidence}
    )
    return Decision(evidence.reason, "resolved", closed=closed)

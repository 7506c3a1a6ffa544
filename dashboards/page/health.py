"""The pipeline's health in plain words, from the last status of each partition. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from brandpulse.state.diagnosis.stream_report import stream_report
from brandpulse.state.live_sources import Period, SourceRecord
from brandpulse.state.partition_state import NO_CLOCK, PartitionStatus
from dashboards.page.live_sources import ShownSource, gap_banners, shown_sources

OWNER_SILENT_MS = 30_000
"""A worker reports each of its partitions every few seconds. After this long without a report it counts as gone."""

State = Literal["caught_up", "reading", "behind", "unowned", "paused"]
Verdict = Literal["waiting", "fine", "behind", "bad"]


class PartitionHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One partition as the page shows it. Times are event time."""

    topic: str
    partition: int
    next: int
    lag: int
    watermark_ms: int | None
    owner: str
    caught_up: bool
    paused: str
    state: State
    words: str


class AlerterHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an alerter evaluates rules and sends notifications."""

    leading: bool
    evaluated_until_ms: int | None
    pending: int
    quarantined: int


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The page's pipeline section. Counters are posts since the namespace was created, over all partitions."""

    verdict: Verdict
    sentence: str
    partitions: list[PartitionHealth]
    late: int
    repeated: int
    dead: int
    unmatched: int
    unread: int
    lost: int
    alerter: AlerterHealth
    banners: list[str]
    """Which posts of the newest hour are missing from counts or alerts, and why."""
    notes: list[str]
    """Other unusual facts about these posts."""
    doubtful: bool
    """So many posts are missing that a brand without episodes may still have a problem."""
    unread_sources: list[str]
    """Live sources that are not read now."""
    sources: list[ShownSource]


def health(
    partitions: list[PartitionStatus],
    alerter: AlerterHealth,
    *,
    now_ms: int,
    sources: Mapping[str, SourceRecord] | None = None,
    gaps: Sequence[Period] = (),
) -> Health:
    """*now_ms* is wall-clock time, like the workers' status reports. *gaps*: periods that *sources* did not read."""
    now = datetime.fromtimestamp(now_ms / 1_000, UTC)
    shown = [partition_health(status, now_ms=now_ms) for status in partitions]
    verdict, sentence = overall(shown)
    report = stream_report(partitions)
    if verdict == "fine" and report.is_doubtful:
        verdict = "behind"
        sentence = "All partitions are caught up, but many posts are not counted or arrive too late for alerting."
    return Health(
        verdict=verdict,
        sentence=sentence,
        partitions=shown,
        late=sum(status.late for status in partitions),
        repeated=sum(status.repeated for status in partitions),
        dead=sum(status.dead for status in partitions),
        unmatched=sum(status.unmatched for status in partitions),
        unread=sum(status.unread for status in partitions),
        banners=[*gap_banners(gaps, now=now), *report.banners(now_ms)],
        notes=report.notes(now_ms),
        doubtful=report.is_doubtful,
        unread_sources=[gap.source for gap in gaps if gap.state == "away"],
        sources=shown_sources(sources or {}, gaps, now=now),
        lost=sum(status.lost for status in partitions),
        alerter=alerter,
    )


def partition_health(status: PartitionStatus, *, now_ms: int) -> PartitionHealth:
    state, words = _state(status, now_ms)
    return PartitionHealth(
        topic=status.topic,
        partition=status.partition,
        next=status.next,
        lag=status.lag,
        watermark_ms=None if status.clock_ms == NO_CLOCK else status.watermark_ms,
        owner=status.owner,
        caught_up=status.caught_up,
        paused=status.paused,
        state=state,
        words=words,
    )


def overall(partitions: list[PartitionHealth]) -> tuple[Verdict, str]:
    """Verdict and sentence over all partitions; the worst partition decides."""
    if not partitions:
        return "waiting", "No worker has started in this namespace yet: start one with `brandpulse worker`."
    paused = [p for p in partitions if p.state == "paused"]
    if paused:
        # The reason that the worker stores usually names the cause and the remedy.
        reason = paused[0].paused
        remedy = reason if "`brandpulse" in reason else "see `brandpulse dlq list`, then `brandpulse dlq allow`"
        return "bad", f"{_of(paused, partitions)} paused: {remedy}."
    unowned = [p for p in partitions if p.state == "unowned"]
    if unowned:
        remedy = "start `brandpulse worker`; if one runs, see `brandpulse doctor`"
        return "bad", f"{_of(unowned, partitions)} without a worker: {remedy}."
    behind = [p for p in partitions if p.state == "behind"]
    if behind:
        return "behind", f"{sum(p.lag for p in behind):,} posts behind on {_of(behind, partitions)}."
    return "fine", "All posts are counted." if len(partitions) == 1 else f"All {len(partitions)} partitions caught up."


def _of(some: list[PartitionHealth], everything: list[PartitionHealth]) -> str:
    return f"{len(some)} of {len(everything)} partition{'' if len(everything) == 1 else 's'}"


def _state(status: PartitionStatus, now_ms: int) -> tuple[State, str]:
    if status.paused:
        return "paused", f"paused: {status.paused}"
    silent_ms = now_ms - status.seen_wall_ms
    if not status.owner:
        return "unowned", "no worker"
    if silent_ms > OWNER_SILENT_MS:
        minutes = silent_ms // 60_000
        return "unowned", f"no report from its worker for {f'{minutes:,} min' if minutes else '30 s'}"
    if status.caught_up:
        return "caught_up", "caught up"
    if status.lag:
        return "behind", f"{status.lag:,} behind"
    return "reading", "reading"

"""The pipeline's health in plain words, from what each partition's owner last said. Pure."""

from typing import Literal

import msgspec

from brandpulse.state.diagnosis import stream_report
from brandpulse.state.partition_state import NO_CLOCK, PartitionStatus

OWNER_SILENT_MS = 30_000
"""A worker signs each of its partitions every few seconds; silent that long, it is gone."""

State = Literal["caught_up", "reading", "behind", "unowned", "paused"]
Verdict = Literal["waiting", "fine", "behind", "bad"]


class PartitionHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One partition, for a person. Moments are event time."""

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
    """Whether somebody decides and sends."""

    leading: bool
    evaluated_until_ms: int | None
    pending: int
    quarantined: int


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The page's last section. Counters are posts since the beginning, over all partitions."""

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
    """Of the newest hour: which posts are missing from counts or alerts, and why."""
    notes: list[str]
    """What else is unusual about its posts."""
    doubtful: bool
    """So many posts are missing that calm brands mean little."""


def health(partitions: list[PartitionStatus], alerter: AlerterHealth, *, now_ms: int) -> Health:
    """*now_ms* is the wall clock: a worker's signs of life are wall-clock moments."""
    shown = [partition_health(status, now_ms=now_ms) for status in partitions]
    verdict, sentence = judge(shown)
    report = stream_report(partitions)
    if verdict == "fine" and report.is_doubtful:
        verdict = "behind"
        sentence = "All partitions are read to their end, but many posts are not counted, or not alerted on."
    return Health(
        verdict=verdict,
        sentence=sentence,
        partitions=shown,
        late=sum(status.late for status in partitions),
        repeated=sum(status.repeated for status in partitions),
        dead=sum(status.dead for status in partitions),
        unmatched=sum(status.unmatched for status in partitions),
        unread=sum(status.unread for status in partitions),
        banners=report.banners(now_ms),
        notes=report.notes(now_ms),
        doubtful=report.is_doubtful,
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


def judge(partitions: list[PartitionHealth]) -> tuple[Verdict, str]:
    """One sentence over all partitions; the worst one decides."""
    if not partitions:
        return "waiting", "No worker has written here yet: start one with `brandpulse worker`."
    paused = [p for p in partitions if p.state == "paused"]
    if paused:
        wait = "waits" if len(paused) == 1 else "wait"
        # The worker names the cause and what to do.
        why = paused[0].paused
        way_out = why if "`brandpulse" in why else "see `brandpulse dlq list`, then `brandpulse dlq allow`"
        return "bad", f"{_of(paused, partitions)} {wait} for you: {way_out}."
    unowned = [p for p in partitions if p.state == "unowned"]
    if unowned:
        are = "is" if len(unowned) == 1 else "are"
        remedy = "start `brandpulse worker`; if one runs, see `brandpulse doctor`"
        return "bad", f"{_of(unowned, partitions)} {are} read by nobody: {remedy}."
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
        return "unowned", "no worker reads it"
    if silent_ms > OWNER_SILENT_MS:
        minutes = silent_ms // 60_000
        return "unowned", f"no sign of its worker for {f'{minutes:,} min' if minutes else 'half a minute'}"
    if status.caught_up:
        return "caught_up", "caught up"
    if status.lag:
        return "behind", f"{status.lag:,} behind"
    return "reading", "reading"

"""Runs the volume rule over a recorded series: a score for each count, and the surges."""

import csv
import gzip
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast
from zoneinfo import ZoneInfo

from alerting.detection.volume_baseline import HOUR_SECONDS
from alerting.detection.volume_score import VolumeFinding, VolumePolicy, VolumeScorer
from brandpulse.backtest.count_series import Count
from brandpulse.runtime.local_hours import UTC


@dataclass(frozen=True, slots=True)
class ScoredCount:
    """One count and its score."""

    count: Count
    finding: VolumeFinding
    alarm_rate: float | None
    """`VolumeScorer.alarm_rate` after this count."""


@dataclass(frozen=True, slots=True)
class Surge:
    """An onset and its end."""

    onset: ScoredCount
    end: float
    """Seconds since 1970: the last count with a notable score, at most an hour after the one before."""


def score_counts(
    counts: Iterable[Count], *, step_seconds: float, policy: VolumePolicy, zone: ZoneInfo = UTC
) -> Iterator[ScoredCount]:
    """Score each of *counts* from the counts before it. Hours of the day and week are those of *zone*."""
    watch = VolumeScorer(step_seconds, policy, zone=zone)
    for count in counts:
        finding = watch.score(count.at, count.value)
        yield ScoredCount(count, finding, watch.alarm_rate())


def find_surges(scored: Sequence[ScoredCount], policy: VolumePolicy) -> list[Surge]:
    """The surges among *scored*, in order of time."""
    found: list[Surge] = []
    for one in scored:
        at = one.count.at
        if one.finding.onset:
            found.append(Surge(one, at))
        elif found and one.finding.score >= policy.notice and at - found[-1].end <= HOUR_SECONDS:
            found[-1] = Surge(found[-1].onset, at)
    return found


def write_scores(path: Path, scored: Iterable[ScoredCount]) -> None:
    """Write `timestamp,value,anomaly_score` to *path*, gzipped if it ends in `.gz`: completely or not at all."""
    part = path.with_name(path.name + ".part")
    compressed = path.suffix == ".gz"
    with cast("IO[str]", gzip.open(part, "wt", newline="") if compressed else part.open("w", newline="")) as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["timestamp", "value", "anomaly_score"])
        for one in scored:
            rows.writerow([one.count.timestamp, one.count.text, f"{one.finding.onset_score:.6g}"])
    part.replace(path)

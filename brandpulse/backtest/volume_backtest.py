"""The volume rule over a recorded series: a finding for each count, the scores as a file, the onsets as episodes."""

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
class Looked:
    """One count, and what was found when it came."""

    count: Count
    finding: VolumeFinding
    alarm_rate: float | None
    """`VolumeScorer.alarm_rate` at that moment."""


@dataclass(frozen=True, slots=True)
class Surge:
    """An onset, and how long it stood."""

    onset: Looked
    end: float
    """Seconds since 1970. Until an hour passed without a score worth telling, or until the next onset."""


def look_back(
    counts: Iterable[Count], *, step_seconds: float, policy: VolumePolicy, zone: ZoneInfo = UTC
) -> Iterator[Looked]:
    """Each of *counts* in turn, looked at as if it had just come. Hours of day and week are those of *zone*."""
    watch = VolumeScorer(step_seconds, policy, zone=zone)
    for count in counts:
        finding = watch.score(count.at, count.value)
        yield Looked(count, finding, watch.alarm_rate())


def surges(looked: Sequence[Looked], policy: VolumePolicy) -> list[Surge]:
    """The onsets among *looked*, in order of time."""
    found: list[Surge] = []
    for one in looked:
        at = one.count.at
        if one.finding.onset:
            found.append(Surge(one, at))
        elif found and one.finding.score >= policy.notice and at - found[-1].end <= HOUR_SECONDS:
            found[-1] = Surge(found[-1].onset, at)
    return found


def write_scores(path: Path, looked: Iterable[Looked]) -> None:
    """`timestamp,value,anomaly_score` to *path*, gzipped if it ends in `.gz`: whole or not at all."""
    part = path.with_name(path.name + ".part")
    packed = path.suffix == ".gz"
    with cast("IO[str]", gzip.open(part, "wt", newline="") if packed else part.open("w", newline="")) as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["timestamp", "value", "anomaly_score"])
        for one in looked:
            rows.writerow([one.count.timestamp, one.count.text, f"{one.finding.onset_score:.6g}"])
    part.replace(path)

"""`brandpulse bench volume`: score of the volume rule on labelled series, by the Numenta Anomaly Benchmark."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alerting.detection.volume_score import VolumePolicy
from brandpulse.backtest.count_series import Count, read_counts, step_seconds
from brandpulse.backtest.volume_backtest import score_counts
from brandpulse.bench.alerting.nab_score import Labelled, NabScore, best_score, score_at
from brandpulse.bench.alerting.nab_score import leave_one_out as threshold_left_out
from brandpulse.bench.alerting.volume_choice import LabelledCounts, leave_series_out
from brandpulse.errors import ConfigError

if TYPE_CHECKING:
    from brandpulse.runtime.console import Console


def run(folder: Path, *, labels: Path, leave_one_out: bool = False, seed: int = 1) -> None:
    """Print the scores of each series in *folder* that *labels* names (`{"name.csv": [[first, last], ...]}`).

    *leave_one_out*: also score each series with constants chosen without it. *seed*: of the planted surges.
    """
    from rich.table import Table

    from brandpulse.runtime.console import Console

    windows = _windows(labels)
    names = [name for name in windows if _file(folder, name) is not None]
    if len(names) < 2:
        raise ConfigError(f"{folder}: has {len(names)} of the series that {labels} names; at least two are needed")
    series = [_labelled(folder, name, windows[name]) for name in names]
    table = Table("series", "windows", "found", "false rows", "score at 1.0")
    for name, each in zip(names, series, strict=True):
        alone = score_at(1.0, [each])
        table.add_row(name, str(alone.windows), str(alone.found), str(alone.false_rows), f"{alone.score:.1f}")
    console = Console()
    console.print(table)
    console.print(_format("threshold chosen on these series", best_score(series)))
    console.print(_format("each series at the best threshold of the others", threshold_left_out(series)))
    if leave_one_out:
        _choose(console, [_counts(folder, name, windows[name]) for name in names], seed=seed)


def _choose(console: "Console", series: list[LabelledCounts], *, seed: int) -> None:
    def report(line: str) -> None:
        console.print(line, soft_wrap=True)

    found = leave_series_out(series, seed=seed, report=report)
    windows = sum(one.score.windows for one in found)
    pooled = 100 * sum(one.score.gained for one in found) / (2 * windows)
    report(
        f"each series with constants chosen without it (score 1.0, seed {seed}): score {pooled:.2f}, "
        f"{sum(one.score.found for one in found)} of {windows} windows, "
        f"{sum(one.score.false_rows for one in found)} false rows"
    )


def _format(how: str, found: NabScore) -> str:
    return (
        f"{how} ({found.threshold:g}): score {found.score:.2f}, {found.found} of {found.windows} windows, "
        f"{found.false_rows} false rows"
    )


def _windows(labels: Path) -> dict[str, list[tuple[str, str]]]:
    try:
        found: dict[str, Any] = json.loads(labels.read_text(encoding="utf-8"))
        return {name: [(str(first), str(last)) for first, last in spans] for name, spans in found.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ConfigError(f'{labels} has no windows; expected {{"name.csv": [[first, last], ...]}}: {error}') from error


def _file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _labelled(folder: Path, name: str, spans: list[tuple[str, str]]) -> Labelled:
    path = _file(folder, name)
    assert path is not None  # noqa: S101 - `run` checks it
    rows = read_counts(path)
    scored = score_counts(rows, step_seconds=step_seconds(rows), policy=VolumePolicy())
    scores = [one.finding.onset_score for one in scored]
    return Labelled(scores, sorted((_row(rows, first), _row(rows, last)) for first, last in spans))


def _counts(folder: Path, name: str, spans: list[tuple[str, str]]) -> LabelledCounts:
    path = _file(folder, name)
    assert path is not None  # noqa: S101 - `run` checks it
    rows = read_counts(path)
    windows = sorted((_row(rows, first), _row(rows, last)) for first, last in spans)
    at, values = np.array([row.at for row in rows]), np.array([row.value for row in rows])
    return LabelledCounts(name, at, values, step_seconds(rows), windows)


def _row(rows: list[Count], at: str) -> int:
    parsed = datetime.fromisoformat(at)
    seconds = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    for place, row in enumerate(rows):
        if row.at == seconds:
            return place
    raise ConfigError(f"the labels name {at}, but the series has no such row")

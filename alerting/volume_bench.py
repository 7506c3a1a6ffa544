"""`brandpulse bench volume`: the volume rule on labelled series, by the score of the Numenta Anomaly Benchmark."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alerting.counts import Count, read_counts, step_seconds
from alerting.nab import Labelled, NabScore, best_score, leave_one_out, score_at
from alerting.volume import VolumePolicy
from alerting.volume_backtest import look_back
from brandpulse.errors import ConfigError


def run(folder: Path, *, labels: Path) -> None:
    """Print the figures of every series in *folder* that *labels* names (`{"name.csv": [[first, last], ...]}`)."""
    from rich.table import Table

    from brandpulse.console import Console

    windows = _windows(labels)
    names = [name for name in windows if _file(folder, name) is not None]
    if len(names) < 2:
        raise ConfigError(f"{folder}: {len(names)} of the series that {labels} names; two are the least")
    series = [_labelled(folder, name, windows[name]) for name in names]
    table = Table("series", "windows", "found", "false rows", "score at 1.0")
    for name, each in zip(names, series, strict=True):
        alone = score_at(1.0, [each])
        table.add_row(name, str(alone.windows), str(alone.found), str(alone.false_rows), f"{alone.score:.1f}")
    console = Console()
    console.print(table)
    console.print(_said("threshold chosen on these series", best_score(series)))
    console.print(_said("each series at the threshold that suits the others", leave_one_out(series)))


def _said(how: str, found: NabScore) -> str:
    return (
        f"{how} ({found.threshold:g}): score {found.score:.2f}, {found.found} of {found.windows} windows, "
        f"{found.false_rows} false rows"
    )


def _windows(labels: Path) -> dict[str, list[tuple[str, str]]]:
    try:
        found: dict[str, Any] = json.loads(labels.read_text(encoding="utf-8"))
        return {name: [(str(first), str(last)) for first, last in spans] for name, spans in found.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ConfigError(f'{labels} holds no windows such as {{"name.csv": [[first, last], ...]}}: {error}') from error


def _file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _labelled(folder: Path, name: str, spans: list[tuple[str, str]]) -> Labelled:
    path = _file(folder, name)
    assert path is not None  # noqa: S101 - asked before
    rows = read_counts(path)
    looked = look_back(rows, step_seconds=step_seconds(rows), policy=VolumePolicy())
    scores = [one.finding.onset_score for one in looked]
    return Labelled(scores, sorted((_row(rows, first), _row(rows, last)) for first, last in spans))


def _row(rows: list[Count], at: str) -> int:
    moment = datetime.fromisoformat(at)
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    for place, row in enumerate(rows):
        if row.at == seconds:
            return place
    raise ConfigError(f"no row at {at}, which the labels name")

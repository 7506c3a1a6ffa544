"""The table that a preset prints, and the same results as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model.presets.preset import Preset


@dataclass(frozen=True, slots=True)
class Row:
    """One result, from 0 to 1 unless the metric's name states another unit."""

    what: str
    """Task or model."""
    data: str
    n: int
    figure: str
    value: float
    interval: tuple[float, float] | None = None
    """Bootstrap 95 % interval over rows."""


def rows_of(what: str, report: Mapping[str, Any], figures: Mapping[str, str], *, data: str = "") -> list[Row]:
    """The *figures* (key in a report of `model.evaluation.evaluator` -> displayed name) of *report*."""
    return [
        Row(what, data or report["data"], report["n"], name, report[key], _pair(report["ci"].get(key)))
        for key, name in figures.items()
    ]


def _pair(bounds: Sequence[float] | None) -> tuple[float, float] | None:
    return None if bounds is None else (bounds[0], bounds[1])


def show_table(preset: Preset, rows: Sequence[Row], *, json_out: Path | None = None, **facts: object) -> dict[str, Any]:
    """Prints the table and the terms of the data; writes and returns the report."""
    from rich.table import Table

    from brandpulse.runtime.console import Console

    table = Table(title=preset.title)
    for heading in ("task", "data", "rows", "metric", "value", "95 %"):
        number = heading in ("rows", "value", "95 %")
        table.add_column(heading, justify="right" if number else "left", no_wrap=number)
    above = None
    for row in rows:
        interval = f"{row.interval[0]:.3f}-{row.interval[1]:.3f}" if row.interval else ""
        about = (row.what, row.data, f"{row.n:,}")
        table.add_row(*(("", "", "") if about == above else about), row.figure, f"{row.value:.3f}", interval)
        above = about
    console = Console()
    console.print(table)
    for data in preset.data:
        warning = " Weights trained on it may not be redistributed." if preset.recipe and not data.publish else ""
        console.print(f"{data.name}: {data.what}. Terms: {data.terms}.{warning}", highlight=False)
    for note in preset.notes:
        console.print(note, highlight=False)
    report = {"preset": preset.name, "rows": [asdict(row) for row in rows]} | facts
    if json_out is not None:
        json_out.write_text(json.dumps(report, indent=2, default=str) + "\n", encoding="utf-8")
    return report

"""How far two people agree who labelled the same rows: raw agreement and Cohen's kappa, in all and by kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from brandpulse.errors import ConfigError
from model.data.training_examples import LONG_LABELS, numbered_rows
from model.evaluation.bootstrap_metrics import MetricFunction, MetricValues, intervals, point_estimates, text_groups
from model.evaluation.metrics import Labels, Matrix, confusion

if TYPE_CHECKING:
    from rich.table import Table

MIN_KAPPA_ROWS = 20
"""Kinds with fewer rows get raw agreement only."""


@dataclass(frozen=True, slots=True)
class LabelPair:
    """One row and the labels that two people gave to it, in long form."""

    id: str
    text: str
    target: str
    kind: str
    """Empty if the first file has no kinds."""
    first: str
    second: str


def read_label_pairs(first: Path, second: Path, field: str, second_field: str | None = None) -> list[LabelPair]:
    """The rows of *first* with the label that the row of the same `id` has in *second*, in the order of *first*.

    The label is in *field*; in *second* it may be in another, *second_field*, so that one file may hold both labels.
    Rows of *second* need no text.

    Raises ConfigError that names file, line and field of a row without id, label or (in *first*) text, of an id that
    occurs twice, and of ids that only one file has.
    """
    second_field = second_field or field
    rows, others = _by_id(first, field, text=True), _by_id(second, second_field, text=False)
    for path, only in ((second, rows.keys() - others.keys()), (first, others.keys() - rows.keys())):
        if only:
            raise ConfigError(
                f"{path}: rows that the other file has are missing: {len(only)}; id: {', '.join(sorted(only)[:5])}"
            )
    return [
        LabelPair(
            id=number,
            text=row["text"],
            target=str(row.get("target") or ""),
            kind=str(row.get("kind") or ""),
            first=_long(row[field]),
            second=_long(others[number][second_field]),
        )
        for number, row in rows.items()
    ]


def agreement_report(pairs: Sequence[LabelPair], *, seed: int = 13) -> dict[str, Any]:
    """`raw` (share of equal labels), `kappa` (Cohen, 1960) and their bootstrap 95 % intervals `ci` over texts.

    Nested: `labels`, `confusion` (first person by row), `kinds` with the same figures per kind, and `differing` rows.
    """
    labels = sorted({label for pair in pairs for label in (pair.first, pair.second)})
    kinds = dict.fromkeys(pair.kind for pair in pairs if pair.kind)
    return {
        **_figures(pairs, labels, seed=seed),
        "labels": labels,
        "confusion": confusion(*_columns(pairs, labels), size=len(labels)).tolist(),
        "kinds": {
            kind: _figures([pair for pair in pairs if pair.kind == kind], labels, seed=seed) for kind in sorted(kinds)
        },
        "differing": [
            {name: getattr(pair, name) for name in LabelPair.__slots__} for pair in pairs if pair.first != pair.second
        ],
    }


def agreement_table(report: Mapping[str, Any]) -> "Table":
    """One line per kind, and one for all rows."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("kind")
    for heading in ("rows", "agreement", "kappa"):
        table.add_column(heading, justify="right")
    for name, entry in [*report["kinds"].items(), ("all", report)]:
        table.add_row(name, str(entry["n"]), *(_with_interval(entry, figure) for figure in ("raw", "kappa")))
    return table


def _by_id(path: Path, field: str, *, text: bool) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    try:
        for line, row in numbered_rows(path, text=text):
            for name in ("id", field):
                if not (isinstance(row.get(name), str) and row[name].strip()):
                    raise ConfigError(f"{path}, line {line}: {name}: expected a word, got {row.get(name)!r}")
            if row["id"] in found:
                raise ConfigError(f"{path}, line {line}: id: {row['id']!r} occurs twice")
            found[row["id"]] = row
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if not found:
        raise ConfigError(f"{path}: no labelled rows")
    return found


def _figures(pairs: Sequence[LabelPair], labels: Sequence[str], *, seed: int) -> dict[str, Any]:
    measure = _agreement(*_columns(pairs, labels), size=len(labels))
    values = point_estimates(measure, len(pairs))
    bounds = intervals(measure, text_groups([pair.text for pair in pairs]), seed=seed)
    if len(pairs) < MIN_KAPPA_ROWS:
        del values["kappa"], bounds["kappa"]
    rounded = {name: round(value, 4) for name, value in values.items()}
    return {"n": len(pairs), **rounded, "ci": {name: [round(at, 4) for at in both] for name, both in bounds.items()}}


def _agreement(first: Labels, second: Labels, *, size: int) -> MetricFunction:
    cells = np.eye(size * size)[first * size + second]

    def measure(weights: Matrix) -> MetricValues:
        counts = (weights @ cells).reshape(-1, size, size) / weights.sum(axis=1)[:, None, None]
        raw = np.trace(counts, axis1=1, axis2=2)
        chance = (counts.sum(axis=1) * counts.sum(axis=2)).sum(axis=1)
        # Both people gave every row the same single label: they agree, and chance agrees as well.
        kappa = np.where(chance < 1 - 1e-12, (raw - chance) / np.maximum(1 - chance, 1e-12), 1.0)
        return {"raw": raw, "kappa": kappa}

    return measure


def _columns(pairs: Sequence[LabelPair], labels: Sequence[str]) -> tuple[Labels, Labels]:
    first, second = (
        np.array([labels.index(getattr(pair, name)) for pair in pairs], dtype=np.int64) for name in ("first", "second")
    )
    return first, second


def _long(label: str) -> str:
    return LONG_LABELS.get(label.strip(), label.strip())


def _with_interval(entry: Mapping[str, Any], figure: str) -> str:
    if figure not in entry:
        return ""
    low, high = entry["ci"][figure]
    return f"{entry[figure]:.2f} [{low:.2f}, {high:.2f}]"

"""Metrics per subset of a file, such as its kinds of posts or its languages: each, their mean, and the worst."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from model.evaluation.bootstrap_metrics import (
    Groups,
    MetricFunction,
    MetricValues,
    differences,
    intervals,
    point_estimates,
)
from model.evaluation.metrics import Matrix
from model.evaluation.model_answers import Answers

if TYPE_CHECKING:
    from rich.table import Table

_MEAN = ""
"""Name of the mean of the subsets, beside their own names. No subset has an empty name."""
_MACRO = {"recall": "macro_recall", "F1": "macro_f1"}
"""Column of the table -> metric."""
_SHORT_NAME = 8


def subset_report(
    answers: Answers, subsets: Sequence[str], groups: Groups, *, field: str, seed: int = 13
) -> dict[str, Any]:
    """The metrics of `each` subset, their `mean`, in which every subset counts once, and the `worst` by accuracy.

    *subsets* names the subset of each row. `macro_recall` and `macro_f1` are means over the labels that occur in the
    subset (absent if rows have many labels). `constant` is the accuracy of the best constant answer. `ci` are bootstrap
    95 % intervals; that of `worst` does not consider that the subset was chosen for its low accuracy.
    """
    rows = _rows_of(subsets)
    found: dict[str, dict[str, Any]] = {name: {"n": int(of.sum())} for name, of in rows.items()} | {_MEAN: {}}
    for metric, measure in _measures(answers, rows).items():
        points, bounds = point_estimates(measure, len(groups)), intervals(measure, groups, seed=seed)
        for name, entry in found.items():
            entry[metric] = points[name]
            entry.setdefault("ci", {})[metric] = bounds[name]
    constants = {name: _constant_accuracy(answers.rows(of)) for name, of in rows.items()}
    for name, share in constants.items():
        found[name]["constant"] = share
    mean = found.pop(_MEAN) | {"constant": float(np.mean(list(constants.values())))}
    worst = min(found, key=lambda name: float(found[name]["accuracy"]))
    return {"field": field, "mean": mean, "worst": {"name": worst} | found[worst], "each": found}


def subset_differences(
    one: Answers, other: Answers, subsets: Sequence[str], groups: Groups, *, seed: int = 13
) -> dict[str, Any]:
    """[difference, low, high] of the accuracy in `mean` and `each` subset, one minus the other (paired bootstrap)."""
    rows = _rows_of(subsets)
    here, there = (_measures(answers, rows)["accuracy"] for answers in (one, other))
    found = differences(here, there, groups, seed=seed)
    return {"mean": found.pop(_MEAN), "each": found}


def subset_table(report: Mapping[str, Any], against: Mapping[str, Any] | None = None) -> "Table":
    """The `subset_report` as a table, lowest accuracy first; with the `subset_differences` *against* another model.

    With names of up to 22 characters it fits into a terminal of 80 columns. Macro recall and F1 are columns where short
    names, such as languages, leave room for them.
    """
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(report["field"], no_wrap=True)
    short = all(len(name) <= _SHORT_NAME for name in report["each"])
    macro = {name: of for name, of in _MACRO.items() if short and of in report["mean"]}
    headings = ("rows", "accuracy", *macro, "constant")
    for heading in (*headings, *(["difference"] if against else [])):
        table.add_column(heading, justify="right", no_wrap=True)
    each = sorted(report["each"].items(), key=lambda item: float(item[1]["accuracy"]))
    for name, entry in [*each, ("mean", report["mean"])]:
        accuracy = _with_interval(entry["accuracy"], entry["ci"]["accuracy"])
        cells = [
            str(entry.get("n", "")),
            accuracy,
            *(f"{entry[of]:.2f}" for of in macro.values()),
            f"{entry['constant']:.2f}",
        ]
        if against:
            value, *bounds = against["mean"] if entry is report["mean"] else against["each"][name]
            cells.append(_with_interval(value, bounds, sign="+"))
        table.add_row(name, *cells)
    return table


def _with_interval(value: float, bounds: Sequence[float], *, sign: str = "") -> str:
    low, high = bounds
    return f"{value:{sign}.2f} [{low:{sign}.2f}, {high:{sign}.2f}]"


def _rows_of(subsets: Sequence[str]) -> dict[str, npt.NDArray[np.bool_]]:
    """Name -> (n,) rows of the subset, in order of first occurrence."""
    names = np.array(subsets)
    return {name: names == name for name in dict.fromkeys(subsets)}


def _measures(answers: Answers, rows: Mapping[str, npt.NDArray[np.bool_]]) -> dict[str, MetricFunction]:
    """Metric -> its values per subset and their mean."""
    once = np.ones((len(answers.right), 1))
    found = {"accuracy": _by_subset(answers.right[:, None].astype(float), once, rows, occurring=once)}
    if answers.kind != "many":
        gold, predicted = (np.eye(len(answers.labels))[labels] for labels in (answers.gold, answers.predicted))
        right = gold * answers.right[:, None]
        found["macro_recall"] = _by_subset(right, gold, rows, occurring=gold)
        found["macro_f1"] = _by_subset(2 * right, gold + predicted, rows, occurring=gold)
    return found


def _by_subset(
    part: Matrix, whole: Matrix, rows: Mapping[str, npt.NDArray[np.bool_]], *, occurring: Matrix
) -> MetricFunction:
    """The sum of *part* by that of *whole*, averaged over the columns of *occurring* with a 1 in the subset.

    All three are (n, columns).
    """
    columns_of = {name: occurring[of].any(axis=0) for name, of in rows.items()}

    def measure(weights: Matrix) -> MetricValues:
        found = {}
        for name, of in rows.items():
            columns, drawn = columns_of[name], weights[:, of]
            sums = drawn @ part[of][:, columns], drawn @ whole[of][:, columns]
            found[name] = np.asarray((sums[0] / np.maximum(sums[1], 1.0)).mean(axis=1))
        return found | {_MEAN: np.mean(list(found.values()), axis=0)}

    return measure


def _constant_accuracy(answers: Answers) -> float:
    """The share of the most frequent gold answer."""
    _, counts = np.unique(answers.gold, axis=0, return_counts=True)
    return float(counts.max() / len(answers.gold))

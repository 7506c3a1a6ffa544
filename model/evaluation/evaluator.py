"""Evaluates a model on rows with gold labels: the metrics, and the data of the page beside the report."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.data.gold_labels import GoldRows
from model.evaluation.bootstrap_metrics import (
    WINDOW,
    Groups,
    average_precision,
    calibration_gaps,
    intervals,
    metrics_of,
    net_error,
    net_errors,
    point_estimates,
    share_metric,
    text_groups,
)
from model.evaluation.data_slices import slice_rows
from model.evaluation.metrics import Matrix, confusion, f1_scores, precisions, recalls
from model.evaluation.model_answers import Answers, HeadSettings, answers_of, before_temperature, head_probabilities
from model.evaluation.subset_metrics import subset_report
from model.evaluation.target_swaps import CheckResult, swap_checks
from model.inference.scorer import Scorer
from model.inputs.target_marking import mark

Rows = npt.NDArray[np.bool_]

WINDOWS = (50, WINDOW, 1_000)
MIN_SLICE_ROWS = 20
"""Smaller slices are left out of the report."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A report and the data it was computed from."""

    gold: GoldRows
    answers: Answers
    before: Matrix | None
    """The probabilities before calibration; None if the weights have no temperature."""
    report: dict[str, Any]
    """The content of `brandpulse model evaluate --json`."""


def evaluate(
    scorer: Scorer, gold: GoldRows, said: HeadSettings, *, keep_words: bool = False, seed: int = 13
) -> Evaluation:
    """Scores all rows of *gold* with *scorer* and computes the report.

    The report has flat metrics from 0 to 1 (`net_bias` from -2 to 2; null if no row applies) and, nested, `per_class`,
    `confusion` (gold by row; per label if rows have many), `ci` (bootstrap 95 % intervals over texts, not over training
    seeds), `slices` and `net_windows`; `by` if *gold* has subsets. Raises ConfigError if the engine lacks the
    task's head.
    """
    probabilities = head_probabilities(scorer, gold, keep_words=keep_words)
    answers = answers_of(probabilities, gold, said)
    before = None if said.temperature is None else before_temperature(answers, said.temperature)
    groups, parts = text_groups(gold.texts), slice_rows(gold.texts)
    measure = metrics_of(answers, net=gold.head == "sentiment")
    flat: dict[str, float | None] = dict(point_estimates(measure, len(groups)))
    bounds = intervals(measure, groups, seed=seed)
    if before is not None:
        flat["ece_before_temperature"] = _calibration_error(answers.kind, before, answers)
    report: dict[str, Any] = {"task": gold.task, "data": gold.path.name, "n": len(groups)}
    more: dict[str, Any] = {"labels": list(gold.labels), "left_out": gold.left_out}
    if gold.head == "target":
        parts |= _mention_slices(gold)
        checks = swap_checks(scorer, gold, probabilities, answers, keep_words=keep_words, seed=seed)
        flat |= {name: float(check.holds.mean()) if len(check.rows) else None for name, check in checks.items()}
        bounds |= _check_intervals(checks, groups, seed=seed)
        more["target_words"] = "keep" if keep_words else "drop"
    if gold.head == "sentiment":
        more["net_windows"] = net_windows(answers)
    report |= flat | more | {"per_class": _per_class(answers), "confusion": _confusion(answers), "ci": bounds}
    report |= {"slices": _slices(parts, answers, groups, seed=seed), "engine": scorer.name, "version": scorer.version}
    if gold.subsets:
        report["by"] = subset_report(answers, gold.subsets, groups, field=gold.by, seed=seed)
    return Evaluation(gold, answers, before, _rounded(report))


def write_report(report: Mapping[str, Any], path: Path) -> None:
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def net_windows(answers: Answers) -> dict[str, dict[str, float]]:
    """The error of net sentiment, from labels (`hard`) and from probabilities (`soft`).

    `bias`, `rmse_<window size>`, and `bias_<label>`, the bias on posts with that gold label; weighted with the label
    distribution of another stream, these give its expected bias.
    """
    found = {}
    once = np.ones((1, len(answers.gold)))
    for name, soft in (("hard", False), ("soft", True)):
        errors = net_errors(answers, soft=soft)
        found[name] = {"bias": float(errors.mean())}
        for window in WINDOWS:
            found[name][f"rmse_{window}"] = float(net_error(errors, once, window=window)[1][0])
        for at, label in enumerate(answers.labels):
            if (of := answers.gold == at).any():
                found[name][f"bias_{label}"] = float(errors[of].mean())
    return found


def _per_class(answers: Answers) -> dict[str, dict[str, float]]:
    gold, predicted = _by_label(answers, answers.gold), _by_label(answers, answers.predicted)
    once = np.ones((1, len(answers.gold)))
    found = {}
    for at, label in enumerate(answers.labels):
        counts = confusion(gold[:, at], predicted[:, at], size=2)
        found[label] = {
            "precision": float(precisions(counts)[1]),
            "recall": float(recalls(counts)[1]),
            "f1": float(f1_scores(counts)[1]),
            "average_precision": float(average_precision(answers.probabilities[:, at], gold[:, at])(once)[0]),
            "n": int(gold[:, at].sum()),
        }
    return found


def _confusion(answers: Answers) -> list[Any]:
    gold, predicted, size = answers.gold, answers.predicted, len(answers.labels)
    if answers.kind == "many":
        return [confusion(gold[:, at], predicted[:, at], size=2).tolist() for at in range(size)]
    return list(confusion(gold, predicted, size=size).tolist())


def _check_intervals(checks: Mapping[str, CheckResult], groups: Groups, *, seed: int) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    for name, check in checks.items():
        if len(check.rows):
            found |= intervals(share_metric(check.holds, name), groups[check.rows], seed=seed)
    return found


def _mention_slices(gold: GoldRows) -> dict[str, Rows]:
    """Rows by whether their text names their target; the others are read as posts about it."""
    asked = zip(gold.texts, gold.targets, strict=True)
    named = np.array([bool(target) and not mark(text, [target]).absent for text, target in asked])
    given = np.array([bool(target) for target in gold.targets])
    return {"target in the text": named, "target not in the text": given & ~named, "no target": ~given}


def _slices(parts: Mapping[str, Rows], answers: Answers, groups: Groups, *, seed: int) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, rows in parts.items():
        part = answers.rows(rows)
        n = int(rows.sum())
        if n < MIN_SLICE_ROWS:
            continue
        found[name] = {
            "n": n,
            "accuracy": float(part.right.mean()),
            "ci": intervals(share_metric(part.right, "accuracy"), groups[rows], seed=seed)["accuracy"],
        }
        if part.kind != "many":
            counts = confusion(part.gold, part.predicted, size=len(part.labels))
            # Only over labels that occur in the slice.
            found[name]["macro_recall"] = float(recalls(counts)[counts.sum(axis=1) > 0].mean())
    return found


def _by_label(answers: Answers, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(n, labels) of 0 and 1."""
    return values if values.ndim == 2 else np.eye(len(answers.labels), dtype=np.int64)[values]


def _calibration_error(kind: str, probabilities: Matrix, answers: Answers) -> float:
    if kind == "many":
        sure, right = np.maximum(probabilities, 1 - probabilities), (probabilities >= 0.5) == (answers.gold == 1)
    else:
        sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == answers.gold
    return float(np.abs(calibration_gaps(sure.ravel(), right.ravel()).sum(axis=0)).sum() / sure.size)


def _rounded(value: Any) -> Any:
    """*value* with every number rounded to four decimal places."""
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return round(value, 4) if isinstance(value, float) else value

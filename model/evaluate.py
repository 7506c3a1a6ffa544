"""How good a classifier is on posts with gold labels."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model.engine import LABELS, Classifier
from model.labelled import LabelledPost
from model.metrics import (
    Labels,
    Matrix,
    calibration_error,
    confusion,
    f1_scores,
    macro_recall,
    precisions,
    recalls,
    softmax,
)

RESAMPLES = 1_000


def evaluate(
    classifier: Classifier, posts: Sequence[LabelledPost], *, temperature: float | None = None, seed: int = 13
) -> dict[str, Any]:
    """The report on *posts*: n, accuracy, macro_recall, macro_f1, ece, per_class, confusion, ci, engine and version.

    `confusion` has gold classes by row. `ci` holds bootstrap 95 % intervals over posts, not over training seeds. With
    the *temperature* the classifier divides by, `ece_before_temperature` is added. Raises ValueError without posts.
    """
    if not posts:
        raise ValueError("no labelled posts to evaluate on")
    gold: Labels = np.array([post.label for post in posts], dtype=np.int64)
    probabilities = np.asarray(classifier.probabilities([post.text for post in posts]), dtype=np.float64)
    counts = confusion(gold, np.argmax(probabilities, axis=1))
    per_class = zip(LABELS, precisions(counts), recalls(counts), f1_scores(counts), counts.sum(axis=1), strict=True)
    report: dict[str, Any] = {
        "n": len(posts),
        **_summary(probabilities, gold),
        "per_class": {
            label: {"precision": _short(precision), "recall": _short(recall), "f1": _short(f1), "n": int(size)}
            for label, precision, recall, f1, size in per_class
        },
        "confusion": counts.tolist(),
        "ci": intervals(probabilities, gold, seed=seed),
        "engine": classifier.name,
        "version": classifier.version,
    }
    if temperature is not None:
        # Softmax forgets a constant per row, so the logarithms times the temperature are the raw logits to it.
        raw = softmax(np.log(np.maximum(probabilities, 1e-30)) * temperature)
        report["ece_before_temperature"] = _short(calibration_error(raw, gold))
    return report


def intervals(probabilities: Matrix, gold: Labels, *, seed: int, resamples: int = RESAMPLES) -> dict[str, list[float]]:
    """The bootstrap 95 % interval of each summary figure: [low, high]."""
    generator = np.random.default_rng(seed)
    draws = []
    for _ in range(resamples):
        rows = generator.integers(0, len(gold), len(gold))
        draws.append(_summary(probabilities[rows], gold[rows]))
    bounds = {name: np.percentile([draw[name] for draw in draws], [2.5, 97.5]) for name in draws[0]}
    return {name: [_short(low), _short(high)] for name, (low, high) in bounds.items()}


def write_report(report: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _summary(probabilities: Matrix, gold: Labels) -> dict[str, float]:
    predicted = np.argmax(probabilities, axis=1)
    return {
        "accuracy": _short(np.mean(predicted == gold)),
        "macro_recall": _short(macro_recall(gold, predicted)),
        "macro_f1": _short(f1_scores(confusion(gold, predicted)).mean()),
        "ece": _short(calibration_error(probabilities, gold)),
    }


def _short(value: float | np.floating[Any]) -> float:
    return round(float(value), 4)

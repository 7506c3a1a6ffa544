"""The data of the charts of an evaluation."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.evaluation.metrics import Matrix
from model.evaluation.model_answers import Answers

MAX_CURVES = 4
"""With more labels one pooled curve is drawn: 28 lines in one chart are unreadable."""

MAX_POINTS = 250
RELIABILITY_BINS = 15


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a chart."""

    label: str
    x: Matrix
    y: Matrix
    area: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Accuracy and mean confidence of each bin of answers; empty bins are left out."""

    confidence: Matrix
    accuracy: Matrix
    share: Matrix
    """Share of all answers in each bin."""


def roc(answers: Answers) -> list[Curve]:
    """Hits against false alarms, one label against the rest; labels with no rows or all rows are left out."""
    from sklearn.metrics import auc, roc_curve

    curves = []
    for label, gold, scores in _tasks(answers):
        false, true, _ = roc_curve(gold, scores)
        curves.append(Curve(label, *_thin(false, true), float(auc(false, true))))
    return curves


def precision_recall(answers: Answers) -> list[Curve]:
    """Precision against recall for the same labels."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    curves = []
    for label, gold, scores in _tasks(answers):
        precision, recall, _ = precision_recall_curve(gold, scores)
        curves.append(Curve(label, *_thin(recall[::-1], precision[::-1]), float(average_precision_score(gold, scores))))
    return curves


def reliability(answers: Answers, probabilities: Matrix) -> Reliability:
    """For the most probable label of each row, or every label for kind `many`; same bins as the calibration error."""
    if answers.kind == "many":
        sure, right = np.maximum(probabilities, 1 - probabilities), (probabilities >= 0.5) == (answers.gold == 1)
    else:
        sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == answers.gold
    place = np.minimum((sure.ravel() * RELIABILITY_BINS).astype(np.int64), RELIABILITY_BINS - 1)
    counts = np.bincount(place, minlength=RELIABILITY_BINS)
    filled = counts > 0
    sums = [np.bincount(place, weights=values.ravel(), minlength=RELIABILITY_BINS) for values in (sure, right)]
    means = [each[filled] / counts[filled] for each in sums]
    return Reliability(means[0], means[1], counts[filled] / counts.sum())


def _tasks(answers: Answers) -> list[tuple[str, npt.NDArray[np.int64], Matrix]]:
    """(label, whether each row has it, its probability)."""
    if answers.kind == "bit":
        return [("yes", answers.gold, answers.probabilities[:, 1])] if 0 < answers.gold.mean() < 1 else []
    gold = answers.gold if answers.kind == "many" else np.eye(len(answers.labels), dtype=np.int64)[answers.gold]
    if len(answers.labels) > MAX_CURVES:
        return [("all labels, pooled", gold.ravel(), answers.probabilities.ravel())]
    return [
        (label, gold[:, at], answers.probabilities[:, at])
        for at, label in enumerate(answers.labels)
        if 0 < gold[:, at].mean() < 1
    ]


def _thin(x: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
    """At most `MAX_POINTS` of the points, including both ends."""
    chosen = np.unique(np.linspace(0, len(x) - 1, min(len(x), MAX_POINTS)).astype(int))
    return x[chosen], y[chosen]

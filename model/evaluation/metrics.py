"""Metrics of a classifier. Labels are columns (n,), probabilities are (n, classes)."""

import numpy as np
import numpy.typing as npt

from model.inference.probabilities import softmax
from model.spec.heads import SENTIMENT

Labels = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float64]


def confusion(gold: Labels, predicted: Labels, *, size: int = len(SENTIMENT)) -> npt.NDArray[np.int64]:
    """(size, size) counts: gold class by row, predicted class by column."""
    return np.bincount(gold * size + predicted, minlength=size * size).reshape(size, size)


def recalls(counts: npt.NDArray[np.int64]) -> Matrix:
    """(size,): recall of each class; 0 for a class without rows."""
    return np.asarray(np.diag(counts) / np.maximum(counts.sum(axis=1), 1))


def precisions(counts: npt.NDArray[np.int64]) -> Matrix:
    """(size,): precision of each class; 0 for a class that was never predicted."""
    return np.asarray(np.diag(counts) / np.maximum(counts.sum(axis=0), 1))


def f1_scores(counts: npt.NDArray[np.int64]) -> Matrix:
    """(size,): harmonic mean of precision and recall; 0 if both are 0."""
    return np.asarray(2 * np.diag(counts) / np.maximum(counts.sum(axis=0) + counts.sum(axis=1), 1))


def calibration_error(probabilities: npt.NDArray[np.floating], gold: Labels, *, bins: int = 15) -> float:
    """Expected calibration error of the winning class over equal-width bins (Guo et al., 2017), in [0, 1]."""
    confidence = np.max(probabilities, axis=1)
    right = np.argmax(probabilities, axis=1) == gold
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(right[place == at].sum() - confidence[place == at].sum()) for at in range(bins)]
    return float(sum(gaps) / max(len(gold), 1))


def fit_temperature(logits: Matrix, gold: Labels) -> float:
    """The temperature in [0.25, 4] with the lowest negative log-likelihood on *gold*, to about 0.001."""
    low, high = np.log(0.25), np.log(4.0)
    ratio = (np.sqrt(5.0) - 1) / 2
    while high - low > 1e-3:  # golden section: the loss has one minimum in the temperature
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if _loss(logits / np.exp(left), gold) < _loss(logits / np.exp(right), gold):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def _loss(logits: Matrix, gold: Labels) -> float:
    likelihood = softmax(logits)[np.arange(len(gold)), gold]
    return float(-np.log(np.maximum(likelihood, 1e-12)).mean())

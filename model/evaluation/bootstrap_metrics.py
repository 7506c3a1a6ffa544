"""The metrics of an evaluation as functions of row weights: 1 each, or the counts of bootstrap resamples.

One definition serves the metric, its interval and the paired comparison of two models. Weights have shape
(resamples, n), results (resamples,).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from model.evaluation.metrics import Matrix
from model.evaluation.model_answers import Answers

RESAMPLES = 1_000
ECE_BINS = 15
WINDOW = 200
"""Posts per window in which predicted and gold net sentiment are compared."""
IRRELEVANT_PRECISION = 0.8
"""The precision at which recall of the label `irrelevant` is measured."""

MetricValues = dict[str, Matrix]
"""Name -> (resamples,) values."""

MetricFunction = Callable[[Matrix], MetricValues]

Groups = npt.NDArray[np.int64]
"""(n,): rows with the same number have the same text."""

_NET = {"negative": -1.0, "neutral": 0.0, "positive": 1.0}
_RESAMPLES_AT_ONCE = 64
"""Resamples in memory at a time: 64 of 12,000 rows are 6 MB."""


def metrics_of(answers: Answers, *, net: bool) -> MetricFunction:
    """The metrics of *answers*; with *net* including the error of net sentiment in windows.

    If `irrelevant` is a label, also its recall at a precision of 0.8 (of the ranking, whatever the threshold), and the
    share of irrelevant rows that are predicted as negative: these count as complaints and can page.
    """
    if answers.kind == "many":
        return _of_sets(answers)
    features = _one_hot(answers.gold * len(answers.labels) + answers.predicted, len(answers.labels) ** 2)
    gaps = calibration_gaps(answers.probabilities.max(axis=1), answers.probabilities.argmax(axis=1) == answers.gold)
    errors = net_errors(answers) if net else None
    precision = average_precision(answers.probabilities[:, -1], answers.gold)
    of_irrelevant = _of_irrelevant(answers) if {"irrelevant", "negative"} <= set(answers.labels) else None

    def measure(weights: Matrix) -> MetricValues:
        total = weights.sum(axis=1)
        size = len(answers.labels)
        found = _of_confusion((weights @ features).reshape(-1, size, size), total)
        found["ece"] = np.abs(weights @ gaps).sum(axis=1) / total
        if answers.kind == "bit":
            found["average_precision"] = precision(weights)
        else:
            del found["f1"]
        if errors is not None:
            found["net_bias"], found[f"net_rmse_{WINDOW}"] = net_error(errors, weights, window=WINDOW)
        return found if of_irrelevant is None else found | of_irrelevant(weights)

    return measure


def share_metric(holds: npt.NDArray[np.bool_], name: str) -> MetricFunction:
    """The share of rows for which *holds* is true, as a metric with the given *name*."""
    return lambda weights: {name: weights @ holds.astype(float) / weights.sum(axis=1)}


def point_estimates(measure: MetricFunction, n: int) -> dict[str, float]:
    """The metrics with each of n rows counted once."""
    return {name: float(values[0]) for name, values in measure(np.ones((1, n))).items()}


def text_groups(texts: Sequence[str]) -> Groups:
    """(n,): the number of each row's text, from 0."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(text, len(numbers)) for text in texts], dtype=np.int64)


def drawn_metrics(
    measure: MetricFunction, groups: Groups, *, seed: int, resamples: int = RESAMPLES
) -> dict[str, Matrix]:
    """Metric -> (1 + resamples,): its value on all rows, then on each bootstrap resample of the texts.

    Equal *groups* and *seed* give the same resamples, so differences and means of these arrays are paired.
    """
    drawn = _resampled(measure, groups, seed=seed, resamples=resamples)
    return {name: np.append(value, drawn[name]) for name, value in point_estimates(measure, len(groups)).items()}


def estimate(drawn: Matrix) -> tuple[float, float, float]:
    """(value, low, high) of an array of `drawn_metrics`, or of a difference or mean of several."""
    return (float(drawn[0]), *_interval(drawn[1:]))


def intervals(
    measure: MetricFunction, groups: Groups, *, seed: int, resamples: int = RESAMPLES
) -> dict[str, tuple[float, float]]:
    """The bootstrap 95 % interval of each metric. Resamples texts, not rows: copies of a text are not independent."""
    drawn = _resampled(measure, groups, seed=seed, resamples=resamples)
    return {name: _interval(values) for name, values in drawn.items()}


def differences(
    one: MetricFunction, other: MetricFunction, groups: Groups, *, seed: int, resamples: int = RESAMPLES
) -> dict[str, tuple[float, float, float]]:
    """(difference, low, high) of each common metric, one minus the other: paired, over the same resamples."""

    def measure(weights: Matrix) -> MetricValues:
        first, second = one(weights), other(weights)
        return {name: first[name] - second[name] for name in first if name in second}

    drawn = _resampled(measure, groups, seed=seed, resamples=resamples)
    return {name: (value, *_interval(drawn[name])) for name, value in point_estimates(measure, len(groups)).items()}


def calibration_gaps(confidence: Matrix, right: npt.NDArray[np.bool_], *, bins: int = ECE_BINS) -> Matrix:
    """(n, bins): correctness minus confidence of each row, in the column of its confidence bin.

    The expected calibration error (Guo et al., 2017) is the sum of the absolute column sums, divided by n.
    """
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    return _one_hot(place, bins) * (right - confidence)[:, None]


def net_errors(answers: Answers, *, soft: bool = False) -> Matrix:
    """(n,): predicted minus gold net sentiment, from -2 to 2; *soft* uses probabilities instead of labels."""
    scale = np.array([_NET[label] for label in answers.labels])
    said = answers.probabilities @ scale if soft else scale[answers.predicted]
    return np.asarray(said - scale[answers.gold])


def net_error(errors: Matrix, weights: Matrix, *, window: int) -> tuple[Matrix, Matrix]:
    """Bias and root mean square error of net sentiment in windows of *window* random rows.

    The exact expectation over windows drawn with replacement: bias² + variance of one post's error / window size.
    """
    total = weights.sum(axis=1)
    bias = weights @ errors / total
    variance = np.maximum(weights @ errors**2 / total - bias**2, 0.0)
    return bias, np.sqrt(bias**2 + variance / window)


def average_precision(scores: Matrix, gold: npt.NDArray[np.int64]) -> Callable[[Matrix], Matrix]:
    """The area under the precision-recall steps, as a function of weights; answers with equal scores are one step.

    *scores* and *gold* have shape (n,), or (n, labels) to pool all answers. A resample without positives gives 0.
    """
    width = scores.size // max(len(scores), 1)
    order = np.argsort(-scores, axis=None, kind="stable")
    ranked, hit = scores.ravel()[order], gold.ravel()[order] == 1
    group = np.cumsum(np.diff(ranked, prepend=ranked[:1]) != 0)[hit]  # the step of each positive
    steps = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # the last answer of each step
    last = np.searchsorted(group, group, side="right") - 1  # the last positive of each step
    rows = (order // width).astype(np.int64)

    def measure(weights: Matrix) -> Matrix:
        # Answers by row, resamples by column: gathering and summing then use contiguous memory.
        drawn = np.ascontiguousarray(weights.T, dtype=np.float32)
        said = np.cumsum(drawn[rows], axis=0)[steps[group]]
        positive = drawn[rows[hit]]
        hits = np.cumsum(positive, axis=0)
        if not len(hits):
            return np.zeros(len(weights))
        area = (positive * hits[last] / np.maximum(said, 1.0)).sum(axis=0, dtype=float)
        return np.asarray(area / np.maximum(hits[-1], 1.0))

    return measure


def recall_at_precision(scores: Matrix, gold: npt.NDArray[np.bool_], *, precision: float) -> Callable[[Matrix], Matrix]:
    """The highest recall of any threshold whose precision is at least *precision*, as a function of weights.

    *scores* and *gold* have shape (n,). Answers with equal scores are on the same side of every threshold. 0 if no
    threshold is precise enough.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hit = scores[order], gold[order].astype(float)
    steps = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # the last answer of each step

    def measure(weights: Matrix) -> Matrix:
        drawn = weights[:, order]
        said, hits = np.cumsum(drawn, axis=1)[:, steps], np.cumsum(drawn * hit, axis=1)[:, steps]
        precise = (said > 0) & (hits >= precision * said - 1e-9)
        return np.asarray(np.where(precise, _ratio(hits, hits[:, -1:]), 0.0).max(axis=1))

    return measure


def _of_irrelevant(answers: Answers) -> MetricFunction:
    column = answers.labels.index("irrelevant")
    gold = answers.gold == column
    recall = recall_at_precision(answers.probabilities[:, column], gold, precision=IRRELEVANT_PRECISION)
    negative = (gold & (answers.predicted == answers.labels.index("negative"))).astype(float)

    def measure(weights: Matrix) -> MetricValues:
        return {
            "irrelevant_recall_at_precision_80": recall(weights),
            "irrelevant_called_negative": _ratio(weights @ negative, weights @ gold.astype(float)),
        }

    return measure


def _of_confusion(counts: Matrix, total: Matrix) -> MetricValues:
    """*counts* is (resamples, classes, classes), gold by row."""
    hits = np.diagonal(counts, axis1=1, axis2=2)
    gold, said = counts.sum(axis=2), counts.sum(axis=1)
    f1 = _ratio(2 * hits, gold + said)
    return {
        "accuracy": hits.sum(axis=1) / total,
        "macro_recall": _ratio(hits, gold).mean(axis=1),
        "macro_f1": f1.mean(axis=1),
        "f1": f1[:, -1],
    }


def _of_sets(answers: Answers) -> MetricFunction:
    """For rows with many labels. `accuracy`: rows with all labels correct; `ece`: over all (row, label) pairs."""
    gold, said, chances = answers.gold.astype(float), answers.predicted.astype(float), answers.probabilities
    both = gold * said
    right = (chances >= 0.5) == (answers.gold == 1)
    gaps = calibration_gaps(np.maximum(chances, 1 - chances).ravel(), right.ravel())
    gaps = gaps.reshape(*chances.shape, ECE_BINS).sum(axis=1)
    width = len(answers.labels)
    each = [average_precision(chances[:, at], answers.gold[:, at]) for at in range(width)]
    pooled = average_precision(chances, answers.gold)

    def measure(weights: Matrix) -> MetricValues:
        total = weights.sum(axis=1)
        hits, of, found = weights @ both, weights @ gold, weights @ said
        return {
            "accuracy": weights @ answers.right.astype(float) / total,
            "macro_recall": _ratio(hits, of).mean(axis=1),
            "macro_f1": _ratio(2 * hits, of + found).mean(axis=1),
            "micro_f1": _ratio(2 * hits.sum(axis=1), (of + found).sum(axis=1)),
            "ece": np.abs(weights @ gaps).sum(axis=1) / (total * width),
            "macro_average_precision": np.mean([precision(weights) for precision in each], axis=0),
            "micro_average_precision": pooled(weights),
        }

    return measure


def _resampled(measure: MetricFunction, groups: Groups, *, seed: int, resamples: int) -> Mapping[str, Matrix]:
    parts = [measure(weights) for weights in _resample_weights(groups, seed=seed, resamples=resamples)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _resample_weights(groups: Groups, *, seed: int, resamples: int) -> Iterator[Matrix]:
    """How often each row is drawn when texts are drawn with replacement; depends only on *seed* and *groups*."""
    generator = np.random.default_rng(seed)
    texts, numbers = np.unique(groups, return_inverse=True)
    n = len(texts)
    for start in range(0, resamples, _RESAMPLES_AT_ONCE):
        size = min(_RESAMPLES_AT_ONCE, resamples - start)
        drawn = generator.integers(0, n, (size, n)) + np.arange(size)[:, None] * n
        counts = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(float)
        yield counts[:, numbers]


def _interval(values: Matrix) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _ratio(part: Matrix, whole: Matrix) -> Matrix:
    return np.asarray(part / np.maximum(whole, 1.0))


def _one_hot(columns: npt.NDArray[np.int64], width: int) -> Matrix:
    return np.eye(width)[columns]

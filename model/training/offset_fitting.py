"""Chooses a constant for each label of a head, so that rare labels are predicted often enough."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from model.spec.heads import BY_NAME
from model.training.calibration import Floats, SideAnswers

OFFSETS = np.round(np.arange(-1.0, 1.001, 0.1), 1)
"""Candidates, added to the logit of a label."""
_PASSES = 3


def best_offsets(head: str, answers: Mapping[str, SideAnswers]) -> dict[str, float]:
    """Label -> offset of its logit with the highest mean macro recall of *head* over the sets of *answers*.

    *head* is of kind `one`. The most frequent label and labels without a row keep their logits. One label is changed at
    a time, so the result is the best near the logits as they are, not the best of all.
    """
    sets = [(each.logits[head], np.asarray(each.gold[head], dtype=np.int64)) for each in answers.values()]
    counts = np.bincount(np.concatenate([gold for _, gold in sets]), minlength=len(BY_NAME[head].labels))
    offsets = np.zeros(len(counts))
    best = _mean_recall(sets, offsets)
    changeable = [label for label in np.flatnonzero(counts) if label != counts.argmax()]
    for _ in range(_PASSES):
        for label in changeable:
            for value in OFFSETS:
                tried = offsets.copy()
                tried[label] = value
                if (recall := _mean_recall(sets, tried)) > best:
                    best, offsets = recall, tried
    return {BY_NAME[head].labels[label]: float(offsets[label]) for label in np.flatnonzero(offsets)}


def _mean_recall(sets: list[tuple[Floats, npt.NDArray[np.int64]]], offsets: Floats) -> float:
    found = []
    for logits, gold in sets:
        labels = np.unique(gold)
        predicted = labels[(logits + offsets)[:, labels].argmax(axis=1)]
        found.append(np.mean([(predicted[gold == label] == label).mean() for label in labels]))
    return float(np.mean(found))

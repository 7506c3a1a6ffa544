"""Computes temperatures, thresholds and metrics per head from the logits of labelled posts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from model.evaluation.metrics import calibration_error, fit_temperature
from model.inference.probabilities import softmax
from model.spec.heads import BY_NAME, HEADS, Head
from model.training.data.batches import Encoded, collate

if TYPE_CHECKING:
    import torch

    from model.graphs.torch_multihead import MultiHead

Floats = npt.NDArray[np.float64]
Validation = Mapping[str, Sequence[Encoded]]

THRESHOLD_GRID = np.concatenate([np.arange(0.01, 0.1, 0.0025), np.arange(0.1, 0.3, 0.005), np.arange(0.3, 0.981, 0.01)])
"""Candidate thresholds for each label of a head of kind `many`.

Finer at the low end: rare emotions seldom get more than 0.05. A grid of hundredths from 0.02 on gave `realization` to
39 % of the posts of GoEmotions, where 2 % have it.
"""

MAX_OVERUSE = 2.0
"""A label may be predicted at most this many times as often as it occurs.

If a head cannot find a rare label, the best F1 is that of predicting it for many posts (Lipton et al., 2014), and posts
of another source get even more labels. Minilm-brand on halves of GoEmotions' validation posts, thresholds from one half
and figures from the other, mean of six splits; the gold labels are 1.18 per post:

    grid, limit            macro F1  micro F1  labels per post  of SemEval  posts with `realization`
    hundredths, none           .333      .416             2.12        2.46                       39 %
    this one, none             .334      .449             1.82        2.20                       12 %
    this one, 2                .329      .483             1.51        1.64                        4 %
    this one, 1.5              .325      .492             1.39        1.47                        3 %
"""


@dataclass(frozen=True, slots=True)
class SideAnswers:
    """Logits of one side of the network (full depth or exit) on one validation set, and the gold labels."""

    logits: Mapping[str, Floats]
    """Head -> (n, labels); n posts, or for `target` the labelled targets that the text names."""
    gold: Mapping[str, npt.NDArray[np.float64] | npt.NDArray[np.int64]]
    """Head -> (n,) columns, or for kind `many` (n, labels) of 1, 0 and -1 (unknown)."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Turns the logits of one side into probabilities and labels."""

    temperatures: Mapping[str, float]
    thresholds: Mapping[str, Mapping[str, float]]
    """Head of kind `many` -> label -> minimum calibrated probability at which it is predicted."""

    def probabilities(self, name: str, logits: Floats) -> Floats:
        """(n, labels): the calibrated probabilities of the head *name*."""
        logits = logits / self.temperatures[name]
        return softmax(logits) if BY_NAME[name].kind == "one" else 1 / (1 + np.exp(-logits))


def answer_sides(
    model: "MultiHead", rows: Sequence[Encoded], *, batch_size: int = 64
) -> tuple[SideAnswers, SideAnswers]:
    """The answers of the full depth and of the exit on *rows*; the latter are empty without early heads."""
    import torch

    device = next(model.parameters()).device
    order = sorted(range(len(rows)), key=lambda at: len(rows[at].ids))
    sides: tuple[_AnswerCollector, _AnswerCollector] = (_AnswerCollector(), _AnswerCollector())
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            batch = [rows[at] for at in order[start : start + batch_size]]
            logits = model(*(tensor.to(device) for tensor in collate(batch)))
            for collector, tensors in zip(sides, logits, strict=True):
                collector.add(batch, tensors)
    model.train()
    return sides[0].answers(), sides[1].answers()


class _AnswerCollector:
    """Collects the answers with a gold label, head by head, batch by batch."""

    def __init__(self) -> None:
        self._logits: dict[str, list[Floats]] = {}
        self._gold: dict[str, list[npt.NDArray[Any]]] = {}

    def add(self, batch: Sequence[Encoded], tensors: Mapping[str, "torch.Tensor"]) -> None:
        for name, tensor in tensors.items():
            logits = tensor.float().cpu().numpy().astype(np.float64)
            if BY_NAME[name].reads == "mention":
                logits, gold = by_target(logits, batch)
            else:
                known = [at for at, row in enumerate(batch) if name in row.gold]
                logits, gold = logits[known], np.array([batch[at].gold[name] for at in known])
            if len(logits):
                self._logits.setdefault(name, []).append(logits)
                self._gold.setdefault(name, []).append(gold)

    def answers(self) -> SideAnswers:
        return SideAnswers(
            {name: np.concatenate(parts) for name, parts in self._logits.items()},
            {name: np.concatenate(parts) for name, parts in self._gold.items()},
        )


def by_target(logits: Floats, rows: Sequence[Encoded]) -> tuple[Floats, npt.NDArray[np.int64]]:
    """(targets, 4) logits and (targets,) gold labels of each labelled target that its text names.

    Several mentions of a target are averaged.
    """
    means: list[Floats] = []
    gold: list[int] = []
    at = 0
    for row in rows:
        marks = logits[at : at + len(row.places)]
        at += len(row.places)
        for number in sorted(set(row.numbers) - row.absent):
            mine = [place for place, other in enumerate(row.numbers) if other == number]
            if row.mentions[mine[0]] >= 0:
                means.append(marks[mine].mean(axis=0))
                gold.append(row.mentions[mine[0]])
    return np.array(means, dtype=np.float64).reshape(-1, len(BY_NAME["target"].labels)), np.array(gold, dtype=np.int64)


def head_metrics(answers: SideAnswers, calibration: Calibration) -> dict[str, float]:
    """For heads of kind `one`: macro recall, accuracy, macro F1 and calibration error over the labels that occur;
    for kind `many`: macro F1 and average precision."""
    found: dict[str, float] = {}
    for name, logits in answers.logits.items():
        probabilities = calibration.probabilities(name, logits)
        if BY_NAME[name].kind == "one":
            found |= {f"{name}_{figure}": value for figure, value in _of_one(probabilities, answers.gold[name]).items()}
        else:
            thresholds = calibration.thresholds[name]
            found |= _of_many(name, probabilities, answers.gold[name], thresholds)
    return found


def _of_one(probabilities: Floats, gold: npt.NDArray[Any]) -> dict[str, float]:
    labels = np.unique(gold)
    predicted = labels[probabilities[:, labels].argmax(axis=1)]
    return {
        "recall": float(np.mean([(predicted[gold == label] == label).mean() for label in labels])),
        "accuracy": float((gold == predicted).mean()),
        "f1": float(np.mean([f1_score(gold == label, predicted == label) for label in labels])),
        "ece": calibration_error(probabilities, gold),
    }


def _of_many(
    name: str, probabilities: Floats, gold: npt.NDArray[Any], thresholds: Mapping[str, float]
) -> dict[str, float]:
    found: dict[str, float] = {}
    for column, label in enumerate(BY_NAME[name].labels):
        known = gold[:, column] >= 0
        right, chances = gold[known, column] == 1, probabilities[known, column]
        if right.all() or not right.any():
            continue
        said = chances >= thresholds[label]
        found[f"{label}_ap"] = average_precision(right, chances)
        found[f"{label}_label_f1"] = f1_score(right, said)
        found[f"{label}_f1"] = (found[f"{label}_label_f1"] + f1_score(~right, ~said)) / 2
    if len(BY_NAME[name].labels) <= 4:
        return found
    ends = {"ap": "_ap", "f1": "_label_f1"}
    means = {kind: [value for key, value in found.items() if key.endswith(end)] for kind, end in ends.items()}
    return {f"{name}_{kind}": float(np.mean(values)) for kind, values in means.items() if values}


def f1_score(right: npt.NDArray[np.bool_], said: npt.NDArray[np.bool_]) -> float:
    """F1 of a label from its gold (*right*) and predicted (*said*) flags; 0 if there are none."""
    return float(2 * (right & said).sum() / max(right.sum() + said.sum(), 1))


def average_precision(right: npt.NDArray[np.bool_], chances: Floats) -> float:
    """Mean precision over the ranks of the positive posts, most probable first; ties count as one rank."""
    order = np.argsort(-chances, kind="stable")
    hits = np.cumsum(right[order])
    ends = np.append(np.flatnonzero(np.diff(chances[order])), len(order) - 1)
    gained = np.diff(hits[ends], prepend=0)
    return float((gained * hits[ends] / (ends + 1)).sum() / max(hits[-1], 1))


def calibrate(sets: Mapping[str, SideAnswers]) -> Calibration:
    """Temperatures, and thresholds for heads of kind `many`, from all validation sets together."""
    temperatures: dict[str, float] = {}
    thresholds: dict[str, dict[str, float]] = {}
    for head in HEADS:
        logits, gold = pooled_answers(sets, head)
        if not len(logits):
            continue
        temperatures[head.name] = round(_temperature(head, logits, gold), 4)
        if head.kind == "many":
            chances = 1 / (1 + np.exp(-logits / temperatures[head.name]))
            thresholds[head.name] = {
                label: best_threshold(chances[:, column], gold[:, column], both=head.name != "emotion")
                for column, label in enumerate(head.labels)
            }
    return Calibration(temperatures, thresholds)


def pooled_answers(sets: Mapping[str, SideAnswers], head: Head) -> tuple[Floats, npt.NDArray[Any]]:
    """Logits and gold labels of *head* over all *sets*."""
    having = [answers for name, answers in sets.items() if head.name in answers.logits and is_served_form(name, sets)]
    if not having:
        return np.zeros((0, len(head.labels))), np.zeros(0)
    return np.concatenate([answers.logits[head.name] for answers in having]), np.concatenate(
        [answers.gold[head.name] for answers in having]
    )


def is_served_form(name: str, sets: Mapping[str, Any]) -> bool:
    """Whether the set *name* has the form used in production: aspects with their words, brands without."""
    aspects = name.startswith("aspect_")
    return name.endswith("+words") if aspects and f"{name.removesuffix('+words')}+words" in sets else "+" not in name


def _temperature(head: Head, logits: Floats, gold: npt.NDArray[Any]) -> float:
    if head.kind == "one":
        return fit_temperature(logits, gold)
    known = gold >= 0
    # A sigmoid of x is a softmax of (0, x): one temperature for all labels of the head.
    flat = logits[known]
    return fit_temperature(np.stack([np.zeros_like(flat), flat], axis=1), gold[known].astype(np.int64))


def best_threshold(chances: Floats, gold: npt.NDArray[Any], *, both: bool) -> float:
    """The threshold of `THRESHOLD_GRID` with the best F1 on known labels: of the label, or the mean of *both* classes.

    F1 is averaged over five neighbouring thresholds, so that no single post decides. Thresholds at which the label
    would exceed `MAX_OVERUSE` are excluded; of equally good ones the highest is taken. 0.5 if *gold* has only one
    class.
    """
    known = gold >= 0
    right, chances = gold[known] == 1, chances[known]
    if right.all() or not right.any():
        return 0.5
    said = chances[:, None] >= THRESHOLD_GRID  # (n, thresholds)
    hits = (said & right[:, None]).sum(axis=0)
    f1 = 2 * hits / (said.sum(axis=0) + right.sum())
    if both:
        none_hits = (~said & ~right[:, None]).sum(axis=0)
        f1 = (f1 + 2 * none_hits / ((~said).sum(axis=0) + (~right).sum())) / 2
    smooth = np.convolve(np.pad(f1, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    # The highest candidate stays allowed, so that there always is one.
    smooth[:-1][said.sum(axis=0)[:-1] > MAX_OVERUSE * right.sum()] = -1.0
    return round(float(THRESHOLD_GRID[len(smooth) - 1 - int(smooth[::-1].argmax())]), 4)

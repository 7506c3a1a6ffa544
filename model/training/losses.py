"""The loss of a batch: each head on the rows with its label, early heads on the full depth's answers."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model.spec.heads import BY_NAME, HEADS, Head
from model.training.data.batches import Encoded
from model.training.fit.recipe import HeadsRecipe

Logits = Mapping[str, Tensor]


class Losses:
    """Sums the losses of the heads with a weight in the recipe, on the model's device."""

    def __init__(self, recipe: HeadsRecipe, counts: Mapping[str, Sequence[int]]) -> None:
        """*counts*: number of training labels per class for each head of kind `one`."""
        self._recipe = recipe
        self._heads = [head for head in HEADS if recipe.weights.get(head.name, 0) > 0]
        self._class_weights = {
            head.name: torch.tensor(class_weights(counts[head.name], recipe.class_balance))
            for head in self._heads
            if head.kind == "one"
        }

    def __call__(self, batch: Sequence[Encoded], full: Logits, early: Logits, teacher: Logits | None = None) -> Tensor:
        """*full* and *early* are the network's logits for *batch*, *teacher* those of a larger model."""
        recipe, device = self._recipe, full["sentiment"].device
        labels, taught = torch.zeros((), device=device), torch.zeros((), device=device)
        for head in self._heads:
            weight = recipe.weights[head.name]
            logits = full[head.name].float()
            labels = labels + weight * self._of_labels(head, batch, logits)
            if teacher is not None:
                taught = taught + weight * imitation_loss(head, logits, teacher[head.name].float())
        if recipe.teacher is not None:
            labels = recipe.teacher.labels * labels + recipe.teacher.weight * taught
        for head in self._heads if early else ():
            labels = labels + recipe.exit_weight * imitation_loss(
                head, early[head.name].float(), full[head.name].float()
            )
        return labels

    def _of_labels(self, head: Head, batch: Sequence[Encoded], logits: Tensor) -> Tensor:
        if head.kind == "many":
            unknown = (-1.0,) * len(head.labels)
            gold = torch.tensor([row.gold.get(head.name, unknown) for row in batch]).to(logits.device)
            each = functional.binary_cross_entropy_with_logits(logits, gold.clamp(min=0), reduction="none")
            # Most of the 28 emotions are absent: without the divisor they would dominate the other heads.
            return (each * (gold >= 0)).sum() / len(batch) / (4.0 if len(head.labels) > 4 else 1.0)
        columns = [row.gold.get(head.name, -1) for row in batch]
        if head.reads == "mention":
            columns = [label for row in batch for label in row.mentions]
        gold = torch.tensor(columns, dtype=torch.long, device=logits.device)
        each = functional.cross_entropy(
            logits, gold, label_smoothing=self._recipe.label_smoothing, ignore_index=-1, reduction="none"
        )
        # The weight depends on the gold class. torch's `weight` would also apply to the classes of label smoothing.
        return (each * self._class_weights[head.name].to(gold.device)[gold.clamp(min=0)]).sum() / len(batch)


def imitation_loss(head: Head, student: Tensor, teacher: Tensor) -> Tensor:
    """The distance of the *student*'s probabilities from the *teacher*'s; without gradient for the teacher."""
    teacher = teacher.detach()
    if not len(teacher):
        return student.sum()
    if head.kind == "many":
        return functional.binary_cross_entropy_with_logits(student, torch.sigmoid(teacher))
    said = functional.log_softmax(student, dim=1)
    return functional.kl_div(said, functional.log_softmax(teacher, dim=1), log_target=True, reduction="batchmean")


def class_weights(counts: Sequence[int], balance: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Class weights, higher for rare classes; the mean weight of a label is 1."""
    table = np.array(counts, dtype=np.float64)
    weights = (table.mean() / np.maximum(table, 1.0)) ** balance
    return np.asarray(weights * table.sum() / max(float((weights * table).sum()), 1.0), dtype=np.float32)


def label_counts(rows: Iterable[Encoded]) -> dict[str, list[int]]:
    """Number of labels per class of each head; for kind `many`, number of posts with each label."""
    counts = {head.name: [0] * len(head.labels) for head in HEADS}
    for row in rows:
        for label in row.mentions:
            if label >= 0:
                counts["target"][label] += 1
        for name, gold in row.gold.items():
            columns = [gold] if isinstance(gold, int) else [at for at, bit in enumerate(gold) if bit > 0]
            for column in columns:
                counts[name][column] += 1
    return {name: numbers for name, numbers in counts.items() if name in BY_NAME}

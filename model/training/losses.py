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
        """*full* and *early* are the network's logits for *batch*, *teacher* those of a larger model.

        The teacher may lack heads; a row of NaN is no answer.
        """
        recipe, device = self._recipe, full["sentiment"].device
        total = torch.zeros((), device=device)
        for head in self._heads:
            logits = full[head.name].float()
            answers = teacher[head.name].float() if teacher is not None and head.name in teacher else None
            each = self._of_labels(head, batch, logits)
            if recipe.teacher is not None and answers is not None:
                each = torch.where(has_answer(answers), recipe.teacher.labels, 1.0) * each
                taught = imitation_loss(head, logits, answers, temperature=recipe.teacher.temperature)
                total = total + recipe.weights[head.name] * recipe.teacher.weight * taught
            total = total + recipe.weights[head.name] * each.sum() / len(batch)
            if early:
                aim = logits.detach()
                if recipe.teacher is not None and recipe.teacher.early_heads == "teacher" and answers is not None:
                    aim = torch.where(has_answer(answers).unsqueeze(1), answers, aim)
                total = total + recipe.exit_weight * imitation_loss(head, early[head.name].float(), aim)
        return total

    def _of_labels(self, head: Head, batch: Sequence[Encoded], logits: Tensor) -> Tensor:
        """(rows or mentions,): the loss of each label, 0 where there is none."""
        if head.kind == "many":
            unknown = (-1.0,) * len(head.labels)
            gold = torch.tensor([row.gold.get(head.name, unknown) for row in batch]).to(logits.device)
            each = functional.binary_cross_entropy_with_logits(logits, gold.clamp(min=0), reduction="none")
            # Most of the 28 emotions are absent: without the divisor they would dominate the other heads.
            return (each * (gold >= 0)).sum(dim=1) / (4.0 if len(head.labels) > 4 else 1.0)
        columns = [row.gold.get(head.name, -1) for row in batch]
        if head.reads == "mention":
            columns = [label for row in batch for label in row.mentions]
        gold = torch.tensor(columns, dtype=torch.long, device=logits.device)
        each = functional.cross_entropy(
            logits, gold, label_smoothing=self._recipe.label_smoothing, ignore_index=-1, reduction="none"
        )
        # The weight depends on the gold class. torch's `weight` would also apply to the classes of label smoothing.
        return each * self._class_weights[head.name].to(gold.device)[gold.clamp(min=0)]


def has_answer(teacher: Tensor) -> Tensor:
    """(rows,): whether the row of logits is an answer; a row of NaN is none."""
    return teacher.isfinite().all(dim=1)


def imitation_loss(head: Head, student: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    """The mean distance of the *student*'s probabilities from the *teacher*'s, both (rows, labels) of logits.

    Without gradient for the teacher; its rows without an answer count as distance 0. The squared *temperature* keeps
    the size of the gradient (Hinton et al., 2015).
    """
    if not len(teacher):
        return student.sum()
    known = has_answer(teacher)
    student, teacher = student / temperature, torch.where(known.unsqueeze(1), teacher.detach(), 0.0) / temperature
    if head.kind == "many":
        each = functional.binary_cross_entropy_with_logits(student, torch.sigmoid(teacher), reduction="none").mean(1)
    else:
        said, aim = functional.log_softmax(student, dim=1), functional.log_softmax(teacher, dim=1)
        each = functional.kl_div(said, aim, log_target=True, reduction="none").sum(dim=1)
    return temperature**2 * torch.where(known, each, 0.0).mean()


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

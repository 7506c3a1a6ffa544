from typing import Any

import numpy as np
import pytest

from model.loader import torch_is_installed
from model.spec.heads import HEADS
from model.training.data.batches import Encoded
from tests.support.model.training_data import a_recipe

pytestmark = pytest.mark.skipif(not torch_is_installed(), reason="torch and transformers are not installed")

EVEN = {head.name: [10] * len(head.labels) for head in HEADS}
ALL = {head.name: 1.0 for head in HEADS}


def a_row(mentions: tuple[int, ...] = (), **gold: Any) -> Encoded:
    ids = np.array([101, 102], dtype=np.int32)
    return Encoded(ids, tuple(range(len(mentions))), tuple(range(len(mentions))), mentions, gold)


def gradients(batch: list[Encoded], **changes: Any) -> dict[str, Any]:
    """The gradient of the loss of *batch* for the logits of each head, all equal."""
    import torch

    from model.training.losses import Losses

    marks = sum(len(row.mentions) for row in batch)
    full = {
        head.name: torch.zeros((marks if head.reads == "mention" else len(batch), len(head.labels)), requires_grad=True)
        for head in HEADS
    }
    recipe = a_recipe(**{"weights": ALL, "label_smoothing": 0.0} | changes)
    Losses(recipe, EVEN)(batch, full, {}).backward()  # type: ignore[no-untyped-call]
    return {name: np.zeros(0) if logits.grad is None else logits.grad.numpy() for name, logits in full.items()}


def test_a_head_learns_only_from_rows_with_its_label() -> None:
    found = gradients([a_row(sentiment=2), a_row(mood=0), a_row((1, -1))])
    assert [bool(row.any()) for row in found["sentiment"]] == [True, False, False]
    assert [bool(row.any()) for row in found["mood"]] == [False, True, False]
    assert [bool(row.any()) for row in found["target"]] == [True, False]
    assert not found["emotion"].any()


def test_an_unknown_bit_has_no_gradient() -> None:
    found = gradients([a_row(risk=(1.0, -1.0, 0.0))])
    assert [bool(value) for value in found["risk"][0]] == [True, False, True]
    assert found["risk"][0][0] < 0 < found["risk"][0][2]


def test_a_head_without_weight_learns_nothing() -> None:
    assert not gradients([a_row(sentiment=2, mood=0)], weights={"sentiment": 1.0})["mood"].any()


@pytest.mark.parametrize(("balance", "weights"), [(0.0, [1, 1, 1]), (1.0, [4 / 1.5, 2 / 1.5, 0.5 / 1.5])])
def test_rare_classes_have_higher_weights_with_mean_one(balance: float, weights: list[float]) -> None:
    from model.training.losses import class_weights

    counts = [10, 20, 80]
    found = class_weights(counts, balance)
    assert (found * counts).sum() == pytest.approx(sum(counts))
    assert found / found[0] == pytest.approx(np.array(weights) / weights[0])


def test_imitation_has_no_gradient_for_the_teacher() -> None:
    import torch

    from model.spec.heads import BY_NAME
    from model.training.losses import imitation_loss

    for head, teacher in ((BY_NAME["mood"], [[3.0, 0.0, 0.0, 0.0]]), (BY_NAME["sarcasm"], [[3.0]])):
        said = torch.tensor(teacher, requires_grad=True)
        student = torch.zeros_like(said, requires_grad=True)
        imitation_loss(head, student, said).backward()  # type: ignore[no-untyped-call]
        assert student.grad is not None
        assert student.grad[0, 0] < 0
        assert said.grad is None

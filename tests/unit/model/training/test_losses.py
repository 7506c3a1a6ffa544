from typing import Any

import numpy as np
import pytest

from model.loader import torch_is_installed
from model.spec.heads import HEADS
from model.training.data.batches import Encoded
from model.training.fit.recipe import Teacher
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


def taught_gradients(answers: Any, *, batch: list[Encoded], **teacher: Any) -> Any:
    """The gradient of the loss of *batch* for the logits of `sentiment`, all 0, with a teacher's *answers*."""
    import torch

    from model.training.losses import Losses

    logits = torch.zeros((len(batch), 3), requires_grad=True)
    recipe = a_recipe(weights={"sentiment": 1.0}, label_smoothing=0.0, teacher=Teacher(**teacher))
    loss = Losses(recipe, EVEN)(batch, {"sentiment": logits}, {}, {"sentiment": torch.tensor(answers)})
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    return logits.grad.numpy()


def test_a_row_without_an_answer_learns_from_its_label_only() -> None:
    nothing = [float("nan")] * 3
    batch = [a_row(sentiment=2), a_row(sentiment=2)]
    found = taught_gradients([nothing, [9.0, 0.0, 0.0]], batch=batch, weight=1.0, labels=0.3)
    alone = gradients(batch, weights={"sentiment": 1.0})["sentiment"]
    assert found[0] == pytest.approx(alone[0])
    assert found[1].argmin() == 0


def test_a_row_without_label_learns_from_its_answer_only() -> None:
    found = taught_gradients([[9.0, 0.0, 0.0], [float("nan")] * 3], batch=[a_row(), a_row()])
    assert found[0][0] < 0
    assert not found[1].any()


def test_a_head_that_the_teacher_lacks_learns_from_labels() -> None:
    import torch

    from model.training.losses import Losses

    batch = [a_row(sentiment=2)]
    logits = torch.zeros((1, 3), requires_grad=True)
    recipe = a_recipe(weights={"sentiment": 1.0}, label_smoothing=0.0, teacher=Teacher(labels=0.0))
    Losses(recipe, EVEN)(batch, {"sentiment": logits}, {}, {}).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad.numpy() == pytest.approx(gradients(batch, weights={"sentiment": 1.0})["sentiment"])


def test_a_high_temperature_weakens_a_certain_answer() -> None:
    certain = [[9.0, 0.0, 0.0]]
    plain, soft = (
        taught_gradients(certain, batch=[a_row()], labels=0.0, temperature=value) / value for value in (1.0, 4.0)
    )
    # Divided by the temperature, what remains is the distance of the softened probabilities.
    assert abs(soft[0, 0]) < abs(plain[0, 0])
    # Logits far below the temperature: the gradient does not depend on it.
    small = [[0.3, 0.0, -0.3]]
    one, other = (taught_gradients(small, batch=[a_row()], labels=0.0, temperature=value) for value in (2.0, 4.0))
    assert one == pytest.approx(other, abs=0.005)


@pytest.mark.parametrize(("early_heads", "column"), [("full depth", 2), ("teacher", 0)])
def test_early_heads_learn_from_the_chosen_side(early_heads: str, column: int) -> None:
    import torch

    from model.training.losses import Losses

    recipe = a_recipe(weights={"sentiment": 1.0}, exit_weight=1.0, teacher=Teacher(early_heads=early_heads))
    early = torch.zeros((2, 3), requires_grad=True)
    full = {"sentiment": torch.tensor([[0.0, 0.0, 9.0], [0.0, 9.0, 0.0]])}
    answers = {"sentiment": torch.tensor([[9.0, 0.0, 0.0], [float("nan")] * 3])}
    loss = Losses(recipe, EVEN)([a_row(), a_row()], full, {"sentiment": early}, answers)
    loss.backward()  # type: ignore[no-untyped-call]
    assert early.grad is not None
    assert early.grad.argmin(dim=1).tolist() == [column, 1]

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.evaluation.metrics import (
    calibration_error,
    confusion,
    f1_scores,
    fit_temperature,
    precisions,
    recalls,
)
from model.inference.probabilities import softmax

GOLD = np.array([0, 0, 0, 0, 1, 1, 2, 2])
PREDICTED = np.array([0, 0, 0, 1, 1, 0, 2, 2])


def test_the_confusion_has_gold_classes_by_row() -> None:
    assert confusion(GOLD, PREDICTED).tolist() == [[3, 1, 0], [1, 1, 0], [0, 0, 2]]


def test_precision_recall_and_f1_follow_from_the_confusion() -> None:
    counts = confusion(GOLD, PREDICTED)
    np.testing.assert_allclose(recalls(counts), [3 / 4, 1 / 2, 1])
    np.testing.assert_allclose(precisions(counts), [3 / 4, 1 / 2, 1])
    np.testing.assert_allclose(f1_scores(counts), [3 / 4, 1 / 2, 1])
    assert recalls(counts).mean() == pytest.approx(0.75)


def test_a_class_that_never_occurs_counts_as_zero_not_as_an_error() -> None:
    counts = confusion(np.array([0, 0]), np.array([0, 0]))
    assert recalls(counts).tolist() == [1, 0, 0]
    assert f1_scores(counts).tolist() == [1, 0, 0]


def test_a_calibrated_classifier_has_no_calibration_error() -> None:
    probabilities = np.tile([0.75, 0.15, 0.10], (4, 1))
    assert calibration_error(probabilities, np.array([0, 0, 0, 1])) == pytest.approx(0.0)


def test_a_confident_wrong_classifier_has_the_largest_error() -> None:
    assert calibration_error(np.array([[1.0, 0.0, 0.0]]), np.array([1])) == pytest.approx(1.0)


def test_the_temperature_recovers_scaled_logits() -> None:
    generator = np.random.default_rng(13)
    logits = generator.normal(size=(20_000, 3))
    gold = np.array([generator.choice(3, p=row) for row in softmax(logits)])
    assert fit_temperature(logits * 2.0, gold) == pytest.approx(2.0, rel=0.05)


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), min_size=1, max_size=5))
def test_softmax_rows_sum_to_one_for_any_logits(rows: list[list[float]]) -> None:
    np.testing.assert_allclose(softmax(np.array(rows)).sum(axis=1), 1.0)


def test_softmax_of_no_rows_is_no_rows() -> None:
    assert softmax(np.zeros((0, 3))).shape == (0, 3)

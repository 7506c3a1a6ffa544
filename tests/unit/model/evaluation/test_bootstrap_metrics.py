import numpy as np
import pytest
from sklearn import metrics as sk

from model.evaluation.bootstrap_metrics import (
    average_precision,
    differences,
    intervals,
    metrics_of,
    net_error,
    net_errors,
    point_estimates,
    recall_at_precision,
    share_metric,
)
from model.evaluation.metrics import calibration_error, confusion, recalls
from model.evaluation.model_answers import Answers
from model.spec.heads import SENTIMENT, TARGET

N = 400
ROWS = np.arange(N)
"""Each with a text of its own."""


def answers(*, seed: int = 1, n: int = N) -> Answers:
    """A model that is sometimes correct and badly calibrated."""
    generator = np.random.default_rng(seed)
    gold = generator.choice(3, size=n, p=[0.2, 0.5, 0.3])
    logits = generator.normal(size=(n, 3)) + 1.2 * np.eye(3)[gold]
    probabilities = np.exp(2 * logits) / np.exp(2 * logits).sum(axis=1, keepdims=True)
    return Answers("one", SENTIMENT, gold, probabilities, probabilities.argmax(axis=1))


def yes_or_no(*, threshold: float = 0.4) -> Answers:
    some = answers()
    yes = np.round(some.probabilities[:, 2], 2)  # rounded, so that some scores are equal
    gold, predicted = np.where(some.gold == 2, 1, 0), np.where(yes >= threshold, 1, 0)
    return Answers("bit", ("0", "1"), gold, np.stack([1 - yes, yes], axis=1), predicted)


def sets() -> Answers:
    some = answers()
    probabilities = np.clip(np.round(some.probabilities, 2), 0, 1)
    eye = np.eye(3, dtype=np.int64)
    gold = np.maximum(eye[some.gold], eye[np.roll(some.gold, 1)])
    return Answers("many", ("fear", "joy", "love"), gold, probabilities, (probabilities >= 0.3).astype(int))


def test_metrics_of_one_label_equal_scikit_learn() -> None:
    some = answers()
    found = point_estimates(metrics_of(some, net=False), N)
    assert found == pytest.approx(
        {
            "accuracy": sk.accuracy_score(some.gold, some.predicted),
            "macro_recall": sk.recall_score(some.gold, some.predicted, average="macro"),
            "macro_f1": sk.f1_score(some.gold, some.predicted, average="macro"),
            "ece": calibration_error(some.probabilities, some.gold),
        }
    )


def test_metrics_of_yes_or_no_equal_scikit_learn() -> None:
    some = yes_or_no()
    found = point_estimates(metrics_of(some, net=False), N)
    assert found == pytest.approx(
        {
            "accuracy": sk.accuracy_score(some.gold, some.predicted),
            "macro_recall": sk.balanced_accuracy_score(some.gold, some.predicted),
            "macro_f1": sk.f1_score(some.gold, some.predicted, average="macro"),
            "f1": sk.f1_score(some.gold, some.predicted),
            "ece": calibration_error(some.probabilities, some.gold),
            "average_precision": sk.average_precision_score(some.gold, some.probabilities[:, 1]),
        }
    )


def test_metrics_of_many_labels_equal_scikit_learn() -> None:
    some = sets()
    found = point_estimates(metrics_of(some, net=False), N)
    del found["ece"]
    assert found == pytest.approx(
        {
            "accuracy": sk.accuracy_score(some.gold, some.predicted),
            "macro_recall": sk.recall_score(some.gold, some.predicted, average="macro"),
            "macro_f1": sk.f1_score(some.gold, some.predicted, average="macro"),
            "micro_f1": sk.f1_score(some.gold, some.predicted, average="micro"),
            "macro_average_precision": sk.average_precision_score(some.gold, some.probabilities, average="macro"),
            "micro_average_precision": sk.average_precision_score(some.gold, some.probabilities, average="micro"),
        }
    )


@pytest.mark.parametrize("kind", ["one", "bit", "many"])
def test_a_row_drawn_twice_counts_like_two_rows(kind: str) -> None:
    some = {"one": answers(), "bit": yes_or_no(), "many": sets()}[kind]
    weights = np.random.default_rng(3).integers(0, 3, (2, N)).astype(float)
    drawn = metrics_of(some, net=False)(weights)
    for resample in range(2):
        rows = np.repeat(np.arange(N), weights[resample].astype(int))
        repeated = point_estimates(metrics_of(some.rows(rows), net=False), len(rows))
        assert {name: values[resample] for name, values in drawn.items()} == pytest.approx(repeated, abs=1e-6)


def test_average_precision_without_a_positive_is_zero() -> None:
    assert average_precision(np.array([0.2, 0.9]), np.array([0, 0]))(np.ones((1, 2))).tolist() == [0.0]


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("window", [50, 1_000])
def test_the_net_error_equals_that_of_random_windows(window: int, soft: bool) -> None:
    some = answers()
    scale = np.array([-1.0, 0.0, 1.0])
    rows = np.random.default_rng(5).integers(0, N, (4_000, window))
    said = some.probabilities @ scale if soft else scale[some.predicted]
    off = said[rows].mean(axis=1) - scale[some.gold][rows].mean(axis=1)
    bias, rmse = net_error(net_errors(some, soft=soft), np.ones((1, N)), window=window)
    assert bias[0] == pytest.approx(off.mean(), abs=0.006)
    assert rmse[0] == pytest.approx(np.sqrt((off**2).mean()), rel=0.04)


def test_intervals_equal_those_of_a_plain_bootstrap() -> None:
    some = answers()
    low, high = intervals(metrics_of(some, net=False), ROWS, seed=13)["macro_recall"]
    generator = np.random.default_rng(1)
    plain = []
    for _ in range(2_000):
        rows = generator.integers(0, N, N)
        plain.append(recalls(confusion(some.gold[rows], some.predicted[rows])).mean())
    assert [low, high] == pytest.approx(np.percentile(plain, [2.5, 97.5]).tolist(), abs=0.008)


def test_reposts_make_an_interval_no_narrower() -> None:
    some = answers()
    copies = np.repeat(ROWS, 9)
    once = intervals(metrics_of(some, net=False), ROWS, seed=13)
    often = intervals(metrics_of(some.rows(copies), net=False), copies, seed=13)
    assert often == {name: pytest.approx(bounds, abs=1e-9) for name, bounds in once.items()}


def test_the_intervals_repeat_with_the_seed() -> None:
    measure = metrics_of(answers(), net=True)
    assert intervals(measure, ROWS, seed=1) == intervals(measure, ROWS, seed=1)
    assert intervals(measure, ROWS, seed=1) != intervals(measure, ROWS, seed=2)


def test_a_model_compared_with_itself_has_no_difference() -> None:
    measure = metrics_of(answers(), net=True)
    assert set(differences(measure, measure, ROWS, seed=1).values()) == {(0.0, 0.0, 0.0)}


def test_a_paired_difference_is_narrower_than_two_intervals() -> None:
    some = answers()
    worse = Answers(some.kind, some.labels, some.gold, some.probabilities, some.predicted.copy())
    worse.predicted[:20] = (some.gold[:20] + 1) % 3
    both = [metrics_of(model, net=False) for model in (some, worse)]
    difference, low, high = differences(both[0], both[1], ROWS, seed=1)["accuracy"]
    assert 0 < low < difference < high
    alone = intervals(both[0], ROWS, seed=1)["accuracy"]
    assert high - low < alone[1] - alone[0]


def test_a_share_is_the_mean() -> None:
    holds = np.array([True, True, False, True])
    assert point_estimates(share_metric(holds, "swap_rate"), 4) == {"swap_rate": 0.75}


def test_recall_at_a_precision_equals_scikit_learn() -> None:
    some = answers()
    scores, gold = np.round(some.probabilities[:, 0], 2), some.gold == 0
    precisions, recalls_, _ = sk.precision_recall_curve(gold, scores)

    for least in (0.5, 0.8, 0.9):
        found = recall_at_precision(scores, gold, precision=least)(np.ones((1, N)))
        assert found == pytest.approx([recalls_[precisions >= least].max()])


def test_a_ranking_below_the_precision_has_no_recall() -> None:
    found = recall_at_precision(np.array([0.9, 0.5, 0.4]), np.array([False, True, False]), precision=0.8)

    assert found(np.ones((1, 3))) == [0.0]


def test_equal_scores_are_on_one_side_of_each_threshold() -> None:
    found = recall_at_precision(np.array([0.9, 0.9, 0.1, 0.1]), np.array([True, True, True, False]), precision=0.8)

    assert found(np.array([[1.0, 1.0, 1.0, 1.0]])) == pytest.approx([2 / 3])


def test_weights_count_rows_as_often_for_recall_at_a_precision() -> None:
    scores, gold = np.array([0.9, 0.5, 0.2]), np.array([True, False, True])
    found = recall_at_precision(scores, gold, precision=0.8)

    assert found(np.array([[1.0, 1.0, 3.0], [1.0, 1.0, 4.0]])) == pytest.approx([1.0, 1.0])
    assert found(np.array([[4.0, 1.0, 1.0], [1.0, 2.0, 1.0]])) == pytest.approx([1.0, 0.5])


def test_irrelevant_rows_called_negative_are_a_share_of_the_irrelevant() -> None:
    gold, said = np.array([3, 3, 3, 3, 0, 0]), np.array([0, 3, 2, 3, 0, 0])
    probabilities = np.eye(4)[said]

    found = point_estimates(metrics_of(Answers("one", TARGET, gold, probabilities, said), net=False), 6)

    assert found["irrelevant_called_negative"] == 0.25
    assert found["irrelevant_recall_at_precision_80"] == 0.5

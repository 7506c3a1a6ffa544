from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from model.loader import torch_is_installed
from model.spec.heads import BY_NAME
from model.training.calibration import (
    Calibration,
    SideAnswers,
    average_precision,
    best_threshold,
    by_target,
    calibrate,
    f1_score,
    head_metrics,
    is_served_form,
)
from model.training.data.batches import Encoded, bucketed_batches

Floats = np.ndarray[Any, np.dtype[np.float64]]


def a_row(
    numbers: tuple[int, ...] = (), mentions: tuple[int, ...] = (), absent: frozenset[int] = frozenset(), **gold: int
) -> Encoded:
    return Encoded(np.array([101, 102], dtype=np.int32), tuple(range(len(numbers))), numbers, mentions, gold, absent)


def test_mentions_are_averaged_and_unlabelled_ones_ignored() -> None:
    rows = [a_row((0, 1, 0), (2, 0, 2)), a_row(), a_row((0, 1), (1, -1)), a_row((0,), (3,), frozenset({0}))]
    logits = np.arange(6 * 4, dtype=np.float64).reshape(6, 4)
    means, gold = by_target(logits, rows)
    assert gold.tolist() == [2, 0, 1]
    assert means.tolist() == [[4.0, 5.0, 6.0, 7.0], [4.0, 5.0, 6.0, 7.0], [12.0, 13.0, 14.0, 15.0]]


@pytest.mark.parametrize(
    ("right", "chances", "expected"),
    [
        ([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1], 1.0),
        ([0, 0, 1], [0.9, 0.8, 0.7], 1 / 3),
        ([1, 0, 1], [0.9, 0.8, 0.7], (1 + 2 / 3) / 2),
        ([1, 0], [0.5, 0.5], 0.5),
    ],
)
def test_average_precision_is_the_mean_precision_at_positives(
    right: list[int], chances: list[float], expected: float
) -> None:
    assert average_precision(np.array(right) == 1, np.array(chances)) == pytest.approx(expected)


def test_the_threshold_separates_the_label() -> None:
    generator = np.random.default_rng(1)
    chances = generator.random(4000)
    gold = (chances > 0.7).astype(float)
    assert best_threshold(chances, gold, both=True) == pytest.approx(0.7, abs=0.03)


def test_a_label_that_cannot_be_found_is_not_overused() -> None:
    generator = np.random.default_rng(3)
    chances = generator.random(5000) * 0.2
    gold = (generator.random(5000) < 0.03).astype(float)
    said = chances >= best_threshold(chances, gold, both=False)
    assert 0 < said.sum() <= 2 * gold.sum()


def test_a_rare_label_with_low_probabilities_is_still_found() -> None:
    generator = np.random.default_rng(4)
    gold = (generator.random(20_000) < 0.02).astype(float)
    chances = np.where(gold == 1, 0.018, 0.006) + 0.004 * generator.random(20_000)
    said = chances >= best_threshold(chances, gold, both=False)
    assert f1_score(gold == 1, said) > 0.95


def test_a_label_with_one_class_has_threshold_one_half() -> None:
    assert best_threshold(np.array([0.1, 0.9]), np.array([1.0, -1.0]), both=False) == 0.5


def over_confident(rows: int, seed: int) -> tuple[Floats, np.ndarray[Any, np.dtype[np.int64]]]:
    """Logits that are three times too large."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(rows, 3))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    gold = (generator.random((rows, 1)) > shares.cumsum(axis=1)).sum(axis=1)
    return 3 * logits, gold


def test_the_temperature_reduces_overconfidence() -> None:
    logits, gold = over_confident(6000, seed=1)
    judged = SideAnswers({"sentiment": logits}, {"sentiment": gold})
    found = calibrate({"some": judged})
    assert found.temperatures["sentiment"] == pytest.approx(3.0, rel=0.1)
    raw = Calibration({"sentiment": 1.0}, {})
    assert head_metrics(judged, found)["sentiment_ece"] < 0.03 < 0.1 < head_metrics(judged, raw)["sentiment_ece"]


def test_one_temperature_serves_all_labels_of_a_head_of_many() -> None:
    generator = np.random.default_rng(2)
    logits = generator.normal(size=(5000, 3))
    gold = (generator.random((5000, 3)) < 1 / (1 + np.exp(-logits))).astype(float)
    gold[::2, 1] = -1
    found = calibrate({"some": SideAnswers({"risk": 2 * logits}, {"risk": gold})})
    assert found.temperatures["risk"] == pytest.approx(2.0, rel=0.1)
    assert set(found.thresholds["risk"]) == set(BY_NAME["risk"].labels)


@pytest.mark.parametrize(
    ("name", "sets", "stands"),
    [
        ("target_semeval", ["target_semeval", "target_semeval+words"], True),
        ("target_semeval+words", ["target_semeval", "target_semeval+words"], False),
        ("aspect_mams", ["aspect_mams", "aspect_mams+words"], False),
        ("aspect_mams+words", ["aspect_mams", "aspect_mams+words"], True),
        ("disaster", ["disaster"], True),
    ],
)
def test_a_set_is_evaluated_in_its_served_form(name: str, sets: list[str], stands: bool) -> None:
    assert is_served_form(name, dict.fromkeys(sets)) is stands


def test_every_post_is_in_one_batch_of_similar_lengths() -> None:
    posts = list(range(640))
    sizes = [1 + number % 30 for number in posts]
    batches = bucketed_batches(posts, sizes, size=16, span=40, generator=np.random.default_rng(13))
    assert sorted(post for batch in batches for post in batch) == posts
    assert max(map(len, batches)) == 16
    assert all(len({sizes[post] for post in batch}) <= 2 for batch in batches)


class TestFinishing:
    pytestmark = pytest.mark.skipif(not torch_is_installed(), reason="torch and transformers are not installed")

    @pytest.mark.parametrize(("loss", "least", "share"), [(0.0, 0.61, 0.5), (0.5, 0.4, 1.0)])
    def test_early_exit_confidence_costs_no_more_than_allowed(self, loss: float, least: float, share: float) -> None:
        """Half of the early answers have confidence 0.9 and are correct, half have 0.6 and are wrong."""
        from model.training.snapshot_selection import exit_threshold

        gold = np.array([0, 1] * 50)
        full = np.eye(2)[gold]
        sure = np.repeat([True, False], 50)
        early = np.where(sure[:, None], 0.1 + 0.8 * full, 0.6 - 0.2 * full)
        assert exit_threshold(full, early, gold, loss=loss) == pytest.approx((least, share))

    def test_a_figure_that_is_not_there_is_named(self) -> None:
        from brandpulse.errors import ConfigError
        from model.training.snapshot_selection import mean_metric

        found: Mapping[str, Mapping[str, float]] = {"tiny": {"sentiment_recall": 0.5, "sentiment_f1": 0.25}}
        assert mean_metric(found, {"tiny": "sentiment_f1"}) == 0.25
        with pytest.raises(ConfigError, match=r"judged_by\.tiny: unknown metric 'mood_f1'; known are sentiment_recall"):
            mean_metric(found, {"tiny": "mood_f1"})

    def test_parts_that_only_report_choose_no_temperature(self) -> None:
        from model.training.calibration import SideAnswers
        from model.training.snapshot_selection import without_reporting_parts
        from tests.support.model.training_data import a_recipe

        recipe = a_recipe(judged_by={"topics_choose+words": "target_recall"}, held_out=("topics_choose", "topics"))
        one = SideAnswers({"target": np.zeros((1, 4))}, {"target": np.zeros(1, dtype=np.int64)})
        parts = dict.fromkeys(["tiny", "topics_choose", "topics_choose+words", "topics", "topics+words"], one)
        assert list(without_reporting_parts(parts, recipe)) == ["tiny", "topics_choose", "topics_choose+words"]
        # A head that has labels nowhere else must be calibrated all the same.
        other = SideAnswers({"sentiment": np.zeros((1, 3))}, {"sentiment": np.zeros(1, dtype=np.int64)})
        assert without_reporting_parts({"tiny": other, "topics": one}, recipe).keys() == {"tiny", "topics"}

import pytest

from model.evaluate import evaluate
from model.keyword import KeywordClassifier, NullClassifier
from model.labelled import LabelledPost

POSTS = [
    LabelledPost("awful", 0),
    LabelledPost("opens at nine", 1),
    LabelledPost("lovely", 2),
    LabelledPost("love it", 2),
]


def test_the_report_counts_what_was_right() -> None:
    report = evaluate(KeywordClassifier(), POSTS)
    assert report["n"] == 4
    assert report["accuracy"] == 0.75
    assert report["macro_recall"] == pytest.approx((1 + 1 + 0.5) / 3, abs=1e-4)
    assert report["confusion"] == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    assert report["per_class"]["positive"] == {"precision": 1.0, "recall": 0.5, "f1": 0.6667, "n": 2}


def test_a_constant_classifier_has_the_macro_recall_of_a_guess() -> None:
    assert evaluate(NullClassifier(), POSTS)["macro_recall"] == pytest.approx(1 / 3, abs=1e-4)


def test_the_intervals_hold_the_figures_and_repeat_with_the_seed() -> None:
    report = evaluate(KeywordClassifier(), POSTS * 25)
    for name, (low, high) in report["ci"].items():
        assert low <= report[name] <= high or name == "ece"
    assert evaluate(KeywordClassifier(), POSTS * 25)["ci"] == report["ci"]


def test_a_temperature_of_one_changes_no_calibration_error() -> None:
    report = evaluate(KeywordClassifier(), POSTS, temperature=1.0)
    assert report["ece_before_temperature"] == pytest.approx(report["ece"], abs=1e-3)


def test_no_posts_are_an_error_not_a_perfect_score() -> None:
    with pytest.raises(ValueError, match="no labelled posts"):
        evaluate(NullClassifier(), [])

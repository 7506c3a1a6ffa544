import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brandpulse.errors import ConfigError
from model.data.gold_labels import GoldRows, read_gold
from model.evaluation.comparison import compare
from model.evaluation.evaluator import evaluate
from model.evaluation.model_answers import HeadSettings
from model.evaluation.predictions_file import (
    Predictions,
    load_predictions,
    predictions_of,
    predictions_path,
    save_predictions,
)
from model.inference.adapters import ClassifierScorer
from model.inference.keyword_classifier import KeywordClassifier, NullClassifier
from model.spec.options import Task
from tests.support.model.keyword_scorer import WordScorer

FLAT = {"n", "accuracy", "macro_recall", "macro_f1", "ece"}
NESTED = {"per_class", "confusion", "ci", "slices"}

ROWS: dict[Task, list[dict[str, Any]]] = {
    "sentiment": [
        {"text": "a negative view", "sentiment": "neg"},
        {"text": "neutral it is", "sentiment": "neu"},
        {"text": "positive, all of it", "sentiment": "pos"},
        {"text": "so positive about this delay", "sentiment": "neg"},
    ],
    "target_sentiment": [
        {"text": "Aerolux negative but Nordbank positive", "target": "Aerolux", "target_sentiment": "neg"},
        {"text": "Aerolux negative but Nordbank positive", "target": "Nordbank", "target_sentiment": "pos"},
        {"text": "@Aerolux neutral I would say", "target": "Aerolux", "target_sentiment": "neu"},
        {"text": "what a positive day", "target_sentiment": "pos"},
    ],
    "emotion": [{"text": "joy and fear", "emotions": ["joy", "fear"]}, {"text": "plain love", "emotions": ["joy"]}],
    "complaint": [{"text": "a complaint", "complaint": 1}, {"text": "all well", "complaint": 0}],
    "crisis": [{"text": "informative words", "info": "informative"}, {"text": "a crisis", "info": "related"}],
    "sarcasm": [{"text": "sarcasm, surely", "irony": 1}, {"text": "dead earnest", "irony": 1}],
}


def gold_of(folder: Path, task: Task, rows: Sequence[dict[str, Any]] | None = None) -> GoldRows:
    path = folder / f"{task}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows or ROWS[task]), encoding="utf-8")
    return read_gold(path, task)


def report_on(folder: Path, task: Task, rows: Sequence[dict[str, Any]] | None = None, **said: Any) -> dict[str, Any]:
    return evaluate(WordScorer(), gold_of(folder, task, rows), HeadSettings(**said)).report


@pytest.mark.parametrize(
    ("task", "own"),
    [
        ("sentiment", {"net_bias", "net_rmse_200"}),
        ("target_sentiment", {"swap_rate", "irrelevant_rate", "second_target_accuracy", "same_prediction_share"}),
        ("emotion", {"micro_f1", "macro_average_precision", "micro_average_precision"}),
        ("complaint", {"average_precision", "f1"}),
        ("crisis", {"average_precision", "f1"}),
        ("sarcasm", {"average_precision", "f1"}),
    ],
)
def test_each_task_has_its_metrics(tmp_path: Path, task: Task, own: set[str]) -> None:
    report = report_on(tmp_path, task)
    assert FLAT | NESTED | own <= report.keys()
    assert all(0 <= report[name] <= 1 for name in FLAT - {"n"})
    assert set(report["ci"]) <= report.keys()
    json.dumps(report, allow_nan=False)


def test_the_report_counts_correct_rows(tmp_path: Path) -> None:
    report = report_on(tmp_path, "sentiment")
    assert (report["n"], report["accuracy"], report["macro_recall"]) == (4, 0.75, round((0.5 + 1 + 1) / 3, 4))
    assert report["confusion"] == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]
    assert report["per_class"]["negative"] | {"average_precision": 0} == {
        "precision": 1.0,
        "recall": 0.5,
        "f1": 0.6667,
        "average_precision": 0,
        "n": 2,
    }
    assert report["net_bias"] == 0.5
    hard = report["net_windows"]["hard"]
    assert (hard["bias"], hard["bias_negative"], hard["bias_positive"]) == (0.5, 1.0, 0.0)


def test_only_labels_that_occur_are_predicted_and_averaged_over(tmp_path: Path) -> None:
    rows = [{"text": "positive", "sentiment": "pos"}, {"text": "neutral, hence a guess", "sentiment": "neg"}]
    report = report_on(tmp_path, "sentiment", rows)
    assert report["labels"] == ["negative", "positive"]
    assert (report["macro_recall"], report["confusion"]) == (1.0, [[1, 0], [0, 1]])


def test_a_row_without_target_gets_the_scores_of_the_post(tmp_path: Path) -> None:
    report = report_on(tmp_path, "target_sentiment")
    assert report["accuracy"] == 1.0
    assert (report["second_target_accuracy"], report["same_prediction_share"]) == (1.0, 0.0)
    assert (report["named_rate"], report["irrelevant_rate"]) == (1.0, 0.0)


def test_targets_with_the_same_prediction_are_counted(tmp_path: Path) -> None:
    text = "Aerolux positive but Nordbank positive"
    rows = [
        {"text": text, "target": "Aerolux", "target_sentiment": "neg"},
        {"text": text, "target": "Nordbank", "target_sentiment": "pos"},
    ]
    report = report_on(tmp_path, "target_sentiment", rows)
    assert (report["second_target_accuracy"], report["same_prediction_share"]) == (1.0, 1.0)


def test_an_unnamed_target_is_read_as_the_subject_of_its_row(tmp_path: Path) -> None:
    rows = [
        {"text": "Aerolux negative", "target": "Aerolux", "target_sentiment": "neg"},
        {"text": "a positive day", "target": "Nordbank", "target_sentiment": "pos"},
    ]
    report = report_on(tmp_path, "target_sentiment", rows)
    assert (report["irrelevant_rate"], report["named_rate"], report["accuracy"]) == (0.0, 0.5, 1.0)
    assert report["labels"] == ["negative", "positive"]


@pytest.mark.parametrize(("rule", "swapped"), [(True, 1.0), (False, 0.0)])
def test_the_swap_check_uses_an_unnamed_target(tmp_path: Path, rule: bool, swapped: float) -> None:
    rows = [
        {"text": "a negative day with Aerolux", "target": "Aerolux", "target_sentiment": "neg"},
        {"text": "Aerolux, positive today", "target": "Aerolux", "target_sentiment": "pos"},
    ]
    gold = gold_of(tmp_path, "target_sentiment", rows)
    report = evaluate(WordScorer(rule=rule), gold, HeadSettings()).report
    assert report["swap_rate"] == swapped


@pytest.mark.parametrize(("fans", "agreement"), [("", 1.0), ("nordbank", 0.5)])
def test_a_name_dependent_score_fails_the_in_text_swap(tmp_path: Path, fans: str, agreement: float) -> None:
    rows = [
        {"text": "negative about Aerolux", "target": "Aerolux", "target_sentiment": "neg"},
        {"text": "Nordbank positive", "target": "Nordbank", "target_sentiment": "pos"},
    ]
    gold = gold_of(tmp_path, "target_sentiment", rows)
    report = evaluate(WordScorer(fans=fans), gold, HeadSettings(), keep_words=True).report
    assert (report["in_text_swap_agreement"], report["target_words"]) == (agreement, "keep")


def test_without_targets_there_are_no_swap_results(tmp_path: Path) -> None:
    report = report_on(tmp_path, "target_sentiment", [{"text": "neutral", "target_sentiment": "neu"}])
    assert [report[name] for name in ("swap_rate", "irrelevant_rate", "in_text_swap_agreement")] == [None] * 3
    assert report["accuracy"] == 1.0


def test_thresholds_of_the_weights_are_used(tmp_path: Path) -> None:
    assert report_on(tmp_path, "complaint")["f1"] == 1.0
    assert report_on(tmp_path, "complaint", thresholds={"complaint": 0.95})["f1"] == 0.0
    assert report_on(tmp_path, "emotion")["micro_f1"] == 0.8
    assert report_on(tmp_path, "emotion", thresholds={"fear": 0.95})["micro_f1"] == 0.5


def test_a_crisis_file_selects_its_label(tmp_path: Path) -> None:
    assert report_on(tmp_path, "crisis")["accuracy"] == 1.0
    rows = [{"text": "a crisis", "disaster": 1}, {"text": "informative", "disaster": 0}]
    assert report_on(tmp_path, "crisis", rows)["accuracy"] == 1.0


def test_moods_have_their_own_head(tmp_path: Path) -> None:
    rows = [{"text": "joy", "emotion": "joy"}, {"text": "anger", "emotion": "anger"}]
    evaluation = evaluate(WordScorer(), gold_of(tmp_path, "emotion", rows), HeadSettings())
    assert evaluation.answers.probabilities[0].tolist() == pytest.approx([1 / 9, 8 / 9])


@pytest.mark.parametrize("task", ["sentiment", "complaint", "emotion"])
def test_a_temperature_of_one_changes_no_calibration_error(tmp_path: Path, task: Task) -> None:
    report = report_on(tmp_path, task, temperature=1.0)
    assert report["ece_before_temperature"] == report["ece"]


def test_raw_logits_are_recovered_from_the_temperature(tmp_path: Path) -> None:
    evaluation = evaluate(WordScorer(), gold_of(tmp_path, "sentiment"), HeadSettings(temperature=2.0))
    assert evaluation.before is not None
    logits = 2.0 * np.log(evaluation.answers.probabilities)
    raw = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(evaluation.before, raw, rtol=1e-9)


def test_an_engine_without_the_head_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"emotion: the engine keyword has no head 'emotion', only sentiment, target"):
        evaluate(ClassifierScorer(KeywordClassifier()), gold_of(tmp_path, "emotion"), HeadSettings())


def test_a_constant_classifier_has_the_macro_recall_of_a_guess(tmp_path: Path) -> None:
    report = evaluate(ClassifierScorer(NullClassifier()), gold_of(tmp_path, "sentiment"), HeadSettings()).report
    assert report["macro_recall"] == round(1 / 3, 4)


def test_slices_are_counted_over_their_own_rows(tmp_path: Path) -> None:
    rows = [
        {"text": f"not positive, {number}", "sentiment": "neg" if number % 2 else "pos"} for number in range(40)
    ] + [{"text": f"RT @user: NEUTRAL #fact {number}", "sentiment": "neu"} for number in range(40)]
    slices = report_on(tmp_path, "sentiment", rows)["slices"]
    assert (slices["negation"]["n"], slices["negation"]["accuracy"], slices["negation"]["macro_recall"]) == (
        40,
        0.5,
        0.5,
    )
    assert slices["retweet"] == slices["hashtag"] == slices["a word in capitals"]
    assert slices["retweet"]["accuracy"] == 1.0


def test_rows_are_sliced_by_target_mention(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"text": f"Aerolux negative, {number}", "target": target, "target_sentiment": "neg"}
        for number in range(20)
        for target in ("Aerolux", "Nordbank")
    ]
    rows += [{"text": f"positive {number}", "target_sentiment": "pos"} for number in range(20)]
    rows += [{"text": "none of it", "target": "Aerolux", "target_sentiment": "irr"}]
    slices = report_on(tmp_path, "target_sentiment", rows)["slices"]
    found = {name: (part["n"], part["accuracy"]) for name, part in slices.items() if "target" in name}
    assert found == {
        "target in the text": (20, 1.0),
        "target not in the text": (21, round(20 / 21, 4)),
        "no target": (20, 1.0),
    }


def a_model(folder: Path, scorer: Any, task: Task = "sentiment") -> Predictions:
    gold = gold_of(folder, task)
    return predictions_of(scorer.name, gold, evaluate(scorer, gold, HeadSettings()).answers)


def test_two_models_are_compared_row_by_row(tmp_path: Path) -> None:
    words, null = a_model(tmp_path, WordScorer()), a_model(tmp_path, ClassifierScorer(NullClassifier()))
    found = compare(words, null, net=True)
    assert found["model"] == "null"
    assert found["differences"]["accuracy"][0] == 0.5
    assert found["mcnemar"] == {"only_this_right": 2, "only_the_other_right": 0, "p": 0.5}
    assert compare(words, words, net=True)["mcnemar"]["p"] == 1.0


def test_models_that_answered_other_rows_cannot_be_compared(tmp_path: Path) -> None:
    one, other = a_model(tmp_path, WordScorer()), a_model(tmp_path, WordScorer(), "target_sentiment")
    with pytest.raises(ValueError, match="answered other rows"):
        compare(one, other, net=False)


@pytest.mark.parametrize("task", ["sentiment", "complaint", "emotion"])
def test_saved_predictions_load_unchanged(tmp_path: Path, task: Task) -> None:
    written = a_model(tmp_path, WordScorer(), task)
    path = predictions_path(tmp_path / "report.json")
    save_predictions(written, path)
    found = load_predictions(path)
    assert path.name == "report.predictions.npz"
    assert (found.model, found.rows, found.answers.labels) == (written.model, written.rows, written.answers.labels)
    assert compare(found, written, net=False)["mcnemar"]["p"] == 1.0


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_an_unreadable_predictions_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "report.predictions.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"report\.predictions\.npz is not a predictions file"):
        load_predictions(path)


def test_predictions_are_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "report.predictions.npz"
    np.savez(path, kind=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(ValueError, match="is not a predictions file"):
        load_predictions(path)

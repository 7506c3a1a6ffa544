"""Metrics per kind of post: each, their mean, the worst, and the paired difference of two models."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from brandpulse.cli.model.model import app
from brandpulse.errors import ConfigError
from model.evaluation.bootstrap_metrics import text_groups
from model.evaluation.model_answers import Answers
from model.evaluation.subset_metrics import subset_differences, subset_report, subset_table
from model.report.evaluation_run import EvaluatedModel, evaluate_file
from model.spec.weights import WEIGHTS

LABELS = ("negative", "neutral", "positive")

ROWS: list[dict[str, Any]] = [
    {"text": "an awful delay", "sentiment": "neg", "kind": "plain"},
    {"text": "love it", "sentiment": "pos", "kind": "plain"},
    {"text": "great, an hour late", "sentiment": "neg", "kind": "irony"},
    {"text": "only for the brand", "sentiment": None, "kind": "irony"},
]


def answers_of(gold: Sequence[int], predicted: Sequence[int]) -> Answers:
    return Answers("one", LABELS, np.array(gold), np.eye(3)[list(predicted)], np.array(predicted))


def report_of(gold: Sequence[int], predicted: Sequence[int], subsets: Sequence[str]) -> dict[str, Any]:
    return subset_report(
        answers_of(gold, predicted), subsets, text_groups([str(n) for n in range(len(gold))]), field="kind"
    )


def a_file(folder: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path = folder / "posts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_mean_counts_each_subset_once() -> None:
    report = report_of([0, 0, 0, 2, 2], [0, 0, 0, 2, 0], ["a", "a", "a", "b", "b"])

    assert (report["each"]["a"]["accuracy"], report["each"]["b"]["accuracy"]) == (1.0, 0.5)
    assert report["mean"]["accuracy"] == 0.75
    assert (report["worst"]["name"], report["worst"]["accuracy"], report["worst"]["n"]) == ("b", 0.5, 2)


def test_macro_recall_averages_labels_that_occur_in_the_subset() -> None:
    report = report_of([0, 0, 0, 2, 1], [0, 0, 0, 0, 1], ["a"] * 4 + ["b"])

    assert (report["each"]["a"]["accuracy"], report["each"]["a"]["macro_recall"]) == (0.75, 0.5)
    assert report["each"]["b"]["macro_recall"] == 1.0
    assert report["each"]["a"]["constant"] == 0.75


def test_macro_f1_punishes_wrong_answers_of_a_label() -> None:
    report = report_of([0, 0, 0, 2, 1], [0, 0, 0, 0, 1], ["a"] * 4 + ["b"])

    # negative: 3 right of 3, and 1 wrong: 6 / 7; positive: 0
    assert report["each"]["a"]["macro_f1"] == pytest.approx(3 / 7)
    assert report["each"]["b"]["macro_f1"] == 1.0
    assert report["mean"]["macro_f1"] == pytest.approx(5 / 7)


@pytest.mark.parametrize(("names", "shown"), [(["de", "ar"], True), (["absence_of_bad", "ar"], False)])
def test_recall_and_f1_are_columns_if_names_are_short(names: list[str], shown: bool) -> None:
    console = Console(width=80, record=True, force_terminal=False)
    report = report_of([0, 1] * 30, [0, 0] * 30, [names[0]] * 30 + [names[1]] * 30)

    with console.capture() as printed:
        console.print(subset_table(report))

    assert ("F1" in printed.get()) is shown


def test_an_interval_encloses_its_metric() -> None:
    report = report_of([0, 1] * 30, [0, 1, 0, 0] * 15, ["a", "a", "b", "b"] * 15)

    for entry in (*report["each"].values(), report["mean"]):
        low, high = entry["ci"]["accuracy"]
        assert low <= entry["accuracy"] <= high
    assert report["each"]["b"]["ci"]["accuracy"][1] < 0.7


def test_the_difference_of_equal_answers_is_zero() -> None:
    answers = answers_of([0, 1, 2], [0, 0, 2])

    found = subset_differences(answers, answers, ["a", "b", "b"], text_groups(["x", "y", "z"]))

    assert found == {"mean": (0.0, 0.0, 0.0), "each": {"a": (0.0, 0.0, 0.0), "b": (0.0, 0.0, 0.0)}}


def test_the_difference_is_paired_and_signed() -> None:
    gold, right, wrong = [0, 1] * 20, [0, 1] * 20, [1, 0] * 20
    groups = text_groups([str(n) for n in range(40)])

    found = subset_differences(answers_of(gold, right), answers_of(gold, wrong), ["a"] * 20 + ["b"] * 20, groups)

    assert found["mean"] == (1.0, 1.0, 1.0)


def test_the_table_lists_the_worst_subset_first_in_80_columns() -> None:
    console = Console(width=80, record=True, quiet=False, force_terminal=False)
    name = "complaint_by_negation_"
    report = report_of([0, 0, 1], [0, 1, 1], ["good", name, "good"])
    against = {"mean": (0.1, -0.1, 0.3), "each": {"good": (0.0, 0.0, 0.0), name: (0.1, -0.1, 0.3)}}

    console.print(subset_table(report, against))
    lines = console.export_text().splitlines()

    assert [line.split()[0] for line in lines] == ["kind", name, "good", "mean"]
    assert all("…" not in line for line in lines)
    assert lines[1].split()[-3:] == ["+0.10", "[-0.10,", "+0.30]"]


def test_a_row_with_a_null_label_is_left_out(tmp_path: Path) -> None:
    model = EvaluatedModel(weights=WEIGHTS, engine="keyword")

    evaluation, _ = evaluate_file(model, a_file(tmp_path, ROWS), task="sentiment", by="kind")

    assert (evaluation.report["n"], evaluation.report["left_out"]) == (3, 1)
    assert {name: entry["n"] for name, entry in evaluation.report["by"]["each"].items()} == {"plain": 2, "irony": 1}


@pytest.mark.parametrize("value", [None, "", ["irony"]])
def test_a_row_without_the_field_is_named(tmp_path: Path, value: object) -> None:
    path = a_file(tmp_path, [*ROWS, {"text": "so", "sentiment": "neu", "kind": value}])

    with pytest.raises(ConfigError, match=r"line 5: kind: expected a word or a number, got"):
        evaluate_file(EvaluatedModel(weights=WEIGHTS, engine="keyword"), path, task="sentiment", by="kind")


def test_the_command_prints_the_table_and_writes_it(tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    arguments = ["evaluate", "--data", str(a_file(tmp_path, ROWS)), "--engine", "keyword", "--by", "kind"]

    result = CliRunner().invoke(app, [*arguments, "--json", str(out)])

    assert result.exit_code == 0, result.output
    assert "irony" in result.stdout
    assert json.loads(out.read_text())["by"]["field"] == "kind"

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from brandpulse.cli.model.model import app
from brandpulse.errors import ConfigError
from model.spec.heads import EMOTIONS
from model.spec.options import Task
from tests.support.model.brand_weights import a_brand_folder

RUNNER = CliRunner()
POSTS = [{"text": "awful", "sentiment": "neg"}, {"text": "nine", "sentiment": "neu"}]


@pytest.fixture(scope="module")
def brand_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A post gets at most three emotions: only joy is below its threshold.
    emotions = dict.fromkeys(EMOTIONS, 1.0) | {"joy": 0.0}
    thresholds = {"risk": {"complaint": 0.0}, "emotion": emotions}
    return a_brand_folder(tmp_path_factory.mktemp("weights"), thresholds=thresholds)


def a_file(folder: Path, rows: list[dict[str, Any]] = POSTS) -> Path:
    path = folder / "posts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def evaluate(data: Path, *more: str, engine: str = "keyword") -> dict[str, Any]:
    out = data.parent / "out.json"
    result = RUNNER.invoke(app, ["evaluate", "--data", str(data), "--json", str(out), "--engine", engine, *more])
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return report


def test_flat_keys_overwrite_an_existing_report(tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text("something old", encoding="utf-8")
    report = evaluate(a_file(tmp_path))
    assert {"n", "accuracy", "macro_recall", "macro_f1", "ece", "per_class", "confusion", "ci"} <= report.keys()
    assert report["accuracy"] == 1.0


def test_a_poor_model_still_exits_with_0(tmp_path: Path) -> None:
    assert evaluate(a_file(tmp_path, [{"text": "awful", "sentiment": "pos"}] * 2 + POSTS))["accuracy"] == 0.5


def test_short_label_names_are_accepted(tmp_path: Path) -> None:
    assert evaluate(a_file(tmp_path), "--labels", "neg,neu,pos")["labels"] == ["negative", "neutral", "positive"]


@pytest.mark.parametrize(
    ("task", "rows"),
    [
        ("sentiment", POSTS),
        ("target_sentiment", [{"text": "Aerolux flies", "target": "Aerolux", "target_sentiment": "neu"}]),
        ("emotion", [{"text": "well", "emotion": "joy"}, {"text": "ill", "emotion": "sadness"}]),
        ("emotion", [{"text": "well", "emotions": ["joy"]}]),
        ("complaint", [{"text": "it broke", "complaint": 1}]),
        ("crisis", [{"text": "a flood", "disaster": 1}]),
        ("sarcasm", [{"text": "oh great", "sarcasm": 0}]),
    ],
)
def test_multi_head_weights_support_every_task(
    tmp_path: Path, brand_folder: Path, task: Task, rows: list[dict[str, Any]]
) -> None:
    report = evaluate(a_file(tmp_path, rows), "--task", task, "--weights", str(brand_folder), engine="openvino")
    assert report["n"] == len(rows)
    assert report["ece_before_temperature"] >= 0


@pytest.mark.parametrize("given", [(), ("--tiers", "early")])
def test_report_names_the_exit_policy(tmp_path: Path, given: tuple[str, ...]) -> None:
    rows = [{"text": "well", "sentiment": "pos"}, {"text": "ill", "sentiment": "neg"}]
    report = evaluate(a_file(tmp_path, rows), "--precision", "fp32", *given, engine="openvino")
    assert report["version"].endswith("-early") == bool(given)


@pytest.mark.parametrize(
    ("task", "rows", "recall"),
    [
        ("complaint", [{"text": "it broke", "complaint": 1}, {"text": "fine", "complaint": 0}], [0.0, 1.0]),
        ("emotion", [{"text": "well", "emotions": ["joy"]}, {"text": "so so", "emotions": ["joy"]}], [1.0]),
    ],
)
def test_manifest_thresholds_are_used(
    tmp_path: Path, brand_folder: Path, task: Task, rows: list[dict[str, Any]], recall: list[float]
) -> None:
    report = evaluate(a_file(tmp_path, rows), "--task", task, "--weights", str(brand_folder), engine="openvino")
    assert [figures["recall"] for figures in report["per_class"].values()] == recall


def test_against_a_report_compares_both_models(tmp_path: Path) -> None:
    data = a_file(tmp_path)
    evaluate(data, engine="null")
    (tmp_path / "out.json").rename(tmp_path / "null.json")
    (tmp_path / "out.predictions.npz").rename(tmp_path / "null.predictions.npz")
    found = evaluate(data, "--against", str(tmp_path / "null.json"))["against"]
    assert found["model"] == "null null-1"
    assert found["differences"]["accuracy"][0] == 0.5


def test_against_weights_evaluates_them(tmp_path: Path, brand_folder: Path) -> None:
    report = evaluate(
        a_file(tmp_path), "--weights", str(brand_folder), "--against", str(brand_folder), engine="openvino"
    )
    assert report["against"]["mcnemar"] == {"only_this_right": 0, "only_the_other_right": 0, "p": 1.0}


def test_against_a_report_on_other_rows_fails(tmp_path: Path) -> None:
    evaluate(a_file(tmp_path, POSTS[:1]))
    (tmp_path / "out.json").rename(tmp_path / "other.json")
    (tmp_path / "out.predictions.npz").rename(tmp_path / "other.predictions.npz")
    arguments = ["evaluate", "--data", str(a_file(tmp_path)), "--against", str(tmp_path / "other.json")]
    result = RUNNER.invoke(app, [*arguments, "--engine", "keyword"])
    assert isinstance(result.exception, ConfigError)
    assert "answered other rows" in str(result.exception)


@pytest.mark.parametrize("out", ["no/such/folder.json", "page.html", "."])
def test_an_unwritable_report_path_is_reported(tmp_path: Path, out: str) -> None:
    arguments = ["evaluate", "--data", str(a_file(tmp_path)), "--engine", "keyword", "--json", str(tmp_path / out)]
    result = RUNNER.invoke(app, arguments)
    assert result.exit_code == 2 or isinstance(result.exception, ConfigError)


def test_an_unknown_task_is_a_usage_error(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["evaluate", "--data", str(a_file(tmp_path)), "--task", "weather"])
    assert result.exit_code == 2


def test_invalid_input_exits_with_2_and_one_sentence(tmp_path: Path) -> None:
    data = a_file(tmp_path, [*POSTS, {"text": "so so", "sentiment": "meh"}])
    command = [sys.executable, "-m", "brandpulse", "model", "evaluate", "--data", str(data), "--engine", "keyword"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    expected = f"{data}, line 3: sentiment: expected one of negative, neutral, positive, got 'meh'"
    assert found.stderr.strip() == f"brandpulse: {expected}"


@pytest.mark.parametrize(("option", "texts"), [((), True), (("--no-texts",), False)])
def test_a_page_is_written_beside_the_report(tmp_path: Path, option: tuple[str, ...], texts: bool) -> None:
    evaluate(a_file(tmp_path, [*POSTS, {"text": "awful, my secret", "sentiment": "pos"}]), *option)
    assert ("my secret" in (tmp_path / "out.html").read_text(encoding="utf-8")) == texts


def test_without_chart_packages_the_report_is_still_written(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['jinja2', 'matplotlib', 'sklearn', 'scipy']));"
        "sys.argv[0] = 'brandpulse'; from brandpulse.__main__ import main; main()"
    )
    out = tmp_path / "out.json"
    arguments = ["model", "evaluate", "--data", str(a_file(tmp_path)), "--engine", "keyword", "--json", str(out)]
    found = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert (found.returncode, json.loads(out.read_text())["accuracy"]) == (0, 1.0)
    assert "pip install 'brandpulse[evaluate]'" in found.stderr


BRANDS = [
    {"text": f"{name} flies {number}", "target": name, "target_sentiment": "neu"}
    for name in ("Aerolux", "Nordbank")
    for number in range(8)
]
ASPECTS = [
    {"text": f"the {aspect} was fine", "target": aspect, "target_sentiment": "pos"}
    for aspect in ("soup", "waiter", "wine list", "Sunday menu", "bread")
]


@pytest.mark.parametrize(
    ("rows", "option", "words"),
    [
        (ASPECTS, (), "keep"),
        (BRANDS, (), "drop"),
        (BRANDS[::8], (), "drop"),
        ([row | {"text": row["text"].lower(), "target": row["target"].lower()} for row in BRANDS], (), "drop"),
        (ASPECTS, ("--target-words", "drop"), "drop"),
        (BRANDS, ("--target-words", "keep"), "keep"),
    ],
    ids=["aspects", "brands", "few rows of brands", "brands in small letters", "asked to drop", "asked to keep"],
)
def test_aspects_keep_their_words_and_brands_do_not(
    tmp_path: Path, rows: list[dict[str, Any]], option: tuple[str, ...], words: str
) -> None:
    assert evaluate(a_file(tmp_path, rows), "--task", "target_sentiment", *option)["target_words"] == words

import json
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from brandpulse.cli.model.model import app

RUNNER = CliRunner()


def test_score_prints_one_line_per_argument() -> None:
    result = RUNNER.invoke(app, ["score", "--engine", "keyword", "I love it", "awful"])
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.output.splitlines()] == ["positive", "negative"]


def test_score_reads_standard_input_and_prints_json() -> None:
    posts = "".join(f"awful {number}\n" for number in range(600))
    result = RUNNER.invoke(app, ["score", "--engine", "keyword", "--json"], input=posts)
    rows = [json.loads(line) for line in result.output.splitlines()]
    assert [row["text"] for row in rows] == posts.splitlines()
    assert {row["label"] for row in rows} == {"negative"}


def test_score_prints_the_sentiment_towards_each_brand() -> None:
    post = "@acme lost my bag again, useless. Great that @bolt brought it back, thank you!"
    asked = ["score", "--json", "--target", "acme", "--target", "bolt", "--target", "nova", post]
    result = RUNNER.invoke(app, asked)
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    verdicts = {verdict["target"]: (verdict["label"], verdict["found"]) for verdict in found["targets"]}
    assert verdicts == {"acme": ("negative", True), "bolt": ("positive", True), "nova": ("irrelevant", False)}
    assert {"emotions", "mood", "complaint", "crisis", "sarcasm", "urgency"} <= found.keys()


def test_importing_the_commands_loads_nothing_heavy() -> None:
    heavy = {"numpy", "torch", "transformers", "openvino", "tokenizers", "safetensors", "yaml"}
    code = f"import sys, brandpulse.cli.model.model; print(sorted({heavy!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_figures_names_an_unknown_precision(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["figures", "--data", str(tmp_path), "--precision", "fp8"])
    assert result.exit_code == 2
    assert "fp8" in result.output

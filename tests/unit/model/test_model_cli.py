import json
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from model.cli import app

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


def test_evaluate_writes_the_flat_keys(tmp_path: Path) -> None:
    data, out = tmp_path / "posts.jsonl", tmp_path / "report.json"
    data.write_text('{"text": "awful", "sentiment": "neg"}\n{"text": "nine", "sentiment": "neu"}\n')
    result = RUNNER.invoke(app, ["evaluate", "--data", str(data), "--json", str(out), "--engine", "keyword"])
    assert result.exit_code == 0, result.output
    report = json.loads(out.read_text())
    assert {"n", "accuracy", "macro_recall", "macro_f1", "ece", "per_class", "confusion", "ci"} <= report.keys()
    assert report["accuracy"] == 1.0


def test_evaluate_knows_one_task(tmp_path: Path) -> None:
    data = tmp_path / "posts.jsonl"
    data.write_text("")
    result = RUNNER.invoke(app, ["evaluate", "--data", str(data), "--task", "emotion", "--engine", "keyword"])
    assert result.exit_code == 2


def test_importing_the_commands_loads_nothing_heavy() -> None:
    heavy = {"numpy", "torch", "transformers", "openvino", "tokenizers", "safetensors", "yaml"}
    code = f"import sys, model.cli; print(sorted({heavy!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

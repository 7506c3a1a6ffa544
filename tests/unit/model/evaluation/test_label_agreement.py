import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from typer.testing import CliRunner

from brandpulse.cli.model.model import app
from brandpulse.errors import ConfigError
from model.evaluation.label_agreement import LabelPair, agreement_report, read_label_pairs

LABELS = ("neg", "neu", "pos", "irr")


def label_file(path: Path, labels: Sequence[str], *, field: str = "target_sentiment", text: bool = True) -> Path:
    """Rows `0`, `1`, … with these labels, of the kinds `even` and `odd`."""
    rows = [
        {"id": str(at), "kind": ("even", "odd")[at % 2], field: label} | ({"text": f"post {at}"} if text else {})
        for at, label in enumerate(labels)
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return path


def pairs(first: Sequence[str], second: Sequence[str], kind: str = "") -> list[LabelPair]:
    both = zip(first, second, strict=True)
    return [LabelPair(str(at), f"post {at}", "Orbit", kind, one, other) for at, (one, other) in enumerate(both)]


def test_kappa_of_two_people_equals_scikit_learn() -> None:
    generator = np.random.default_rng(3)
    first = generator.choice(LABELS, size=300, p=[0.3, 0.2, 0.2, 0.3])
    second = np.where(generator.random(300) < 0.7, first, generator.choice(LABELS, size=300))

    report = agreement_report(pairs(first.tolist(), second.tolist()))

    assert report["kappa"] == pytest.approx(cohen_kappa_score(first, second), abs=1e-4)
    assert report["raw"] == pytest.approx((first == second).mean(), abs=1e-4)
    assert report["ci"]["kappa"][0] < report["kappa"] < report["ci"]["kappa"][1]
    assert len(report["differing"]) == (first != second).sum()


def test_equal_labels_give_a_kappa_of_one() -> None:
    assert agreement_report(pairs(["neg"] * 30, ["neg"] * 30))["kappa"] == 1.0


def test_a_kind_with_few_rows_has_no_kappa() -> None:
    some = [*pairs(["neg", "pos"] * 10, ["neg", "pos"] * 10, "many"), *pairs(["neg", "pos"], ["pos", "pos"], "few")]

    kinds = agreement_report(some)["kinds"]

    assert kinds["many"]["kappa"] == 1.0
    assert kinds["few"] == {"n": 2, "raw": 0.5, "ci": {"raw": [0.0, 1.0]}}


def test_kinds_may_be_numbers_and_words(tmp_path: Path) -> None:
    rows = [{"id": str(kind), "text": "a post", "kind": kind, "target_sentiment": "neg"} for kind in (2, "plain")]
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert list(agreement_report(read_label_pairs(path, path, "target_sentiment"))["kinds"]) == ["2", "plain"]


def test_rows_are_matched_by_id_and_short_labels_equal_long_ones(tmp_path: Path) -> None:
    first = label_file(tmp_path / "first.jsonl", ["neg", "irrelevant", "pos"])
    lines = label_file(tmp_path / "second.jsonl", ["negative", "irr", "neu"], text=False).read_text().splitlines()
    (tmp_path / "second.jsonl").write_text("\n".join(reversed(lines)), encoding="utf-8")

    found = read_label_pairs(first, tmp_path / "second.jsonl", "target_sentiment")

    assert [(pair.id, pair.first, pair.second) for pair in found] == [
        ("0", "negative", "negative"),
        ("1", "irrelevant", "irrelevant"),
        ("2", "positive", "neutral"),
    ]


def test_a_row_without_a_partner_is_refused(tmp_path: Path) -> None:
    first = label_file(tmp_path / "first.jsonl", ["neg", "pos"])
    second = label_file(tmp_path / "second.jsonl", ["neg"])

    with pytest.raises(ConfigError, match=r"second\.jsonl: rows that the other file has are missing: 1; id: 1"):
        read_label_pairs(first, second, "target_sentiment")
    with pytest.raises(ConfigError, match=r"second\.jsonl: rows that the other file has are missing: 1; id: 1"):
        read_label_pairs(second, first, "target_sentiment")


def test_a_row_without_a_label_is_refused_with_its_line(tmp_path: Path) -> None:
    first = label_file(tmp_path / "first.jsonl", ["neg", ""])

    with pytest.raises(ConfigError, match=r"first\.jsonl, line 2: target_sentiment: expected a word, got ''"):
        read_label_pairs(first, first, "target_sentiment")


def test_an_id_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    first = label_file(tmp_path / "first.jsonl", ["neg"])
    first.write_text(first.read_text() * 2, encoding="utf-8")

    with pytest.raises(ConfigError, match="line 2: id: '0' occurs twice"):
        read_label_pairs(first, first, "target_sentiment")


def test_the_command_prints_each_kind_and_writes_the_report(tmp_path: Path) -> None:
    first = label_file(tmp_path / "first.jsonl", ["neg", "pos"] * 20)
    second = label_file(tmp_path / "second.jsonl", ["neg", "pos"] * 19 + ["neg", "neg"], field="mine")
    out = tmp_path / "report.json"

    done = CliRunner().invoke(app, ["agreement", str(first), str(second), "--second-field", "mine", "--json", str(out)])

    assert done.exit_code == 0, done.output
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["kind", "even", "odd", "all"]
    assert json.loads(out.read_text())["raw"] == 0.975

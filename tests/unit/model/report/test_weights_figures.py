"""`brandpulse model figures` on invented posts, with an engine that counts words."""

import gzip
import json
from pathlib import Path

import pytest

from brandpulse.errors import ConfigError
from model.checkpoints.multi_head import read_heads_manifest
from model.report.evaluation_run import EvaluatedModel
from model.report.weights_figures import figures_table, weights_figures
from model.spec.weights import WEIGHTS

MODEL = EvaluatedModel(weights=WEIGHTS, engine="keyword")
WORDS = {"neg": "awful", "neu": "plain", "pos": "great"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """30 posts, of which the engine misreads three negative ones."""
    rows = [{"text": f"{word} number {at}", "sentiment": label} for label, word in WORDS.items() for at in range(10)]
    for row in rows[:3]:
        row["text"] = row["text"].replace("awful", "great")
    with gzip.open(tmp_path / "sentiment_newest.val.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return tmp_path


def test_known_and_gold_sets_are_measured_and_missing_ones_listed(data: Path) -> None:
    report = weights_figures(data, MODEL, precisions=("int8",))
    assert report["version"] == read_heads_manifest(WEIGHTS).version
    assert set(report["sets"]) == {"sentiment_newest sentiment", "targets target_sentiment", "kinds sentiment"}
    newest = report["sets"]["sentiment_newest sentiment"]["int8"]
    assert (newest["n"], newest["macro_recall"]) == (30, pytest.approx(0.9))
    assert "goemotions" in report["missing"]
    assert "| sentiment_newest sentiment | 30 | macro recall | 0.900 [" in figures_table(report)


def test_with_other_weights_each_set_has_a_paired_comparison(data: Path) -> None:
    report = weights_figures(data, MODEL, precisions=("int8",), against=WEIGHTS)
    same = report["sets"]["sentiment_newest sentiment"]["against"]
    assert same["mcnemar"] == {"only_this_right": 0, "only_the_other_right": 0, "p": 1.0}


def test_a_folder_without_a_known_set_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sentiment_newest\.val\.jsonl\.gz"):
        weights_figures(tmp_path, MODEL, precisions=("int8",))

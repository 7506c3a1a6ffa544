"""`brandpulse model gap` on invented posts, with an engine that counts words."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from brandpulse.errors import ConfigError
from model.report.evaluation_run import EvaluatedModel
from model.report.gap_table import tables
from model.report.generalisation import measure_gap
from model.training.parts.folder import split_folder
from model.training.parts.rule import SplitRule

WORDS = {"neg": "awful", "neu": "plain", "pos": "great"}
LABELS = tuple(WORDS)


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    folder.mkdir(exist_ok=True)
    with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def post(number: int, *, topic: str, month: int = 1, wrong: bool = False) -> dict[str, Any]:
    """A post that the keyword engine reads correctly, unless *wrong*."""
    label = LABELS[number % 3]
    said = LABELS[(number + 1) % 3] if wrong else label
    return {
        "text": f"{topic} is {WORDS[said]}, number {number}",
        "target": topic,
        "target_sentiment": label,
        "ts": f"2025-{month:02}-01",
    }


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Known topics are read correctly; of the newest month 1 in 2, of unseen topics 1 in 3 posts are misread."""
    data = tmp_path / "data"
    known = [post(number, topic="Nordbank") for number in range(300)]
    newest = [post(number, topic="Nordbank", month=12, wrong=number % 2 == 0) for number in range(300, 420)]
    unseen = [post(number, topic="Aerolux", wrong=number % 9 < 3) for number in range(500, 680)]
    write(data, "reviews.train", [*known, *newest, *unseen])
    irrelevant = {"text": "other", "target": "Nordbank", "target_sentiment": "irr"}
    write(data, "reviews.val", [irrelevant, *(post(number, topic="Nordbank") for number in range(1000, 1240))])
    shop = [post(number, topic="Kiosk") | {"target_sentiment": LABELS[number % 3]} for number in range(60)]
    write(data, "shop.val", shop)
    rule = {
        "sets": {"reviews": {"topic": "target", "time": "ts"}},
        "parts": [
            {"name": "newest", "of": "reviews", "since": "2025-12"},
            {"name": "unseen", "of": "reviews", "where": {"target": ["Aerolux"]}, "topics": [0, 100]},
        ],
        "other_sets": ["shop"],
    }
    split_folder(data, tmp_path / "parts", SplitRule.model_validate(rule))
    return tmp_path / "parts"


def model(folder: Path, **recipe: Any) -> EvaluatedModel:
    folder.mkdir(exist_ok=True)
    (folder / "model.json").write_text(json.dumps({"recipe": recipe}), encoding="utf-8")
    return EvaluatedModel(weights=folder, engine="keyword")


def test_each_part_has_both_heads_on_the_same_rows(parts: Path, tmp_path: Path) -> None:
    report = measure_gap(parts, [model(tmp_path / "w")])
    newest = report["parts"]["newest"]
    assert newest["rows"] == 120
    assert newest["heads"]["target"]["macro_recall"]["value"] == 0.5
    assert newest["heads"]["whole_post"]["macro_recall"]["value"] == 0.5
    assert newest["target_minus_whole_post"]["macro_recall"] == [0, 0, 0]
    assert report["parts"]["reviews"]["rows"] == 240  # without the irrelevant row
    assert set(newest["heads"]["target"]) >= {"ece", "net_bias", "net_rmse_200"}


def test_the_gap_is_the_recall_on_familiar_minus_new_posts(parts: Path, tmp_path: Path) -> None:
    weights = model(tmp_path / "w", sources=[{"names": ["reviews"]}])
    gaps = measure_gap(parts, [weights])["gaps"]
    assert gaps["time"]["newest"]["target"][0] == 0.5
    assert gaps["columns"] == {}  # a part of topics with a condition on a column is a part of topics
    # 240 posts of the random part and 120 of the newest month are about the known topic: 300 of 360 are correct.
    assert gaps["topics"]["unseen"]["target"][0] == pytest.approx(300 / 360 - 2 / 3, abs=1e-3)


def test_known_and_unseen_sources_are_those_of_the_recipe(parts: Path, tmp_path: Path) -> None:
    assert measure_gap(parts, [model(tmp_path / "none")])["gaps"]["sources"] is None
    data = tmp_path / "data"
    write(data, "strange.val", [post(number, topic="Kiosk", wrong=True) for number in range(60)])
    rule = SplitRule.model_validate(
        {
            "sets": {"reviews": {"time": "ts"}},
            "parts": [{"name": "newest", "of": "reviews", "since": "2025-12"}],
            "other_sets": ["shop", "strange"],
        }
    )
    split_folder(data, tmp_path / "more", rule)
    found = measure_gap(tmp_path / "more", [model(tmp_path / "w", sources=[{"names": ["shop"]}])])["gaps"]["sources"]
    assert (found["known"], found["unseen"]) == (["shop"], ["strange"])
    assert found["target"][0] == 1.0


def test_parts_that_the_recipe_does_not_hold_out_are_marked(parts: Path, tmp_path: Path) -> None:
    sources = [{"names": ["reviews"]}]
    without = measure_gap(parts, [model(tmp_path / "w", sources=sources, held_out=["unseen"])])
    marks = {name: part["may_be_trained_on"] for name, part in without["parts"].items()}
    assert marks == {"reviews": [False], "newest": [True], "unseen": [False], "shop": [False]}
    shown = tables(without)
    assert "newest* " in shown
    assert "unseen* " not in shown
    assert "must not be compared" in shown


def test_a_comparison_is_paired_and_asks_for_seeds(parts: Path, tmp_path: Path) -> None:
    one, other = model(tmp_path / "w"), replace(model(tmp_path / "v"), engine="null")
    report = measure_gap(parts, [one], against=[other])
    # The other model says neutral for every post.
    found = report["parts"]["reviews"]["against"]["difference"]["target"]["macro_recall"]
    assert found == [pytest.approx(2 / 3, abs=1e-3)] * 3
    same = measure_gap(parts, [one], against=[one])
    assert same["parts"]["newest"]["against"]["difference"]["target"]["macro_recall"] == [0, 0, 0]
    assert "need 3 seeds" in tables(same)


def test_several_weights_give_their_mean_and_spread(parts: Path, tmp_path: Path) -> None:
    both = [model(tmp_path / "w"), replace(model(tmp_path / "v"), engine="null")]
    report = measure_gap(parts, both)
    recall = report["parts"]["reviews"]["heads"]["whole_post"]["macro_recall"]
    assert recall["each"] == [1.0, 0.3333]
    assert recall["value"] == pytest.approx(2 / 3, abs=1e-3)
    assert recall["spread"] == pytest.approx(2 / 3, abs=1e-3)
    assert "Means of 2 weights" in tables(report)


def test_unseen_topics_are_resampled_as_topics(parts: Path, tmp_path: Path) -> None:
    found = measure_gap(parts, [model(tmp_path / "w")])["parts"]
    assert (found["unseen"]["resampled"], found["newest"]["resampled"]) == ("topics", "texts")
    recall = found["unseen"]["heads"]["target"]["macro_recall"]
    assert recall["low"] == recall["high"] == recall["value"]  # one topic: every resample draws it


def test_a_limit_of_rows_is_the_same_for_every_model(parts: Path, tmp_path: Path) -> None:
    report = measure_gap(parts, [model(tmp_path / "w")], limit=50)
    assert {part["rows"] for part in report["parts"].values()} == {50}
    assert "fewer than 200" in report["gaps"]["topics"]["unseen"]


def test_a_changed_part_is_an_error_that_names_it(parts: Path, tmp_path: Path) -> None:
    write(parts, "newest.val", [post(1, topic="Nordbank")])
    with pytest.raises(ConfigError, match=r"newest\.val\.jsonl\.gz has changed"):
        measure_gap(parts, [model(tmp_path / "w")])


def test_a_folder_without_manifest_is_an_error_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no parts\.json\. Make the parts with `brandpulse model split`"):
        measure_gap(tmp_path, [model(tmp_path / "w")])

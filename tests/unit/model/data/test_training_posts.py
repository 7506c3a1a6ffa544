"""The posts of our own that train (`model/training_posts`), beside those that measure (`model/gold`)."""

import json
from collections import Counter
from typing import Any

import pytest

from brandpulse.text.normalization import normalize
from model.data.labelled_posts import leak_key
from model.data.training_examples import LONG_LABELS, merge_by_text, read_rows
from model.inputs.target_marking import find_target
from tests.support.repository import ROOT

POSTS = ROOT / "model/training_posts"
GOLD = ROOT / "model/gold"
FILES = sorted(path.name for path in POSTS.glob("*.jsonl") if not path.name.startswith("multilingual"))
"""English posts; `test_multilingual_posts` checks the others."""
FIELDS = {"text", "sentiment", "target", "target_sentiment", "kind", "id"}
BRANDS = 150


def rows(file: str) -> list[dict[str, Any]]:
    return read_rows(POSTS / file)


def text_keys(found: list[dict[str, Any]]) -> set[str]:
    return {leak_key(row["text"]) for row in found} - {""}


@pytest.mark.parametrize("file", FILES)
def test_each_row_has_a_text_and_known_labels(file: str) -> None:
    assert set().union(*rows(file)) <= FIELDS
    for row in rows(file):
        assert row["text"] == row["text"].strip() != "", row
        assert row["sentiment"] in {"neg", "neu", "pos"}, row
        assert ("target" in row) == ("target_sentiment" in row), row
        assert row.get("target_sentiment", "irr") in LONG_LABELS, row
        assert row["kind"], row


@pytest.mark.parametrize("name", sorted({file.split(".")[0] for file in FILES}))
def test_ids_and_pairs_of_text_and_target_are_unique(name: str) -> None:
    both = rows(f"{name}.train.jsonl") + rows(f"{name}.val.jsonl")
    for identity in (lambda row: row["id"], lambda row: (normalize(row["text"]).casefold(), row.get("target"))):
        assert [key for key, count in Counter(map(identity, both)).items() if count > 1] == []


@pytest.mark.parametrize("file", FILES)
def test_rows_with_one_text_agree_on_the_whole_post(file: str) -> None:
    moods: dict[str, set[str]] = {}
    for row in rows(file):
        moods.setdefault(row["text"], set()).add(row["sentiment"])
    assert [text for text, labels in moods.items() if len(labels) > 1] == []
    assert len(merge_by_text(rows(file))) == len(moods)


@pytest.mark.parametrize("name", sorted({file.split(".")[0] for file in FILES}))
def test_validation_brands_are_not_in_training(name: str) -> None:
    train, validation = (
        {row["target"].casefold() for row in rows(f"{name}.{part}.jsonl") if "target" in row}
        for part in ("train", "val")
    )
    assert train & validation == set()
    assert len(train) >= 100


def test_the_brands_are_many() -> None:
    assert len({row["target"].casefold() for file in FILES for row in rows(file) if "target" in row}) >= BRANDS


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("kinds")])
def test_a_target_of_a_kind_is_named_in_the_text(file: str) -> None:
    unnamed = [
        row
        for row in rows(file)
        if "target" in row and not find_target(normalize(row["text"], keep_handles=True), row["target"])
    ]
    assert unnamed == []


@pytest.mark.parametrize("file", [file for file in FILES if file.endswith(".train.jsonl")])
def test_no_kind_is_solved_by_one_label(file: str) -> None:
    field = "sentiment" if file.startswith("kinds") else "target_sentiment"
    labels: dict[str, Counter[str]] = {}
    for row in rows(file):
        labels.setdefault(row["kind"], Counter())[row[field]] += 1
    shares = {kind: max(counts.values()) / counts.total() for kind, counts in labels.items()}
    assert {kind: share for kind, share in shares.items() if share > 0.8} == {}


@pytest.mark.parametrize("gold", sorted(path.name for path in GOLD.glob("*.jsonl")))
def test_no_training_post_is_a_gold_post(gold: str) -> None:
    lines = (GOLD / gold).read_text(encoding="utf-8").splitlines()
    measured = text_keys([row for row in map(json.loads, lines) if "text" in row])
    assert {file: text_keys(rows(file)) & measured for file in FILES} == {file: set() for file in FILES}

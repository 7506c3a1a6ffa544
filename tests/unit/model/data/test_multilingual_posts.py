"""The posts in other languages that train and measure sentiment towards a brand."""

from collections import Counter
from typing import Any

import pytest

from brandpulse.text.normalization import normalize
from model.data.training_examples import read_rows
from model.inputs.target_marking import find_target
from tests.support.model.gold_sets import GOLD, TRAINING_POSTS, copied_texts
from tests.support.repository import ROOT

GOLD_ROWS = read_rows(GOLD / "multilingual_targets.jsonl")
TRAIN, VALIDATION = (
    read_rows(ROOT / f"model/training_posts/multilingual_targets.{part}.jsonl") for part in ("train", "val")
)
LANGUAGES = {"ar", "de", "es", "fr", "hi", "it", "pt"}
PARTS = {"train": TRAIN, "validation": VALIDATION, "gold": GOLD_ROWS}


@pytest.mark.parametrize(("part", "count"), [("train", 37), ("validation", 3), ("gold", 20)])
def test_each_language_has_as_many_rows(part: str, count: int) -> None:
    assert Counter(row["lang"] for row in PARTS[part]) == dict.fromkeys(LANGUAGES, count)


@pytest.mark.parametrize("rows", PARTS.values(), ids=PARTS.keys())
def test_rows_are_labelled_and_their_targets_named(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert row["sentiment"] in {"neg", "neu", "pos"}, row
        assert row["target_sentiment"] in {"neg", "neu", "pos", "irr"}, row
        assert find_target(normalize(row["text"], keep_handles=True), row["target"]), row
    assert len({row["id"] for row in rows}) == len(rows)


@pytest.mark.parametrize("part", ["train", "gold"])
def test_no_label_dominates_a_language(part: str) -> None:
    for language in LANGUAGES:
        labels = Counter(row["target_sentiment"] for row in PARTS[part] if row["lang"] == language)
        assert len(labels) == 4
        assert labels.most_common(1)[0][1] <= 0.4 * labels.total()


def test_measured_brands_and_texts_are_not_trained() -> None:
    trained = {row["target"].casefold() for row in TRAIN + VALIDATION}
    assert not trained & {row["target"].casefold() for row in GOLD_ROWS}
    assert not {row["target"] for row in TRAIN} & {row["target"] for row in VALIDATION}
    assert copied_texts(GOLD_ROWS, TRAIN + VALIDATION) == set()


@pytest.mark.parametrize("path", TRAINING_POSTS, ids=lambda path: path.name)
def test_no_other_training_post_resembles_a_gold_post(path: Any) -> None:
    assert copied_texts(GOLD_ROWS, read_rows(path)) == set()

"""The set in `model/gold` for sentiment towards a brand: well-formed, varied, and apart from other posts."""

import re
from collections import Counter
from pathlib import Path

import pytest

from model.data.labelled_posts import leak_key
from model.data.training_examples import read_rows
from model.evaluation.label_agreement import agreement_report, read_label_pairs
from tests.support.model.gold_sets import GOLD, TRAINING_POSTS, copied_texts, shared_shingles

ROWS = read_rows(GOLD / "targets.jsonl")
KIND_OF = {row["text"]: row["kind"] for row in ROWS}
POSTS = {
    "homonym": 60,
    "passing": 80,
    "reply_chain": 50,
    "rival_quote": 50,
    "two_brands": 60,
    "plain": 60,
    "other_mood": 40,
}
"""Posts per kind, as in the guideline."""


def test_the_set_has_400_posts_in_the_sizes_of_the_guideline() -> None:
    guideline = (GOLD / "TARGETS.md").read_text(encoding="utf-8")
    described = {kind: int(n) for kind, n in re.findall(r"^\| `(\w+)` \| (\d+) \|", guideline, re.MULTILINE)}

    assert Counter(KIND_OF.values()) == POSTS == described
    assert len(KIND_OF) == 400


def test_each_row_has_valid_labels_and_an_own_id() -> None:
    assert len({row["id"] for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row["target"].strip(), row
        assert row["kind"] == KIND_OF[row["text"]], row
        assert row["target_sentiment"] in {"neg", "neu", "pos", "irr"}, row
        assert row["sentiment"] in {"neg", "neu", "pos"}, row


def test_each_text_occurs_once_per_target() -> None:
    pairs = Counter((leak_key(row["text"]), row["target"]) for row in ROWS)

    assert max(pairs.values()) == 1
    assert len({leak_key(text) for text in KIND_OF}) == len(KIND_OF)


def test_rows_of_one_text_agree_on_the_whole_post() -> None:
    assert len({(row["text"], row["sentiment"]) for row in ROWS}) == len(KIND_OF)


def test_homonyms_mean_the_brand_in_half_of_the_posts() -> None:
    labels = Counter(row["target_sentiment"] for row in ROWS if row["kind"] == "homonym")

    assert labels["irr"] == 30


def test_each_label_occurs_often_enough_to_measure() -> None:
    assert min(Counter(row["target_sentiment"] for row in ROWS).values()) >= 75
    assert 0.25 < sum(row["target_sentiment"] == "irr" for row in ROWS) / len(ROWS) < 0.4


def test_two_brands_have_different_labels_in_most_posts() -> None:
    labels: dict[str, list[str]] = {}
    for row in ROWS:
        if row["kind"] == "two_brands":
            labels.setdefault(row["text"], []).append(row["target_sentiment"])

    assert {len(pair) for pair in labels.values()} == {2}
    assert sum(len(set(pair)) == 2 for pair in labels.values()) >= 50


def test_no_two_posts_share_five_words_in_a_row() -> None:
    assert not shared_shingles(ROWS)


@pytest.mark.parametrize("path", [GOLD / "kinds.jsonl", *TRAINING_POSTS], ids=lambda path: path.name)
def test_no_other_post_resembles_a_post_of_the_set(path: Path) -> None:
    assert not copied_texts(ROWS, read_rows(path)), "write the other post in other words"


def test_two_people_agree_and_the_label_is_one_of_theirs() -> None:
    for row in ROWS:
        assert row["target_sentiment"] in {row["first_label"], row["second_label"]}, row
    path = GOLD / "targets.jsonl"
    report = agreement_report(read_label_pairs(path, path, "first_label", "second_label"))

    assert report["kappa"] >= 0.8
    assert set(report["kinds"]) == set(POSTS)

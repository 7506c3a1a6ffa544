"""The challenge set of misread kinds in `model/gold`: well-formed, balanced, and apart from the training posts."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import model
from brandpulse.text.normalization import normalize
from model.data.labelled_posts import leak_key
from model.data.training_examples import read_rows
from model.inputs.target_marking import find_target

GOLD = Path(model.__file__).parent / "gold"
TRAINING_POSTS = sorted((GOLD.parent / "training_posts").glob("*.jsonl"))
ROWS = read_rows(GOLD / "kinds.jsonl")
KINDS = Counter(row["kind"] for row in ROWS)

POSTS_PER_KIND = 40
MAX_SHARE = 0.6
"""A constant answer must not reach more than this share of a kind."""
SHINGLE = 5


def shingles(text: str) -> Iterator[str]:
    """Every run of five words of *text*, without handles, links, case and punctuation."""
    words = leak_key(text).split()
    return (" ".join(words[at : at + SHINGLE]) for at in range(len(words) - SHINGLE + 1))


def test_each_kind_has_forty_posts() -> None:
    assert len(KINDS) == 13
    assert set(KINDS.values()) == {POSTS_PER_KIND}


def test_each_row_has_an_own_id_and_text_and_valid_labels() -> None:
    assert len({row["id"] for row in ROWS}) == len({leak_key(row["text"]) or row["text"] for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row["sentiment"] in {"neg", "neu", "pos"}, row
        assert row["target_sentiment"] in {"neg", "neu", "pos", "irr", None}, row
        assert (row["target"] is None) == (row["target_sentiment"] is None), row
        ironic = row["sentiment"] != "neu" or None
        assert row["sarcasm"] == {"irony": ironic, "sincere_praise": 0}.get(row["kind"]), row


def test_each_target_is_named_in_its_text() -> None:
    named = [row for row in ROWS if row["target"]]

    assert len(named) > 0.9 * len(ROWS)
    for row in named:
        assert find_target(normalize(row["text"], keep_handles=True), row["target"]), row


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("field", ["sentiment", "target_sentiment"])
def test_no_constant_answer_is_right_on_most_of_a_kind(kind: str, field: str) -> None:
    labels = Counter(row[field] for row in ROWS if row["kind"] == kind and row[field])

    assert max(labels.values()) <= (MAX_SHARE + 0.05 * (field == "target_sentiment")) * labels.total()
    assert {"neg", "neu", "pos"} <= set(labels)


def test_no_two_posts_share_five_words_in_a_row() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for row in ROWS:
        for shingle in shingles(row["text"]):
            found[shingle].add(row["id"])

    assert not {shingle: ids for shingle, ids in found.items() if len(ids) > 1}


@pytest.mark.parametrize("path", TRAINING_POSTS, ids=lambda path: path.name)
def test_no_training_post_resembles_a_gold_post(path: Path) -> None:
    keys = {leak_key(row["text"]) for row in ROWS} - {""}
    runs = {shingle for row in ROWS for shingle in shingles(row["text"])}

    copied = [row["text"] for row in read_rows(path) if leak_key(row["text"]) in keys]
    alike = {shingle: row["text"] for row in read_rows(path) for shingle in shingles(row["text"]) if shingle in runs}
    assert not copied
    assert not alike, "write the training post in other words"


def test_the_guideline_describes_each_kind() -> None:
    guideline = (GOLD / "KINDS.md").read_text(encoding="utf-8")

    assert set(re.findall(r"^\| `(\w+)` \|", guideline, re.MULTILINE)) == set(KINDS)

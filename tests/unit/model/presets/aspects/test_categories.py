"""Categories of aspect terms."""

import json
from pathlib import Path

import numpy as np
import pytest

from brandpulse.errors import ConfigError
from model.presets.aspects.categories import OTHER, Categories, Floats, read_map
from model.presets.aspects.preset import GOLD_TERMS, categories_row


def by_letters(words: str) -> Floats:
    """A simple embedding: the count of each character."""
    return np.array([words.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"], dtype=np.float32) + 1e-3


@pytest.mark.parametrize(
    ("term", "category"),
    [
        ("waiter", "service"),
        ("Waitresses", "service"),
        ("wait staff", "service"),
        ("bottle of wine", "drinks"),
        ("glass of Spanish wine", "drinks"),
        ("service of the bar", "service"),
        ("slices of pizza", "food"),
        ("wine list", "drinks"),
        ("lobster bisque sauce", "food"),
        ("dining room", "ambience"),
        ("menu prices", "price"),
        ("cherries and berries", "food"),
        ("of", OTHER),
        ("zxqj", OTHER),
        ("", OTHER),
        ("!!!", OTHER),
    ],
)
def test_a_term_has_the_category_of_its_head_word(term: str, category: str) -> None:
    assert Categories(read_map("restaurants"))(term) == category


def test_an_unlisted_word_gets_the_nearest_category() -> None:
    categories = Categories({"pets": ["cats", "dogs"], "tools": ["hammer", "chisel"]}, by_letters, least=0.5)

    assert categories("catdog") == "pets"
    assert categories("hammerchisel") == "tools"
    assert categories("zzz") == OTHER


def test_a_word_has_different_categories_in_different_maps() -> None:
    assert Categories(read_map("electronics"))("service") == "support"
    assert Categories(read_map("restaurants"))("service") == "service"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("other: {a: [b]}", "no map 'mine'; the maps are other"),
        ("mine: [a, b]", r"map 'mine': expected `category: \[word, …\]`"),
        ("mine: {a: []}", "map 'mine': expected"),
        ("mine: {a: [1]}", "map 'mine': expected"),
        ("[", "cannot be read as YAML"),
    ],
)
def test_an_invalid_map_is_named(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError, match=complaint):
        read_map("mine", path)


def test_the_gold_terms_use_the_maps_categories() -> None:
    rows = [json.loads(line) for line in GOLD_TERMS.read_text(encoding="utf-8").splitlines()]

    assert {row["category"] for row in rows} <= {*read_map("restaurants"), OTHER}
    assert categories_row(Categories(read_map("restaurants"))).n == len(rows) == len({row["term"] for row in rows})


def test_the_lists_alone_find_two_thirds_of_the_gold_terms() -> None:
    assert categories_row(Categories(read_map("restaurants"))).value > 0.65

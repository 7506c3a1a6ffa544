"""The input of presets: their own files, data sets, and reviews in several formats."""

import gzip
from collections import Counter
from pathlib import Path

import pytest

from brandpulse.errors import ConfigError
from model.presets.preset import RECIPES, data_file, preset, presets
from model.presets.review_data import imdb_reviews, sample_reviews, sst2, without_held_out
from model.training.fit.recipe import HeadsRecipe, Schedule

NEVER_PASSED_ON = {"airline", "financial_phrasebank", "aspect_rest14", "aspect_laptop14"}


def test_each_preset_names_its_data_and_their_terms() -> None:
    every = list(presets())

    assert [one.name for one in every] == ["aspects", "finance", "reviews", "tickets", "tweets"]
    assert {path.stem for path in RECIPES.glob("*.yaml")} == {one.name for one in every}
    assert all(data.what and data.terms for one in every for data in one.data)


def test_data_that_may_not_be_redistributed_is_marked() -> None:
    marked = {file.split(".")[0]: data.publish for one in presets() for data in one.data for file in data.files}

    assert {name for name, publish in marked.items() if not publish} == NEVER_PASSED_ON


@pytest.mark.parametrize("name", ["reviews", "finance"])
def test_each_preset_recipe_is_a_valid_recipe(name: str) -> None:
    assert HeadsRecipe.model_validate(preset(name).recipe).weights == {"sentiment": 1.0}


def test_the_taggers_recipe_is_a_schedule() -> None:
    assert Schedule.model_validate(preset("aspects").recipe).epochs > 0


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="Unknown preset 'poems'; the presets are aspects, finance"):
        preset("poems")


def test_a_file_is_found_in_the_folder_or_one_below(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.gz").touch()
    (tmp_path / "b.gz").touch()

    assert data_file(tmp_path, "a.gz") == tmp_path / "below" / "a.gz"
    assert data_file(tmp_path, "b.gz") == tmp_path / "b.gz"
    with pytest.raises(ConfigError, match=r"c\.gz is neither there nor in a subfolder"):
        data_file(tmp_path, "c.gz")


def a_tab_file(path: Path, *lines: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))


def test_sentences_are_read_with_their_labels(tmp_path: Path) -> None:
    a_tab_file(tmp_path / "sst2" / "train.tsv.gz", "a fine\ttab\t1", "a dull film\t0")
    a_tab_file(tmp_path / "sst2" / "dev.tsv.gz", "so so\t0")

    train, held_out = sst2(tmp_path, preset("reviews"))

    assert train == [("a fine\ttab", "positive"), ("a dull film", "negative")]
    assert held_out == [("so so", "negative")]


@pytest.mark.parametrize("line", ["a film", "a film\t2", "\t1"])
def test_an_invalid_line_is_named(line: str, tmp_path: Path) -> None:
    a_tab_file(tmp_path / "train.tsv.gz", "good\t1", line)
    a_tab_file(tmp_path / "dev.tsv.gz", "good\t1")

    with pytest.raises(ConfigError, match="line 2: expected a sentence, a tab and 0 or 1"):
        sst2(tmp_path, preset("reviews"))


def test_imdb_is_read_from_its_folder(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for label in ("pos", "neg"):
            (tmp_path / part / label).mkdir(parents=True)
            (tmp_path / part / label / "1_9.txt").write_text(f"{part} {label}<br />end", encoding="utf-8")

    train, test = imdb_reviews(tmp_path)

    assert train == [("train neg end", "negative"), ("train pos end", "positive")]
    assert Counter(label for _, label in test) == {"negative": 1, "positive": 1}


@pytest.mark.parametrize("header", ["review,sentiment", "text,label"])
def test_imdb_is_read_from_a_table(header: str, tmp_path: Path) -> None:
    path = tmp_path / "imdb.csv"
    path.write_text(f'{header}\n"Fine, really",positive\nDull,neg\nOh no,0\nYes,1\n', encoding="utf-8")

    assert imdb_reviews(path) == (
        [("Fine, really", "positive"), ("Dull", "negative")],
        [("Oh no", "negative"), ("Yes", "positive")],
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a,b\n1,2\n", "line 2: expected review"),
        ("text,label\nfine,great\n", "line 2: expected review .* of 0, 1, neg"),
        ("text,label\nfine,1\n", "1 reviews"),
        ("", "0 reviews"),
    ],
)
def test_a_table_without_reviews_is_named(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "imdb.csv"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError, match=complaint):
        imdb_reviews(path)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="train/pos and train/neg contain no reviews"):
        imdb_reviews(tmp_path)


def test_evaluation_reviews_are_not_trained_on() -> None:
    assert without_held_out([("A dull film!", "negative"), ("Fine", "positive")], [("a dull film", "negative")]) == [
        ("Fine", "positive")
    ]


def test_a_sample_is_reproducible() -> None:
    rows = [(str(at), "positive") for at in range(50)]

    assert sample_reviews(rows, 10, seed=1) == sample_reviews(rows, 10, seed=1) != sample_reviews(rows, 10, seed=2)
    assert sorted(sample_reviews(rows, 99, seed=1)) == sorted(rows)

"""Accuracy of the language identification."""

import gzip
from pathlib import Path

import pytest

from brandpulse.bench.languages import GOLD_FILE, evaluate_languages, labelled_texts, length_class, run, total
from brandpulse.errors import ConfigError
from brandpulse.text.languages import LanguageIdentifier

ENGLISH = LanguageIdentifier(["en"])


def test_right_and_wrong_answers_are_counted_by_language_and_length() -> None:
    texts = [
        ("they do not care about us and never did", "en"),
        ("they do not care about us and never did", "de"),
        ("lol", "en"),
        ("снова отменили мой рейс и не возвращают", "ru"),
    ]
    reports = evaluate_languages(ENGLISH, texts)
    assert (reports["en", "30+"].right, reports["de", "30+"].right, reports["ru", "30+"].right) == (1, 0, 1)
    assert reports["de", "30+"].wrong == {"en": 1}
    whole = total(reports, "30+")
    assert (whole.texts, whole.right, round(whole.accuracy, 2)) == (3, 2, 0.67)


def test_length_is_that_of_the_words() -> None:
    assert length_class("@acme http://x.io #never 😡 oh no") == "<12"
    assert length_class("oh no, not again") == "12-29"


def test_row_without_a_language_is_english(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "a"}\n{"text": "b", "lang": "de"}\n'))
    assert labelled_texts([path]) == [("a", "en"), ("b", "de")]


def test_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text('{"text": "a"}\n{"lang": "de"}\n')
    with pytest.raises(ConfigError, match=r"posts\.jsonl, line 2"):
        labelled_texts([path])


def test_shipped_posts_are_measured(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run([GOLD_FILE], languages=["en", "de"], json_out=tmp_path / "figures.json")
    assert "CPU time for 1,000 texts" in capsys.readouterr().out
    assert (tmp_path / "figures.json").exists()
    languages = {language for _, language in labelled_texts([GOLD_FILE])}
    assert len(languages) >= 20

"""The support desk's words for the model's emotions."""

import re
from typing import Any

import pytest

from model.serve.desk import LEFT_OUT, MOOD_WORDS, WORDS, words
from model.spec.heads import EMOTIONS, MOODS
from tests.support.repository import ROOT


def moods(**shares: float) -> dict[str, Any]:
    return {"mood": {"probabilities": shares}}


def test_each_emotion_has_one_word_or_is_left_out_on_purpose() -> None:
    assert sorted([label for labels in WORDS.values() for label in labels] + list(LEFT_OUT)) == sorted(EMOTIONS)
    assert set(MOOD_WORDS) | {"optimism"} == set(MOODS)
    assert set(MOOD_WORDS.values()) <= set(WORDS)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ({}, []),
        ({"emotions": {"labels": []}}, []),
        ({"emotions": {"labels": ["surprise", "neutral"]}}, []),
        ({"emotions": {"labels": ["joy", "annoyance", "anger"]}}, ["angry", "happy"]),
        (moods(anger=0.5, joy=0.5), ["angry", "happy"]),
        (moods(anger=0.49, joy=0.2, optimism=0.2, sadness=0.11), []),
        (moods(optimism=0.9), []),
        ({"emotions": {"labels": ["anger"]}} | moods(sadness=0.8), ["angry", "disappointed"]),
    ],
)
def test_a_word_holds_for_any_of_its_emotions_or_for_a_likely_mood(score: dict[str, Any], expected: list[str]) -> None:
    assert words(score) == expected


def test_the_recipe_s_table_is_the_mapping() -> None:
    recipe = (ROOT / "docs" / "helpdesk.md").read_text(encoding="utf-8")
    _, *rows = re.findall(r"^\| (\w+) \| ([a-z, ]+) \| (\w*) ?\|$", recipe, re.MULTILINE)

    told = {word: tuple(emotions.split(", ")) for word, emotions, _ in rows}
    assert told == {**WORDS, "none": LEFT_OUT}
    assert {mood: word for word, _, mood in rows if mood and word != "none"} == MOOD_WORDS

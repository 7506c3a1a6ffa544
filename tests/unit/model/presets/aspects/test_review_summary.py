"""The summary of a review's aspects, and its evaluation."""

from collections.abc import Sequence

import numpy as np
import pytest

from model.presets.aspects.categories import Categories
from model.presets.aspects.data import Sentence, Span
from model.presets.aspects.preset import span_sentiments, tally_answers, tally_rows
from model.presets.aspects.review_summary import summaries
from tests.support.model.keyword_scorer import WordScorer

CATEGORIES = Categories({"food": ["soup", "salad"], "service": ["waiter"]})


class Finds:
    """A tagger with a fixed list of terms."""

    def __init__(self, *terms: str) -> None:
        self._terms = terms

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        return [
            sorted((text.index(term), text.index(term) + len(term)) for term in self._terms if term in text)
            for text in texts
        ]


def summary(review: str, *terms: str) -> dict[str, object]:
    found = summaries([review], tagger=Finds(*terms), scorer=WordScorer(), categories=CATEGORIES)  # type: ignore[arg-type]
    return found[0]


def test_each_aspect_has_its_own_sentiment() -> None:
    found = summary("The soup positive the waiter negative", "soup", "waiter")

    aspects = found["aspects"]
    assert isinstance(aspects, list)
    assert [(one["term"], one["category"], one["sentiment"]) for one in aspects] == [
        ("soup", "food", "positive"),
        ("waiter", "service", "negative"),
    ]
    assert all(sum(one["probabilities"].values()) == pytest.approx(1.0, abs=1e-3) for one in aspects)


def test_a_review_of_several_sentences_counts_by_category() -> None:
    found = summary("The soup positive . A salad positive !\nBut the waiter negative", "soup", "salad", "waiter")

    assert found["categories"] == {"food": {"positive": 2}, "service": {"negative": 1}}


def test_a_term_without_category_is_other() -> None:
    assert summary("the parking negative", "parking")["categories"] == {"other": {"negative": 1}}


@pytest.mark.parametrize("review", ["", "   \n ", "Nothing of note."])
def test_a_review_without_aspects_has_an_empty_list(review: str) -> None:
    found = summary(review, "soup")

    assert (found["aspects"], found["categories"], found["text"]) == ([], {}, review)


def test_reviews_keep_their_own_aspects() -> None:
    both = summaries(
        ["soup positive. Fine.", "", "the waiter negative"],
        tagger=Finds("soup", "waiter"),  # type: ignore[arg-type]
        scorer=WordScorer(),
        categories=CATEGORIES,
    )

    assert [[one["term"] for one in found["aspects"]] for found in both] == [["soup"], [], ["waiter"]]


def test_no_texts_and_no_spans_have_no_answers() -> None:
    assert span_sentiments(WordScorer(), [], []) == []
    assert span_sentiments(WordScorer(), ["a", "soup negative"], [[], [(0, 4)]])[0] == []


GIVEN = [
    Sentence("soup positive and waiter negative", {"soup": "positive", "waiter": "negative"}),
    Sentence("salad negative", {"salad": "positive"}),
]


def test_found_labelled_and_correct_terms_are_counted() -> None:
    counted = tally_answers(GIVEN, Finds("soup", "salad", "and"), WordScorer())  # type: ignore[arg-type]
    found = counted.figures(np.arange(2))

    assert found == pytest.approx(
        {
            "term precision": 2 / 3,
            "term recall": 2 / 3,
            "term F1": 2 / 3,
            "polarity accuracy, listed terms": 2 / 3,
            "polarity accuracy, found terms": 1 / 2,
            "pair F1": 1 / 3,
        }
    )


def test_a_tagger_that_finds_nothing_has_no_precision() -> None:
    counted = tally_answers(GIVEN, Finds(), WordScorer())  # type: ignore[arg-type]

    assert counted.figures(np.arange(2))["term F1"] == 0.0
    assert tally_rows("a", "b", counted)[0].interval == (0.0, 0.0)

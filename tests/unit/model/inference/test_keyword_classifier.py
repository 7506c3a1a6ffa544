import pytest

from model.inference.keyword_classifier import KeywordClassifier
from model.spec.heads import SENTIMENT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("awful, just awful", "negative"),
        ("I love it", "positive"),
        ("the shop opens at nine", "neutral"),
        ("", "neutral"),
        ("good start, terrible and broken end", "negative"),
    ],
)
def test_the_label_with_more_keywords_wins(text: str, expected: str) -> None:
    scores = KeywordClassifier().probabilities([text])
    assert SENTIMENT[int(scores[0].argmax())] == expected


def test_a_thousand_keywords_give_finite_scores() -> None:
    scores = KeywordClassifier().probabilities(["awful " * 1_000])
    assert scores[0, 0] > 0.99

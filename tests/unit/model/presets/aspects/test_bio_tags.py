"""Conversion of aspect terms to tags of word pieces and back."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from model.presets.aspects.bio_tags import FIRST, FURTHER, OUTSIDE, UNTAGGED, spans_of_tags, tag_pieces
from model.presets.aspects.data import Sentence, found_terms, group_sentences, term_key
from model.spec.weights import WEIGHTS

WORDS = ["the", "soup", "was", "cold", "tagliatelle", "crème-brûlée", "wait", "staff", "n't", "(sic)", "$9.50", "👍"]


@cache
def tokenizer() -> Tokenizer:
    found = Tokenizer.from_file(str(WEIGHTS / "tokenizer.json"))
    found.no_padding()
    found.no_truncation()
    return found


def round_trip(text: str, spans: list[tuple[int, int]]) -> list[str]:
    encoding = tokenizer().encode(text)
    said = [OUTSIDE if tag == UNTAGGED else tag for tag in tag_pieces(encoding, spans, len(encoding.ids))]
    return found_terms(text, spans_of_tags(encoding, said, len(encoding.ids)))


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("The soup was cold .", ["soup"]),
        ("Great wait staff, great tagliatelle!", ["wait staff", "tagliatelle"]),
        ("wine-by-the-glass and crème brûlée", ["wine-by-the-glass", "crème brûlée"]),
        ("nothing to see", []),
        ("soup", ["soup"]),
        ("soup salad", ["soup", "salad"]),
    ],
)
def test_terms_are_recovered_from_their_tags(text: str, terms: list[str]) -> None:
    spans = [(text.index(term), text.index(term) + len(term)) for term in terms]

    assert round_trip(text, spans) == terms


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12), st.data())
def test_any_words_are_recovered_from_their_tags(chosen: list[str], data: st.DataObject) -> None:
    text = " ".join(chosen)
    starts = [sum(len(word) + 1 for word in chosen[:at]) for at in range(len(chosen))]
    spans, at = [], 0
    while at < len(chosen):
        width = data.draw(st.integers(0, 2))
        if width:
            last = min(at + width, len(chosen)) - 1
            # A character without a token belongs to no term.
            if all(tokenizer().encode(word, add_special_tokens=False).ids for word in chosen[at : last + 1]):
                spans.append((starts[at], starts[last] + len(chosen[last])))
        at += max(width, 1)

    assert round_trip(text, spans) == found_terms(text, spans)


def test_a_further_word_without_a_first_one_starts_a_term() -> None:
    encoding = tokenizer().encode("the wait staff")  # [CLS] the wait staff [SEP]

    assert spans_of_tags(encoding, [0, OUTSIDE, FURTHER, FURTHER, 0], 5) == [(4, 14)]
    assert spans_of_tags(encoding, [0, FIRST, FIRST, FURTHER, 0], 5) == [(0, 3), (4, 14)]


def test_pieces_after_a_words_first_one_are_not_trained() -> None:
    encoding = tokenizer().encode("tagliatelle")

    assert tag_pieces(encoding, [(0, 11)], len(encoding.ids)) == [
        UNTAGGED,
        FIRST,
        *[UNTAGGED] * (len(encoding.ids) - 2),
    ]


def test_truncated_words_are_not_tagged() -> None:
    encoding = tokenizer().encode("the soup was cold and the wine warm")

    assert len(tag_pieces(encoding, [(4, 8), (26, 30)], 5)) == 5
    assert spans_of_tags(encoding, [0, 0, FIRST, 0, 0], 5) == [(4, 8)]


def test_rows_with_one_text_are_one_sentence() -> None:
    rows = [
        {"text": "Good soup , slow waiter", "target": "soup", "target_sentiment": "pos"},
        {"text": "Good soup , slow waiter", "target": "waiter", "target_sentiment": "neg"},
        {"text": "Nice", "target": "Nice", "target_sentiment": "neu"},
    ]

    assert group_sentences(rows) == [
        Sentence("Good soup , slow waiter", {"soup": "positive", "waiter": "negative"}),
        Sentence("Nice", {"Nice": "neutral"}),
    ]


@pytest.mark.parametrize(
    ("text", "terms", "found"),
    [
        ("the wine list, and wine", ["wine list", "wine"], ["wine list", "wine"]),
        ("soup after soup", ["soup"], ["soup", "soup"]),
        ("the price was right", ["costs"], []),
    ],
)
def test_of_overlapping_terms_the_longer_is_used(text: str, terms: list[str], found: list[str]) -> None:
    assert found_terms(text, Sentence(text, dict.fromkeys(terms, "neutral")).spans()) == found


def test_spellings_of_a_term_share_a_key() -> None:
    assert term_key('"Sales" team') == term_key("sales  Team") != term_key("sale team")

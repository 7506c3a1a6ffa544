import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brandpulse.text.terms import MOST_TERMS, MOST_WORD_CHARS, terms_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Lost luggage, refund", ("lost", "luggage", "lost luggage", "refund")),
        ("the luggage of my flight", ("luggage", "flight")),
        ("Don’t check-in", ("check-in",)),
        ("LOST lost Lost", ("lost",)),
        ("@acmeair @ann@example.social mail me@x.org or https://t.co/abc www.x.org", ("mail",)),
        ("#fail &amp; ｄｅｌａｙ", ("fail", "delay")),
        ("", ()),
        ("x" * (MOST_WORD_CHARS + 1), ()),
        ("404 42", ()),
    ],
    ids=lambda value: str(value)[:30],
)
def test_terms_are_words_and_adjacent_pairs(text: str, expected: tuple[str, ...]) -> None:
    assert terms_of(text) == expected


@given(st.text(max_size=400))
def test_terms_are_few_short_and_without_control_characters(text: str) -> None:
    terms = terms_of(text)
    assert len(set(terms)) == len(terms) <= MOST_TERMS
    for term in terms:
        assert len(term) <= 2 * MOST_WORD_CHARS + 1
        assert "@" not in term
        assert not any(unicodedata.category(character).startswith("C") for character in term)


@pytest.mark.parametrize("text", ["a" * 20_000, "@" * 20_000, "a-" * 10_000, "&#" * 10_000, "ﷺ" * 20_000])
def test_hostile_text_takes_little_time(text: str) -> None:
    terms_of(text)

"""Posts of each brand by language, as a partition's state holds them."""

import pytest

from brandpulse.errors import StateError
from brandpulse.state.outcomes.language_counts import (
    BRANDS,
    OTHER_BRANDS,
    decode_language_counts,
    encode_language_counts,
    total_by_brand,
    with_added_languages,
)


def test_added_posts_are_summed_by_brand_and_language() -> None:
    before = with_added_languages((), {("Bolt", "en"): 1, ("Acme", "de"): 2})
    after = with_added_languages(before, {("Acme", "de"): 3, ("Acme", "ar"): 1})
    assert after == (("Acme", (("ar", 1), ("de", 5))), ("Bolt", (("en", 1),)))
    assert with_added_languages(after, {}) is after


def test_batches_in_any_split_give_the_same_counts() -> None:
    posts = [(f"brand {number % 7}", "en" if number % 3 else "other") for number in range(40)]
    whole = with_added_languages((), {one: posts.count(one) for one in posts})
    split: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = ()
    for one in posts:
        split = with_added_languages(split, {one: 1})
    assert split == whole


def test_brands_beyond_the_limit_are_counted_together() -> None:
    many = with_added_languages((), {(f"{number:04}", "en"): 1 for number in range(BRANDS)})
    after = with_added_languages(many, {("a new one", "de"): 2, ("another", "en"): 1, ("0000", "fr"): 1})
    assert len(after) == BRANDS + 1
    assert dict(after)[OTHER_BRANDS] == (("de", 2), ("en", 1))
    assert dict(after)["0000"] == (("en", 1), ("fr", 1))


def test_stored_counts_are_read_back() -> None:
    counts = with_added_languages((), {("Zest / Söhne & Co", "hi"): 4})
    assert decode_language_counts(encode_language_counts(counts)) == counts
    assert decode_language_counts(encode_language_counts(())) == ()


@pytest.mark.parametrize("stored", [b"x", b'{"Acme": 1}', b'[["Acme", [["en", "many"]]]]'])
def test_damaged_counts_raise_a_state_error(stored: bytes) -> None:
    with pytest.raises(StateError, match="posts by language"):
        decode_language_counts(stored)


def test_total_has_the_most_frequent_language_first() -> None:
    one = with_added_languages((), {("Acme", "de"): 2, ("Acme", "en"): 1})
    other = with_added_languages((), {("Acme", "en"): 5})
    assert list(total_by_brand([one, other])["Acme"].items()) == [("en", 6), ("de", 2)]

from typing import Any

import pytest

from brandpulse.config.brand_warnings import brand_warnings
from brandpulse.config.brands_file import BrandsFile
from brandpulse.text.brand_matcher import BrandMatcher


def warned(**brand: Any) -> list[str]:
    file = BrandsFile.model_validate({"brands": [{"name": "A", **brand}]})
    return [f"{warning} -> {warning.remedy}" for warning in brand_warnings(file)]


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("acme AND air", "AND, OR and NOT are read as words"),
        ("acme NEAR/3 delay", "AND, OR and NOT are read as words"),
        ("acme || acmeair", "AND, OR and NOT are read as words"),
        ("acme*", "a wildcard is read as a character"),
        ("ac?me", "a wildcard is read as a character"),
        ('"acme air"', "quotation marks and brackets"),
        ("(acme air)", "quotation marks and brackets"),
        ("“acme air”", "quotation marks and brackets"),
        ("-airbrush", "a minus is read as a character"),
        ("title:acme", "a field name is read as part"),
        ("acme~2", "a sign of a search query"),
    ],
)
def test_search_query_syntax_in_a_term_warns(term: str, expected: str) -> None:
    [warning] = warned(terms=[term])
    assert expected in warning
    # The warning is true: the words alone do not match.
    file = BrandsFile.model_validate({"brands": [{"name": "A", "terms": [term]}]})
    assert BrandMatcher(file.brands).match("acme air is late, acme again: airbrush") == ()


@pytest.mark.parametrize("term", ["zoom", "Monday", "target", "Apple", "orange", "next"])
def test_ordinary_word_without_required_context_warns(term: str) -> None:
    [warning] = warned(terms=[term])
    assert "ordinary word" in warning
    assert warned(terms=[term], require=["app"]) == []


@pytest.mark.parametrize("term", ["hp", "3M", "a"])
def test_term_of_two_letters_warns(term: str) -> None:
    [warning] = warned(terms=[term])
    assert "letters also matches abbreviations" in warning


@pytest.mark.parametrize(
    "term",
    ["acme air", "Nordbank", "McDonald's", "AT&T", "Zürich Re", "Yahoo!", "C++ Builder", "日産", "orange juice co"],
)
def test_usual_name_does_not_warn(term: str) -> None:
    assert warned(terms=[term]) == []


@pytest.mark.parametrize("brand", [{"handles": ["acme air"]}, {"hashtags": ["acme-air"]}, {"hashtags": ["acme air"]}])
def test_impossible_handle_or_hashtag_warns(brand: dict[str, list[str]]) -> None:
    [warning] = warned(**brand)
    assert "matches nothing" in warning


@pytest.mark.parametrize("handle", ["@acmeair", "acme_air", "acme.bsky.social", "acme@mastodon.social", "acmeair2"])
def test_usual_handle_does_not_warn(handle: str) -> None:
    assert warned(handles=[handle]) == []


def test_word_of_two_brands_warns() -> None:
    brands = [{"name": "A", "terms": ["acme"]}, {"name": "B", "terms": ["Acme"], "handles": ["b"]}]
    [warning] = brand_warnings(BrandsFile.model_validate({"brands": brands}))
    assert (warning.brand, warning.fault) == ("B", "it names brand 'A' too, so its posts count for both")

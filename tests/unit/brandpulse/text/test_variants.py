"""Other spellings of a brand's words, and the switch of each kind."""

from typing import Any

import pytest
from pydantic import ValidationError

from brandpulse.config.brands_file import BrandsFile
from brandpulse.text.brand_matcher import BrandMatcher
from brandpulse.text.characters import normalize_text
from brandpulse.text.match_form import match_form_with_origins


def matched(text: str, term: str, **variants: Any) -> bool:
    file = BrandsFile.model_validate({"brands": [{"name": "B", "terms": [term]}], "variants": variants})
    return BrandMatcher(file.brands).match(text) == ("B",)


@pytest.mark.parametrize(
    ("term", "text", "switch"),
    [
        ("acme air", "acmeair is late", {"joined": False}),
        ("acme air", "acme-air is late", {"joined": False}),
        ("acme-air", "acme air is late", {"joined": False}),
        ("J.P. Mordan", "JP Mordan fees", {"joined": False}),
        ("bolt & nut", "Bolt&Nut closed", {"joined": False}),
        ("bolt & nut", "bolt and nut closed", {"joined": False}),
        ("acme air", "#AcmeAir", {"joined": False, "hashtags": False}),
        ("acme air", "#acme_air", {"hashtags": False}),
        ("at&t", "#ATT again", {"hashtags": False}),
        ("acme air", "#AcmeAirFail", {"hashtag_endings": []}),
        ("acme air", "#AcmeAirFail", {"hashtags": False}),
        ("nordbank", "#NordbankDown!", {"hashtag_endings": ["fail"]}),
        ("zürich re", "Zurich Re pays", {"accents": False}),
        ("zurich re", "Zürich Re pays", {"accents": False}),
        ("zürich re", "ZUERICH RE pays", {"accents": False}),
        ("smørbro", "Smorbro is good", {"accents": False}),
        ("Άλφα", "ΑΛΦΑ", {"accents": False}),
        ("mcgill's", "McGills buses", {"apostrophes": False}),
        ("mcgill's", "McGill`s buses", {"apostrophes": False}),
        ("mcgills", "McGill's buses", {"apostrophes": False}),
        ("acme", "\u0410cm\u0435 is late", {"lookalikes": False}),
        ("acme", "ᴀᴄᴍᴇ is late", {"lookalikes": False}),
        ("نورتل", "خدمة بنورتل", {"prefixes": False}),
        ("الأهلي", "للأهلي", {"prefixes": False}),
        ("בזקטל", "נורא לבזקטל", {"prefixes": False}),
        ("نورتل", "نـورتل", {"vowel_marks": False}),
        ("نورتل", "نُورْتَل", {"vowel_marks": False}),
        ("בזקטל", "בָּזֶקטל", {"vowel_marks": False}),
    ],
)
def test_variant_matches_unless_its_switch_is_off(term: str, text: str, switch: dict[str, Any]) -> None:
    assert matched(text, term)
    assert not matched(text, term, **switch)
    assert matched(f"so {term} it is", term, **switch)


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ("acme air", "#AcmeAirlines"),
        ("acme air", "#AcmeAirFail2026"),
        ("acme air", "acmeairfail"),
        ("target", "#targetdown"),
        ("any one", "anyone there"),
        ("a-1", "a 1 in 5 chance"),
        ("we'll", "all is well"),
        ("мой", "мои"),
        ("сор", "a cop"),
        ("cop", "сор"),
    ],
)
def test_word_with_another_meaning_does_not_match(term: str, text: str) -> None:
    assert not matched(text, term)


@pytest.mark.parametrize("apostrophe", "'’‘ʼ´′＇")
def test_kinds_of_apostrophe_are_always_the_same(apostrophe: str) -> None:
    assert matched(f"McGill{apostrophe}s buses", "mcgill's", apostrophes=False)


@pytest.mark.parametrize("invisible", ["\u200b", "\u034f", "\u200e", "\u202e", "\u2066", "\u00ad"])
def test_invisible_character_in_a_name_makes_no_difference(invisible: str) -> None:
    assert matched(f"ac{invisible}me air", "acme air")


def test_brand_overrides_the_switches_of_the_file() -> None:
    brands = [
        {"name": "Exact", "terms": ["año"]},
        {"name": "Loose", "terms": ["año"], "variants": {"accents": True}},
    ]
    file = BrandsFile.model_validate({"brands": brands, "variants": {"accents": False, "joined": False}})
    matcher = BrandMatcher(file.brands)
    assert matcher.match("un ano") == ("Loose",)
    assert matcher.match("un año") == ("Exact", "Loose")
    assert not file.brands[1].variants.joined


def test_hit_is_located_in_the_normalized_text() -> None:
    file = BrandsFile.model_validate({"brands": [{"name": "B", "terms": ["نورتل", "coeur"]}]})
    matcher = BrandMatcher(file.brands)
    for text, written in (("خدمة نُورْتَل غدا", "نُورْتَل"), ("un  cœur ici", "cœur")):
        normalized = normalize_text(text)
        [(start, end, _)] = matcher.locate(matcher.find_hits(normalized), ["B"])
        assert normalized[start:end] == written


def test_lone_mark_between_spaces_leaves_one_space() -> None:
    form, origins = match_form_with_origins(normalize_text("ـ a ـ b ـ"))
    assert form == "a b"
    assert origins is not None
    assert [normalize_text("ـ a ـ b ـ")[at] for at in origins[:-1]] == ["a", " ", "b"]


def test_hashtag_ending_with_a_space_is_refused() -> None:
    with pytest.raises(ValidationError, match="cannot end a hashtag"):
        BrandsFile.model_validate({"brands": [{"name": "B", "terms": ["b"]}], "variants": {"hashtag_endings": ["a b"]}})

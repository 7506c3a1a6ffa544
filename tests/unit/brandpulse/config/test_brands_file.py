from pathlib import Path

import pytest

from brandpulse.config.brands_file import load_brands, load_brands_file
from brandpulse.errors import ConfigError
from brandpulse.state.keys import brand_of, facet_of, facet_series


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "brands.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_brand_needs_a_name_and_one_kind_of_word(tmp_path: Path) -> None:
    brands = load_brands(written(tmp_path, "brands:\n- {name: A, handles: ['@a', b]}\n- {name: B, hashtags: ['#b']}\n"))
    assert [brand.name for brand in brands] == ["A", "B"]
    assert (brands[0].handles, brands[1].hashtags) == (["a", "b"], ["b"])


def test_brand_without_time_zone_uses_utc(tmp_path: Path) -> None:
    brands = load_brands(
        written(tmp_path, "brands:\n- {name: A, terms: [a]}\n- {name: B, terms: [b], time_zone: Europe/Berlin}\n")
    )
    assert [str(brand.zone) for brand in brands] == ["UTC", "Europe/Berlin"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("brands:\n- {name: A}\n", "(brand 'A'): needs at least one of terms, handles or hashtags"),
        ("brands:\n- {terms: [a]}\n", "brands.0.name"),
        ("brands:\n- {name: A, terms: a}\n", "got 'a'"),
        ("brands:\n- {name: A, term: [a]}\n", "brands.0.term (brand 'A')"),
        ("brands:\n- {name: A, terms: ['  ']}\n", "blank word"),
        ("brands:\n- {name: A, terms: [a]}\n- {name: a, terms: [b]}\n", "'a' is written twice"),
        ("brands: []\n", "brands"),
        ("brands:\n- {name: A, terms: [a], time_zone: Berlin}\n", "got 'Berlin'"),
        ("brands:\n- {name: A, terms: [a], time_zone: CET+1}\n", "brands.0.time_zone (brand 'A')"),
        ("- A\n", "the file"),
        ("", "the file"),
        ("brands: [\n", "is not YAML"),
        ("brands:\n- 7\n", "brands.0 (brand 7)"),
        ('brands:\n- {name: "A\\x1fb", terms: [a]}\n', "U+001F"),
    ],
)
def test_wrong_file_names_entry_value_and_a_right_example(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_brands(written(tmp_path, text))
    assert expected in str(caught.value)
    assert "name: Acme Air" in str(caught.value)


def test_a_missing_file_names_its_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="BRANDPULSE_BRANDS_FILE"):
        load_brands(tmp_path / "none.yaml")


def test_binary_file_raises_config_error(tmp_path: Path) -> None:
    path = tmp_path / "brands.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_brands(path)


A_BRAND = "brands:\n- {name: A, terms: [a]}\nfacets:\n"


def test_facet_is_defined_by_words_or_model_labels(tmp_path: Path) -> None:
    text = (
        A_BRAND + "- {name: refund, words: [refund, 'money back']}\n- {name: urgent, urgency: [high], complaint: 0.5}\n"
    )
    refund, urgent = load_brands_file(written(tmp_path, text)).facets
    assert (refund.words, refund.heads) == (["refund", "money back"], ())
    assert (urgent.urgency, urgent.complaint, urgent.heads) == (["high"], 0.5, ("risk",))


def test_a_file_without_facets_has_none(tmp_path: Path) -> None:
    assert load_brands_file(written(tmp_path, "brands:\n- {name: A, terms: [a]}\n")).facets == []


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{name: Refund, words: [refund]}", "facets.0.name (facet 'Refund')"),
        ("{name: refund}", "(facet 'refund'): needs one of words, emotions, mood, urgency, complaint or crisis"),
        ("{name: refund, sentiment: [negative]}", "needs one of words"),
        ("{name: x, words: [a], sentiment: [negative, neutral, positive]}", "narrows nothing"),
        ("{name: x, words: ['  ']}", "blank word"),
        ("{name: x, words: refund}", "got 'refund'"),
        ("{name: x, emotions: [rage]}", "'rage' is none of admiration"),
        ("{name: x, mood: [fear]}", "'fear' is none of anger, joy, optimism, sadness"),
        ("{name: x, urgency: [urgent]}", "facets.0.urgency.0 (facet 'x')"),
        ("{name: x, complaint: 1.5}", "facets.0.complaint (facet 'x')"),
        ("{name: x, word: [a]}", "facets.0.word (facet 'x')"),
        ("{name: x, words: [a]}\n- {name: x, words: [b]}", "facet 'x' is written twice"),
        ("\n- ".join(f"{{name: f{i}, words: [w]}}" for i in range(21)), "at most 20 entries, has 21"),
    ],
)
def test_wrong_facet_names_entry_and_value(tmp_path: Path, entry: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_brands_file(written(tmp_path, A_BRAND + f"- {entry}\n"))
    assert expected in str(caught.value)


def test_facet_series_names_its_brand() -> None:
    series = facet_series("Bob's: Burgers", "refund")
    assert (brand_of(series), facet_of(series)) == ("Bob's: Burgers", "refund")
    assert (brand_of("Acme"), facet_of("Acme")) == ("Acme", "")

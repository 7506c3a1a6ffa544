from pathlib import Path

import pytest

from brandpulse.brands import load_brands
from brandpulse.errors import ConfigError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "brands.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_brand_needs_a_name_and_one_kind_of_word(tmp_path: Path) -> None:
    brands = load_brands(written(tmp_path, "brands:\n- {name: A, handles: ['@a', b]}\n- {name: B, hashtags: ['#b']}\n"))
    assert [brand.name for brand in brands] == ["A", "B"]
    assert (brands[0].handles, brands[1].hashtags) == (["a", "b"], ["b"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("brands:\n- {name: A}\n", "(brand 'A'): needs at least one of terms, handles or hashtags"),
        ("brands:\n- {terms: [a]}\n", "brands.0.name"),
        ("brands:\n- {name: A, terms: a}\n", "got 'a'"),
        ("brands:\n- {name: A, term: [a]}\n", "brands.0.term (brand 'A')"),
        ("brands:\n- {name: A, terms: ['  ']}\n", "blank word"),
        ("brands:\n- {name: A, terms: [a]}\n- {name: a, terms: [b]}\n", "'a' stands twice"),
        ("brands: []\n", "brands"),
        ("- A\n", "the file"),
        ("", "the file"),
        ("brands: [\n", "is not YAML"),
        ("brands:\n- 7\n", "brands.0 (brand 7)"),
    ],
)
def test_a_wrong_file_is_told_by_entry_and_value_with_a_right_one(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_brands(written(tmp_path, text))
    assert told in str(caught.value)
    assert "name: Acme Air" in str(caught.value)


def test_a_missing_file_names_its_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="BRANDPULSE_BRANDS_FILE"):
        load_brands(tmp_path / "none.yaml")


def test_a_binary_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "brands.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_brands(path)

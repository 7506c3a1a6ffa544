"""The tables of docs/reference/matching.md match the matcher."""

import re

import pytest

from brandpulse.config.brands_file import BrandsFile
from brandpulse.text.brand_matcher import BrandMatcher
from tests.support.repository import ROOT

PAGE = ROOT / "docs" / "reference" / "matching.md"
ROWS = re.findall(r"^\| `([^`]+)` \| (.+?) \| (yes|no) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def test_page_has_its_rows() -> None:
    assert len(ROWS) >= 25


@pytest.mark.parametrize(("word", "post", "matches"), ROWS)
def test_row_of_the_page_is_correct(word: str, post: str, matches: str) -> None:
    kind = {"@": "handles", "#": "hashtags"}.get(word[0], "terms")
    file = BrandsFile.model_validate({"brands": [{"name": "Brand", kind: [word]}]})
    assert BrandMatcher(file.brands).match(post) == (("Brand",) if matches == "yes" else ())

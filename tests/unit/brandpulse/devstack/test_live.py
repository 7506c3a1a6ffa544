from pathlib import Path

import pytest
import yaml

from brandpulse.config.brands_file import load_brands_file
from brandpulse.devstack.live import live_brands, live_sources, run_live
from brandpulse.errors import ConfigError
from brandpulse.text.brand_matcher import BrandMatcher
from ingest.sources.sources_file import load_sources


def test_a_name_is_matched_as_words_hashtag_and_handle(tmp_path: Path) -> None:
    path = tmp_path / "brands.yaml"
    path.write_text(yaml.safe_dump(live_brands(["Acme Air", "Nordbank"])))
    match = BrandMatcher(load_brands_file(path).brands).match
    found = [match(text) for text in ("acme air is late", "#AcmeAir", "@acmeair hi", "nordbank!", "acme is late")]
    assert found == [("Acme Air",), ("Acme Air",), ("Acme Air",), ("Nordbank",), ()]


def test_the_sources_search_the_news_for_each_brand(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text(yaml.safe_dump(live_sources(["Acme Air", "R&D"], [])))
    news = load_sources(path)[2]
    assert news.urls[0].endswith("q=%22Acme%20Air%22&hl=en")  # type: ignore[attr-defined]
    assert news.urls[1].endswith("q=%22R%26D%22&hl=en")  # type: ignore[attr-defined]


def test_given_feeds_replace_the_news_search(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text(yaml.safe_dump(live_sources(["Acme"], ["https://n.example/rss"])))
    assert load_sources(path)[2].urls == ("https://n.example/rss",)  # type: ignore[attr-defined]


def test_a_name_without_letters_is_refused() -> None:
    with pytest.raises(ConfigError, match="'!!' is no brand"):
        run_live(["Acme", "!!"], feeds=(), page_port=0, show=False)


def test_a_name_that_no_brand_may_have_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANDPULSE_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="must have at most 200 characters"):
        run_live(["x" * 300], feeds=(), page_port=0, show=False)

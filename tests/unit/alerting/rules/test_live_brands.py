import logging
from pathlib import Path
from unittest.mock import Mock
from zoneinfo import ZoneInfo

import pytest

from alerting.rules import live_brands
from alerting.rules.live_brands import LiveBrands
from brandpulse.config.brands_file import load_brands_file

BRANDS = """brands:
- {name: Acme, terms: [acme], time_zone: Europe/Berlin}
- {name: Blue Bank, terms: [blue bank]}
"""


def test_a_changed_brands_file_is_read_again_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = Mock(side_effect=load_brands_file)
    monkeypatch.setattr(live_brands, "load_brands_file", reads)
    file = tmp_path / "brands.yaml"
    file.write_text(BRANDS)
    brands = LiveBrands(file)
    assert [brands.zones(), brands.zones()] == [{"Acme": ZoneInfo("Europe/Berlin")}] * 2
    assert reads.call_count == 1
    file.write_text(BRANDS.replace("Europe/Berlin", "America/New_York"))
    assert brands.zones() == {"Acme": ZoneInfo("America/New_York")}


def test_an_invalid_brands_file_leaves_the_old_zones(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "brands.yaml"
    file.write_text(BRANDS)
    brands = LiveBrands(file)
    before = brands.zones()
    file.write_text(BRANDS.replace("Berlin", "Berlinn"))
    with caplog.at_level(logging.WARNING):
        assert brands.zones() == before
    assert "brands file not read" in caplog.text


def test_a_missing_brands_file_means_utc_and_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    brands = LiveBrands(tmp_path / "none.yaml")
    with caplog.at_level(logging.WARNING):
        assert [brands.zones(), brands.zones()] == [{}, {}]
    assert len(caplog.records) == 1


def test_an_unchanged_brands_file_is_read_once_for_facets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = Mock(side_effect=load_brands_file)
    monkeypatch.setattr(live_brands, "load_brands_file", reads)
    file = tmp_path / "brands.yaml"
    content = "brands:\n- {name: Acme, terms: [acme]}\nfacets:\n- {name: strike, words: [strike]}\n"
    file.write_text(content)
    brands = LiveBrands(file)
    assert [set(brands.facets()) for _ in range(3)] == [{"strike"}] * 3
    assert reads.call_count == 1
    file.write_text(content + "- {name: fee, words: [fee, fees]}\n")
    assert set(brands.facets()) == {"strike", "fee"}
    file.write_text("brands: [half a")
    assert set(brands.facets()) == {"strike", "fee"}

import logging
from pathlib import Path
from unittest.mock import Mock
from zoneinfo import ZoneInfo

import pytest

from alerting.rules import brand_zones
from alerting.rules.brand_zones import zones_in
from brandpulse.config.brands_file import load_brands

BRANDS = """brands:
- {name: Acme, terms: [acme], time_zone: Europe/Berlin}
- {name: Blue Bank, terms: [blue bank]}
"""


def test_a_changed_brands_file_is_read_again_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = Mock(side_effect=load_brands)
    monkeypatch.setattr(brand_zones, "load_brands", reads)
    file = tmp_path / "brands.yaml"
    file.write_text(BRANDS)
    zones = zones_in(file)
    assert [zones(), zones()] == [{"Acme": ZoneInfo("Europe/Berlin")}] * 2
    assert reads.call_count == 1
    file.write_text(BRANDS.replace("Europe/Berlin", "America/New_York"))
    assert zones() == {"Acme": ZoneInfo("America/New_York")}


def test_a_wrong_brands_file_keeps_the_zones_before_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "brands.yaml"
    file.write_text(BRANDS)
    zones = zones_in(file)
    before = zones()
    file.write_text(BRANDS.replace("Berlin", "Berlinn"))
    with caplog.at_level(logging.WARNING):
        assert zones() == before
    assert "time zones not read" in caplog.text


def test_a_missing_brands_file_means_utc_and_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    zones = zones_in(tmp_path / "none.yaml")
    with caplog.at_level(logging.WARNING):
        assert [zones(), zones()] == [{}, {}]
    assert len(caplog.records) == 1

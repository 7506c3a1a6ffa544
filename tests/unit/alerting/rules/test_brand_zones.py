"""Share and facet rules in each brand's time zone: in an evaluator, in histories of facets and in commands."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from typer.testing import CliRunner

from alerting.detection.hour_history import HourHistory
from alerting.detection.share_baseline import BaselinePolicy
from alerting.evaluation.facet_rules import facet_history
from alerting.rules.brand_zones import zone_of_counts
from brandpulse.bench.alerting.rhythm import brand
from brandpulse.bench.alerting.simulation import MONDAY, simulate
from brandpulse.cli.alerting.backtest import app
from brandpulse.errors import ConfigError
from brandpulse.runtime.local_hours import UTC
from brandpulse.state.author_sketches import AuthorCounts
from brandpulse.state.keys import facet_series
from brandpulse.state.pane_reader import Minutes
from brandpulse.state.panes import Pane
from brandpulse.state.stored_posts import NegativePost

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = MONDAY // 60
"""Midnight of 2 March 2026; summer time begins on the 29th."""
SUMMER = HOUR + 27 * 24
BRANDS = "brands:\n- {name: Acme, terms: [acme], time_zone: Europe/Berlin}\n"


class Mornings:
    """A brand whose people are negative from 6 to 9 h by Berlin's clock, and in a facet as often."""

    def hour_authors(
        self, brands: Sequence[str], first_hour: int, last_hour: int
    ) -> dict[str, dict[int, AuthorCounts]]:
        hours = range(max(first_hour, HOUR), last_hour + 1)
        local = {at: at + (2 if at >= SUMMER + 1 else 1) for at in hours}
        negative = {at: 50 if 6 <= hour % 24 < 9 else 15 for at, hour in local.items()}
        return {
            series: {
                at: AuthorCounts(100, many) if series == "Acme" else AuthorCounts(many, many)
                for at, many in negative.items()
            }
            for series in brands
        }

    def hours(self, brands: Sequence[str], first_hour: int, last_hour: int) -> dict[str, dict[int, Pane]]:
        return {}

    def minutes(
        self, brands: Sequence[str], first_minute: int, last_minute: int, *, authors: bool = False
    ) -> dict[str, Minutes]:
        return {}

    def negatives(self, brand: str, limit: int) -> list[NegativePost]:
        return []


def share_at(history: HourHistory, series: str, utc_hour: int) -> float:
    past = history.usual_week(series, window_starts=utc_hour * 60, incidents=())
    return past.expect(utc_hour * 60, utc_hour * 60 + 59).share


def test_a_changed_time_zone_is_used_at_the_next_evaluation() -> None:
    zones: Mapping[str, ZoneInfo] = {}
    history = HourHistory(Mornings(), BaselinePolicy(), zones=lambda brand: zones.get(brand, UTC))
    history.read(["Acme"], before_hour=SUMMER + 48)
    # Six o'clock of the second summer day.
    six = SUMMER + 24 + 4
    assert share_at(history, "Acme", six) < 0.3
    zones = {"Acme": BERLIN}
    assert share_at(history, "Acme", six) == pytest.approx(0.5, abs=0.05)


def test_a_facet_uses_the_time_zone_of_its_brand() -> None:
    brands = HourHistory(Mornings(), BaselinePolicy(), zones=lambda _: BERLIN)
    facets = facet_history(Mornings(), brands, BaselinePolicy())
    series = facet_series("Acme", "delay")
    brands.read(["Acme"], before_hour=SUMMER + 48)
    facets.read([series], before_hour=SUMMER + 48)
    assert share_at(facets, series, SUMMER + 24 + 4) == pytest.approx(0.5, abs=0.05)
    assert share_at(facets, series, SUMMER + 24 + 8) == pytest.approx(0.15, abs=0.05)


def test_a_morning_peak_over_summer_time_pages_at_most_once() -> None:
    posts, negatives = brand(3, "peak", 30, facet=False, days=38, zone=BERLIN)
    assert len(simulate(posts, negatives, zone=BERLIN).triggered) <= 1


def test_a_series_that_begins_at_nine_does_not_page_next_morning() -> None:
    posts, negatives = brand(4, "peak", 100, facet=False, days=6, begins=MONDAY + 9 * 60)
    assert np.sum(posts) > 10_000
    assert simulate(posts, negatives, begins=MONDAY + 9 * 60).triggered == []


def counts_file(folder: Path) -> Path:
    file = folder / "counts.csv"
    file.write_text("timestamp,value\n2026-03-02 00:00:00,5\n2026-03-02 00:05:00,6\n")
    return file


@pytest.mark.parametrize("options", [("--time-zone", "Europe/Berlin"), ("--brands", "BRANDS")])
def test_counts_with_a_time_zone_are_scored(tmp_path: Path, options: tuple[str, str]) -> None:
    (tmp_path / "brands.yaml").write_text(BRANDS)
    name, value = options
    value = str(tmp_path / "brands.yaml") if value == "BRANDS" else value
    done = CliRunner().invoke(
        app, ["counts", "--in", str(counts_file(tmp_path)), "--out", str(tmp_path / "out.csv"), name, value]
    )
    assert done.exit_code == 0, done.output


def test_an_unknown_time_zone_is_reported_with_valid_examples() -> None:
    with pytest.raises(
        ConfigError, match=r"--time-zone 'Europe/Berlinn' is not in the IANA time zone list.*Europe/Berlin"
    ):
        zone_of_counts("Europe/Berlinn", None, None)


def test_counts_use_the_time_zone_of_the_named_brand(tmp_path: Path) -> None:
    file = tmp_path / "brands.yaml"
    file.write_text(BRANDS + "- {name: Blue Bank, terms: [blue bank]}\n")
    assert zone_of_counts(None, file, "Acme") is BERLIN
    with pytest.raises(ConfigError, match=r"several time zones .Europe/Berlin, UTC.*--brand"):
        zone_of_counts(None, file, None)
    with pytest.raises(ConfigError, match=r"'Acne' is not in .*Acme, Blue Bank"):
        zone_of_counts(None, file, "Acne")
    with pytest.raises(ConfigError, match="not both"):
        zone_of_counts("UTC", file, None)
    with pytest.raises(ConfigError, match="needs --brands"):
        zone_of_counts(None, None, "Acme")


def test_a_simulated_brand_follows_its_local_clock() -> None:
    posts, negative = brand(5, "peak", 100, facet=False, days=14, zone=BERLIN)
    by_hour = [part.reshape(14, 24, 60).sum(axis=(0, 2)) for part in (posts, negative)]
    # Berlin is an hour ahead in March.
    assert by_hour[1][6] / by_hour[0][6] == pytest.approx(0.5, abs=0.05)
    assert by_hour[1][9] / by_hour[0][9] == pytest.approx(0.15, abs=0.05)
    assert by_hour[0][2] < 0.2 * by_hour[0][12]

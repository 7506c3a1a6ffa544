"""Quiet hours by the local clock."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from alerting.rules.quiet_hours import QuietHours, is_muted

BERLIN = ZoneInfo("Europe/Berlin")


def quiet(**changes: Any) -> QuietHours:
    return QuietHours.model_validate({"from": "22:00", "to": "07:00", "time_zone": "Europe/Berlin"} | changes)


@pytest.mark.parametrize(
    ("local", "covers"),
    [
        ("2026-03-02T21:59", False),
        ("2026-03-02T22:00", True),
        ("2026-03-03T06:59", True),
        ("2026-03-03T07:00", False),
        # The clock goes from 02:00 to 03:00 on 29 March 2026, and back on 25 October.
        ("2026-03-29T03:00", True),
        ("2026-03-29T06:59", True),
        ("2026-03-29T07:00", False),
        ("2026-10-25T06:59", True),
        ("2026-10-25T07:00", False),
    ],
)
def test_quiet_hours_follow_the_local_clock_over_summer_time(local: str, covers: bool) -> None:
    assert quiet().covers(datetime.fromisoformat(local).replace(tzinfo=BERLIN)) is covers


@pytest.mark.parametrize(
    ("local", "covers"),
    [
        ("2026-03-06T23:00", True),  # Friday night
        ("2026-03-07T06:00", True),  # belongs to Friday
        ("2026-03-07T23:00", False),  # Saturday night
        ("2026-03-06T06:00", False),  # belongs to Thursday
    ],
)
def test_quiet_hours_over_midnight_belong_to_the_day_they_began(local: str, covers: bool) -> None:
    assert quiet(days=["fri"]).covers(datetime.fromisoformat(local).replace(tzinfo=BERLIN)) is covers


def test_severe_episodes_are_not_muted() -> None:
    midnight = datetime(2026, 3, 3, tzinfo=BERLIN)
    hours = [quiet(below="error")]
    assert [is_muted(hours, severity, midnight) for severity in ("info", "warning", "error", "critical")] == [
        True,
        True,
        False,
        False,
    ]


def test_an_unquoted_time_in_yaml_is_accepted() -> None:
    assert quiet(**{"from": 1_320, "to": 420}) == quiet()


def test_quiet_hours_without_length_are_rejected() -> None:
    with pytest.raises(ValueError, match="from and to are equal"):
        quiet(to="22:00")

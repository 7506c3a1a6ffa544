from datetime import UTC as DATETIME_UTC
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from brandpulse.runtime.local_hours import UTC, hour_of_day, hour_of_week, offset_seconds, week_hours

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Sydney",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
]


def hour_at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) // 3_600


@pytest.mark.parametrize("name", ZONES)
def test_local_hours_of_a_year_match_the_standard_library(name: str) -> None:
    zone = ZoneInfo(name)
    hours = np.arange(hour_at("2026-01-01T00:00+00:00"), hour_at("2027-01-02T00:00+00:00"))
    middles = [datetime.fromtimestamp(int(hour) * 3_600 + 1_800, DATETIME_UTC).astimezone(zone) for hour in hours]
    assert week_hours(hours, zone).tolist() == [24 * at.weekday() + at.hour for at in middles]


def test_week_starts_on_monday_midnight_around_a_clock_change() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    mondays = np.array([hour_at("2026-03-22T23:00+00:00"), hour_at("2026-03-29T22:00+00:00")])
    assert week_hours(mondays, berlin).tolist() == [0, 0]
    assert hour_of_week(datetime(2026, 3, 30, 8, 59, tzinfo=berlin).timestamp(), berlin) == 8
    assert hour_of_day(datetime(2026, 10, 26, 8, 59, tzinfo=berlin).timestamp(), berlin) == 8


def test_clock_change_skips_an_hour_in_spring_and_repeats_one_later() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    spring = hour_at("2026-03-29T00:00+01:00") + np.arange(4)
    autumn = hour_at("2026-10-25T00:00+02:00") + np.arange(5)
    assert (week_hours(spring, berlin) % 24).tolist() == [0, 1, 3, 4]
    assert (week_hours(autumn, berlin) % 24).tolist() == [0, 1, 2, 2, 3]


def test_time_in_a_half_hour_zone_has_the_local_hour() -> None:
    kolkata = ZoneInfo("Asia/Kolkata")
    at = datetime(2026, 3, 2, 9, 29, tzinfo=kolkata)
    assert hour_of_week(at.timestamp(), kolkata) == 9
    assert hour_of_week((at + timedelta(minutes=31)).timestamp(), kolkata) == 10


def test_hours_beyond_the_calendar_have_an_hour_of_the_week() -> None:
    far = np.array([-(2**45), 2**45, 0])
    assert ((week_hours(far, ZoneInfo("Europe/Berlin")) >= 0) & (week_hours(far, UTC) < 168)).all()
    assert week_hours(far, UTC)[2] == 72
    assert 0 <= hour_of_week(1e18, ZoneInfo("Europe/Berlin")) < 168


def test_no_hours_have_no_offsets() -> None:
    assert offset_seconds(np.array([], np.int64), ZoneInfo("Europe/Berlin")).size == 0

"""Time as people read and type it."""

from datetime import timedelta

import pytest

from brandpulse.runtime.clock import parse_duration, rfc3339


def test_a_time_is_shown_in_utc_with_milliseconds() -> None:
    assert rfc3339(1_772_445_600_123) == "2026-03-02T10:00:00.123+00:00"


def test_a_negative_time_is_shown_as_a_dash() -> None:
    assert rfc3339(-1) == "-"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        (" 2H ", timedelta(hours=2)),
        ("1d12h", timedelta(days=1, hours=12)),
        ("1w", timedelta(weeks=1)),
        ("0m", timedelta()),
    ],
)
def test_a_duration_is_parsed_with_its_units(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", " ", "2", "h", "12h1d", "-2h", "1.5h", "999999999w"])
def test_other_text_is_not_a_duration(text: str) -> None:
    assert parse_duration(text) is None

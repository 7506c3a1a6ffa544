"""Timestamps in files."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.files.reading.time_zones import UTC_ZONE, Zone, place_zone
from ingest.files.reading.timestamp_parsing import detect_day_order, parse_timestamp

OSCARS = datetime(2015, 2, 23, 6, 39, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2015-02-23T06:39:18Z",
        "2015-02-22T22:39:18-08:00",
        "2015-02-22 22:39:18 -0800",
        "2015-02-22 22:39:18-0800",
        "2015-02-23 06:39:18 UTC",
        " 2015-02-23 06:39:18 +0000 ",
        "Mon Feb 23 06:39:18 +0000 2015",
        "Mon, 23 Feb 2015 06:39:18 GMT",
        "Sun, 22 Feb 2015 22:39:18 -0800",
        "1424673558",
        "1424673558.0",
        "1424673558000",
        1424673558,
        1424673558.0,
        1424673558000,
        1424673558000000,
    ],
)
def test_common_timestamp_formats_are_parsed(value: object) -> None:
    assert parse_timestamp(value) == OSCARS
    assert parse_timestamp(value).tzinfo is UTC


def test_time_without_a_zone_needs_assume_utc() -> None:
    with pytest.raises(ValueError, match="assume-utc"):
        parse_timestamp("2015-02-23 06:39:18")
    assert parse_timestamp("2015-02-23 06:39:18", zone=UTC_ZONE) == OSCARS
    assert parse_timestamp("2015-02-22 22:39:18 -0800", zone=UTC_ZONE) == OSCARS


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "not a date"),
        ("yesterday", "not a date"),
        ("2015-02-23", "not a date with a time"),
        ("20150222", "not a number of seconds"),
        ("20150222223918", "not a number of seconds"),
        ("sometime next week, maybe", "not a supported time format"),
        ("2015-13-22 22:39:18 -0800", "not a supported time format"),
        ("0001-01-01T00:00:00+14:00", "outside the years"),
        (True, "is not a time"),
        (None, "is not a time"),
        (float("nan"), "not a number of seconds"),
        ({"$date": 1}, "is not a time"),
    ],
)
def test_other_values_are_rejected_with_a_reason(value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_timestamp(value, zone=UTC_ZONE)


@given(st.datetimes(min_value=datetime(1975, 1, 1), max_value=datetime(2100, 1, 1)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001
def test_isoformat_output_is_parsed(naive: datetime, minutes: int) -> None:
    from datetime import timezone

    written = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert parse_timestamp(written.isoformat()) == written
    assert parse_timestamp(written.isoformat(sep=" ")) == written
    assert abs(parse_timestamp(written.timestamp()) - written) < timedelta(milliseconds=1)


@given(st.text(max_size=40) | st.floats() | st.integers())
def test_invalid_cells_raise_only_value_errors(value: object) -> None:
    try:
        found = parse_timestamp(value, zone=UTC_ZONE)
    except ValueError:
        return
    assert found.tzinfo is UTC


NINE_PM = datetime(2026, 3, 2, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "March 2, 2026 9:00 PM",
        "Monday, March 2, 2026 at 9:00 p.m.",
        "Mar 2nd, 2026, 9:00:00 PM",
        "9:00 PM · Mar 2, 2026",
        "March 2 2026 21:00",
        "2 Mar 2026 21.00",
        "2 March 2026 9pm",
        "02-Mar-2026 21:00:00",
        "02.03.2026 21:00",
        "02.03.2026, 21:00 Uhr",
        "2026/03/02 21:00",
        "2026-3-2 21h00",
        "2026-03-02 09:00:00 PM",
        "3/2/2026, 9:00:00\u202fPM",
        "\u200e2026-03-02 21:00",
        "２０２６-03-02 21:00",
        "2026-W10-1T21:00:00",
        "20260302T210000",
        "Mon Mar  2 21:00:00 2026",
        "2026-03-02T21:00:00.000000999",
        1772485200000000123,
        "1772485200000000123",
    ],
)
def test_time_of_day_is_parsed_in_all_formats(value: object) -> None:
    assert parse_timestamp(value, zone=UTC_ZONE, day_first=False) == NINE_PM


@pytest.mark.parametrize(
    ("value", "utc"),
    [
        ("2026-03-02T24:00:00Z", "2026-03-03T00:00:00+00:00"),
        ("2026-12-31T23:59:60Z", "2027-01-01T00:00:00+00:00"),
        ("2026-03-02 12:30 AM UTC", "2026-03-02T00:30:00+00:00"),
        ("2026-03-02 12:30 PM UTC", "2026-03-02T12:30:00+00:00"),
        ("2026-03-02T21:00:00.123456789Z", "2026-03-02T21:00:00.123456+00:00"),
        ("2026-03-02 21:00:00,25 UTC", "2026-03-02T21:00:00.250000+00:00"),
        (1772485200123, "2026-03-02T21:00:00.123000+00:00"),
        ("1772485200.25", "2026-03-02T21:00:00.250000+00:00"),
    ],
)
def test_edges_of_the_clock_are_parsed_exactly(value: object, utc: str) -> None:
    assert parse_timestamp(value).isoformat() == utc


@pytest.mark.parametrize("zone", [None, UTC_ZONE])
@pytest.mark.parametrize(
    ("value", "hour"),
    [
        ("Mon, 02 Mar 2026 10:00:00 CET", 9),
        ("Mon, 02 Mar 2026 10:00:00 GMT+0100", 9),
        ("Mon Mar 02 2026 10:00:00 GMT+0100 (Central European Standard Time)", 9),
        ("Mon Mar 02 2026 10:00:00 GMT+0100 (Mitteleuropäische Normalzeit)", 9),
        ("Mon Mar  2 10:00:00 CET 2026", 9),
        ("Mon, 02 Mar 26 10:00:00 EST", 15),
        ("Mon, 02 Mar 2026 10:00:00 PST", 18),
        ("2026-03-02 10:00 Europe/Berlin", 9),
        ("2026-07-02 10:00 Europe/Berlin", 8),
        ("2026-03-02T10:00[Europe/Berlin]", 9),
        ("2026-03-02T10:00+01:00[Europe/Berlin]", 9),
        ("2026-03-02 10:00 (Central European Time)", 9),
        ("2026-07-02 10:00 Central European Summer Time", 8),
        ("March 2, 2026 10:00 AM Eastern Time", 15),
        ("2026-03-02 10:00Z", 10),
        ("2026-03-02 10:00 UTC+1", 9),
        ("2026-03-02 15:30 UTC+05:30", 10),
        ("2026-03-02 10:00 +01", 9),
        ("2026-03-02 10:00 \u22121", 11),
        ("2026-03-02 10:00 Etc/GMT+5", 15),
        ("March 2, 2026 10:00 AM GMT-8", 18),
    ],
)
def test_named_zone_overrides_assume_utc(value: str, hour: int, zone: Zone | None) -> None:
    assert parse_timestamp(value, zone=zone).hour == hour


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("Mon, 02 Mar 2026 10:00:00 IST", "'IST', which is ambiguous"),
        ("Mon Mar  2 10:00:00 CST 2026", "'CST', which is ambiguous"),
        ("Mon, 02 Mar 2026 10:00:00 XYZ", "'XYZ', which is unknown"),
        ("2026-03-02 10:00 Mars/Phobos", "'Mars/Phobos', which is unknown"),
        ("2026-03-02 10:00 (edited)", "'edited', which is unknown"),
        ("2026-03-02 10:00:00 -20:00", "'-20:00', which does not exist"),
        ("2026-03-02 10:00:00-20:00", "'-20:00', which does not exist"),
        ("2026-03-02T10:00+02:00[Europe/Berlin]", "different time zones, .*'Europe/Berlin'"),
        ("2026-03-02 10:00:00 +0100 EST", "different time zones, .*'EST'"),
        ("2026-03-29 02:30 Europe/Berlin", "does not exist in Europe/Berlin"),
        ("2026-10-25 02:30 Europe/Berlin", "ambiguous in Europe/Berlin"),
        ("2026-07-02 10:00 (Central European Time)", "'Central European Time', which is ambiguous"),
    ],
)
def test_ambiguous_or_unknown_zone_rejects_the_time(value: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        parse_timestamp(value, zone=UTC_ZONE)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("2026-03-02 21:00:00 PM", "no hour 21 PM"),
        ("2026-03-02 25:00", "no time of day"),
        ("2026-03-02 12:60", "no time of day"),
        ("2026-03-02 12:30:60", "no time of day"),
        ("Tuesday, March 2, 2026 9:00 PM", "2026-03-02 is a Monday"),
        ("2026-03-02 9:00 下午", "下午"),
        ("2026-03-02 21:00 - 22:00", "not a supported time format"),
        ("2026-03-02T21:00:00 09:00", "not a supported time format"),
        ("2026-03-02T21:00:00 0900", "0900"),
        ("2026-03-02 21:00:00:123", "not a supported time format"),
        ("2026-03-02T21:00:00Z+01:00", "Z\\+01:00"),
        ("2026-03-02 09:00 *", r"'\*' is not supported"),
        ("02.03.26 21:00", "not a supported time format"),
        ("2 мар 2026 21:00", "not a supported time format"),
        ("Mar 2 21:00", "not a date with a year"),
        ("2026-03-02+01:00", "not a date with a time of day"),
        ("2026-02-30 21:00", "no such day"),
        ("1404-12-11 21:00", "outside the years"),
        ("46083.875", "spreadsheet's day number"),
        ("1.77243E+12", "scientific notation"),
        ("3/2/2026 21:00", "--dates"),
        ("03-02-2026 21:00", "--dates"),
    ],
)
def test_unsupported_part_rejects_the_time(value: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_timestamp(value, zone=UTC_ZONE)


@pytest.mark.parametrize("word", ["x", "PM", "IST", "下午", "0900", "(no)", "tomorrow", "*", "\u0661"])
@pytest.mark.parametrize("value", ["2026-03-02T13:00:00", "March 2, 2026 13:00", "02.03.2026 13:00", "1772485200"])
def test_word_after_a_valid_time_is_never_ignored(value: str, word: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_timestamp(f"{value} {word}", zone=UTC_ZONE)


def test_date_order_comes_from_unambiguous_dates() -> None:
    assert detect_day_order(["3/2/2026 21:00", "13/2/2026 21:00", None]) is True
    assert detect_day_order(["3/2/2026 21:00", "02/13/2026 9 PM"]) is False
    assert detect_day_order(["3/2/2026 21:00", "2026-03-02"]) is None
    assert detect_day_order(["13/2/2026", "2/13/2026"]) is None
    assert parse_timestamp("3/2/2026 21:00", zone=UTC_ZONE, day_first=True).month == 2
    assert parse_timestamp("3/2/2026 21:00", zone=UTC_ZONE, day_first=False).month == 3
    assert parse_timestamp("13/2/2026 21:00", zone=UTC_ZONE).month == 2
    with pytest.raises(ValueError, match="no month 13"):
        parse_timestamp("2/13/2026 21:00", zone=UTC_ZONE, day_first=True)


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ("2026-07-01 10:00:00", "2026-07-01T08:00:00+00:00"),
        ("2026-01-01T10:00:00.5", "2026-01-01T09:00:00.500000+00:00"),
        ("15-Nov-2025 03:22PM", "2025-11-15T14:22:00+00:00"),
        ("2026-07-01T10:00:00Z", "2026-07-01T10:00:00+00:00"),
    ],
)
def test_time_without_a_zone_is_read_in_the_given_place(value: str, at: str) -> None:
    assert parse_timestamp(value, zone=place_zone("Europe/Berlin")).isoformat() == at


@pytest.mark.parametrize(
    ("value", "reason"),
    [("2026-10-25 02:30:00", "is ambiguous in Europe/Berlin"), ("2026-03-29 02:30", "does not exist in Europe/Berlin")],
)
def test_hour_of_a_clock_change_is_rejected(value: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_timestamp(value, zone=place_zone("Europe/Berlin"))

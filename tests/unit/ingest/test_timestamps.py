"""The moments that people's files write down."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.timestamps import moment

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
def test_every_usual_way_to_write_a_moment_is_read(value: object) -> None:
    assert moment(value) == OSCARS
    assert moment(value).tzinfo is UTC


def test_a_time_without_a_zone_is_read_as_utc_only_when_told_so() -> None:
    with pytest.raises(ValueError, match="assume-utc"):
        moment("2015-02-23 06:39:18")
    assert moment("2015-02-23 06:39:18", assume_utc=True) == OSCARS
    assert moment("2015-02-22 22:39:18 -0800", assume_utc=True) == OSCARS


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "no date"),
        ("yesterday", "no date"),
        ("2015-02-23", "no date with a time"),
        ("20150222", "no number of seconds"),
        ("20150222223918", "no number of seconds"),
        ("sometime next week, maybe", "is no time I can read"),
        ("2015-13-22 22:39:18 -0800", "is no time I can read"),
        ("0001-01-01T00:00:00+14:00", "outside the calendar"),
        (True, "is no time"),
        (None, "is no time"),
        (float("nan"), "no number of seconds"),
        ({"$date": 1}, "is no time"),
    ],
)
def test_anything_else_is_refused_with_a_reason(value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        moment(value, assume_utc=True)


@given(st.datetimes(min_value=datetime(1975, 1, 1), max_value=datetime(2100, 1, 1)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001
def test_what_we_write_we_read(naive: datetime, minutes: int) -> None:
    from datetime import timezone

    written = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert moment(written.isoformat()) == written
    assert moment(written.isoformat(sep=" ")) == written
    assert abs(moment(written.timestamp()) - written) < timedelta(milliseconds=1)


@given(st.text(max_size=40) | st.floats() | st.integers())
def test_no_cell_raises_anything_else(value: object) -> None:
    try:
        found = moment(value, assume_utc=True)
    except ValueError:
        return
    assert found.tzinfo is UTC

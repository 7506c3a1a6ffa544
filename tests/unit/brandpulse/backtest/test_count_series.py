"""Reading a series of counts: valid files, and errors with line and value."""

import gzip
from pathlib import Path

import pytest

from brandpulse.backtest.count_series import missing_intervals, read_counts, step_seconds
from brandpulse.errors import ConfigError

THREE = "timestamp,value\n2026-03-02 00:00:00,4\n2026-03-02 00:05:00,0\n2026-03-02 00:20:00,7.5\n"


@pytest.fixture
def series(tmp_path: Path) -> Path:
    return tmp_path / "series.csv"


def test_rows_keep_their_text_and_gaps_count_as_missing(series: Path) -> None:
    series.write_text(THREE)
    rows = read_counts(series)
    assert [(row.timestamp, row.value) for row in rows] == [
        ("2026-03-02 00:00:00", 4.0),
        ("2026-03-02 00:05:00", 0.0),
        ("2026-03-02 00:20:00", 7.5),
    ]
    assert (step_seconds(rows), missing_intervals(rows, 300.0)) == (300.0, 2)


def test_gzip_byte_order_mark_and_other_columns_change_nothing(series: Path, tmp_path: Path) -> None:
    series.write_text(THREE)
    packed = tmp_path / "series.csv.gz"
    packed.write_bytes(gzip.compress(b"\xef\xbb\xbf" + THREE.replace("\n", "\r\n").encode() + b"\r\n"))
    wider = tmp_path / "wider.csv"
    wider.write_text("".join(f"x,{line}\n" for line in THREE.splitlines()))
    stamps = [(row.at, row.value) for row in read_counts(series)]
    assert [(row.at, row.value) for row in read_counts(packed)] == stamps
    assert [(row.at, row.value) for row in read_counts(wider)] == stamps


def test_a_timestamp_without_a_zone_is_utc(series: Path) -> None:
    series.write_text("timestamp,value\n2026-03-02 00:00:00,1\n2026-03-02T01:05:00+01:00,1\n")
    first, second = read_counts(series)
    assert second.at - first.at == 300


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'timestamp' among none"),
        ("when,value\n1,2\n", "no column 'timestamp' among when, value"),
        ("timestamp,value\n", "has no rows"),
        ("timestamp,value\nyesterday,2\n", "line 2: timestamp 'yesterday'"),
        ("timestamp,value\n2026-03-02 00:00:00,-1\n", "line 2: value '-1'"),
        ("timestamp,value\n2026-03-02 00:00:00,nan\n", "line 2: value 'nan'"),
        ("timestamp,value\n2026-03-02 00:00:00\n", "line 2: 1 cells where the header has 2"),
        ("timestamp,value\n2026-03-02 00:05:00,1\n2026-03-02 00:00:00,1\n", "line 3: timestamp .* is earlier than"),
        ("timestamp,value\n2026-03-02 00:05:00,1\n2026-03-02 00:05:00,1\n", "line 3: timestamp .* occurs twice"),
    ],
)
def test_a_wrong_row_is_rejected_with_line_field_and_value(series: Path, text: str, message: str) -> None:
    series.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_counts(series)


@pytest.mark.parametrize(
    ("stamps", "message"),
    [
        (("00:00", "02:00"), "an hour at most"),
        (("00:00", "00:10", "00:12"), "the first two rows are 600 s apart"),
    ],
)
def test_rows_of_another_width_are_rejected(series: Path, stamps: tuple[str, ...], message: str) -> None:
    series.write_text("timestamp,value\n" + "".join(f"2026-03-02 {stamp}:00,1\n" for stamp in stamps))
    with pytest.raises(ConfigError, match=message):
        step_seconds(read_counts(series))


def test_a_file_that_is_not_gzip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "series.csv.gz"
    path.write_bytes(b"plain")
    with pytest.raises(ConfigError, match=r"series\.csv\.gz"):
        read_counts(path)

"""Times of a file before it is sent: their order, and outliers."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.files.reading.post_reader import PostReader, ReadOptions
from ingest.files.reading.row import InputError
from ingest.files.reading.row_mapping import OutgoingPost, resolve
from ingest.files.reading.row_reader import RowFile
from ingest.files.reading.time_zones import UTC_ZONE
from ingest.files.times.time_check import TimeCheck, check_times, late_warning, old_posts_warning
from ingest.files.times.time_scan import OutlierBounds, Times, day_of, outlier_bounds, scan_times
from ingest.worker_states import StreamClock

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
NOW = BEGIN + timedelta(days=10)
DAY = day_of(BEGIN)


def a_file(path: Path, times: list[str]) -> RowFile:
    lines = [
        json.dumps({"id": str(number), "text": "x", "created_at": at, "author_id": "a"})
        for number, at in enumerate(times)
    ]
    content = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return RowFile(path)


def hours(*numbers: float) -> list[str]:
    return [(BEGIN + timedelta(hours=number)).isoformat() for number in numbers]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
@pytest.mark.parametrize(("zone", "shift"), [("+00:00", 0), ("Z", 0), ("+02:00", -2)])
def test_scan_finds_first_last_and_largest_step_back(tmp_path: Path, name: str, zone: str, shift: int) -> None:
    times = scan_times(
        a_file(tmp_path / name, [at.replace("+00:00", zone) for at in hours(3, 1, 30, 28, 29)]), "created_at"
    )
    assert times.rows == 5
    assert times.first == BEGIN + timedelta(hours=1 + shift)
    assert times.last == BEGIN + timedelta(hours=30 + shift)
    assert times.step_back == timedelta(hours=2)
    assert sum(times.days.values()) == 5


def test_scan_of_sorted_rows_finds_no_step_back(tmp_path: Path) -> None:
    times = scan_times(a_file(tmp_path / "a.jsonl", hours(*(number / 10 for number in range(10_000)))), "created_at")
    assert (times.rows, times.step_back) == (10_000, timedelta(0))
    assert times.days[DAY] == 240


def test_step_back_between_two_chunks_is_found(tmp_path: Path) -> None:
    later, earlier = hours(*(50 + n / 1_000 for n in range(4_096))), hours(*(n / 1_000 for n in range(4_096)))
    assert scan_times(a_file(tmp_path / "a.jsonl", later + earlier), "created_at").step_back > timedelta(hours=50)


def test_rows_without_a_valid_time_are_not_scanned(tmp_path: Path) -> None:
    path = a_file(tmp_path / "a.jsonl", [*hours(1, 2), "soon", "1772412000"]).path
    path.write_text(path.read_text() + '{"id": "x"}\nrubbish\n')
    assert scan_times(RowFile(path), "created_at").rows == 3


def a_table(path: Path, rows: list[str]) -> PostReader:
    path.write_text("id,text,created_at,author_id\n" + "".join(row + "\n" for row in rows))
    file = RowFile(path)
    return PostReader(file, resolve({}, file.columns), ReadOptions("s", zone=UTC_ZONE))


@pytest.mark.parametrize(
    ("rows", "posts", "first", "last"),
    [
        (["1,x,3/2/2026 10:00,a", "2,x,4/2/2026 10:00,a", "3,x,13/2/2026 10:00,a"], 3, "2026-02-03", "2026-02-13"),
        (["1,x,3/2/2026 10:00,a", "2,x,3/14/2026 10:00,a"], 2, "2026-03-02", "2026-03-14"),
        (
            ['1,"x,2026-03-02 10:00,a', "2,x,2026-03-03 10:00,a", "3,x,2026-03-04 10:00,a"],
            2,
            "2026-03-03",
            "2026-03-04",
        ),
        (['1,"x\na,b,c,d\ny",2026-03-02 10:00,a', "2,x,2026-03-03 10:00,a"], 2, "2026-03-02", "2026-03-03"),
    ],
    ids=["day first", "month first", "open quote", "commas in a text of several lines"],
)
def test_scan_finds_the_same_times_as_the_reader(
    tmp_path: Path, rows: list[str], posts: int, first: str, last: str
) -> None:
    reader = a_table(tmp_path / "a.csv", rows)
    file = RowFile(tmp_path / "a.csv")
    found = scan_times(file, "created_at", zone=UTC_ZONE, day_first=reader.day_first, is_time=reader.is_time)
    sent = [post.created_at for post in reader.read() if isinstance(post, OutgoingPost)]
    assert (found.rows, found.first, found.last) == (posts, min(sent), max(sent))
    assert (f"{found.first:%Y-%m-%d}", f"{found.last:%Y-%m-%d}") == (first, last)


def test_outliers_respect_the_date_order(tmp_path: Path) -> None:
    rows = [f"{day},x,{day}/2/2026 10:00,a" for day in (1, 2, 3, 13, 14, 4, 5, 6, 7, 8, 9, 10, 11, 12)]
    reader = a_table(tmp_path / "a.csv", rows)
    messages: list[str] = []
    checked = check_times(
        RowFile(tmp_path / "a.csv"),
        "created_at",
        zone=UTC_ZONE,
        far="ask",
        now=BEGIN,
        notify=messages.append,
        day_first=reader.day_first,
        is_time=reader.is_time,
    )
    assert (checked.times.rows, checked.rejected, messages) == (14, None, [])
    assert checked.times.step_back == timedelta(days=10)


def test_future_row_error_reports_the_date_order(tmp_path: Path) -> None:
    reader = a_table(tmp_path / "a.csv", ["1,x,13/2/2026 10:00,a", "2,x,3/12/2026 10:00,a"])
    with pytest.raises(InputError, match=r"line 3: 3/12/2026 10:00\n.*--dates month-first"):
        check_times(
            RowFile(tmp_path / "a.csv"),
            "created_at",
            zone=UTC_ZONE,
            far="ask",
            now=BEGIN,
            notify=lambda _: None,
            day_first=reader.day_first,
            is_time=reader.is_time,
        )


@given(st.lists(st.integers(0, 400_000), min_size=1, max_size=60))
def test_scan_of_texts_equals_scan_of_times(seconds: list[int]) -> None:
    from ingest.files.times.time_scan import _TimeCollector

    moments = [BEGIN + timedelta(seconds=number) for number in seconds]
    by_text, by_time = _TimeCollector(), _TimeCollector()
    for begin in range(0, len(moments), 7):
        by_text.add_values([at.isoformat() for at in moments[begin : begin + 7]])
        by_time.add_times(moments[begin : begin + 7])
    assert by_text.times() == by_time.times()


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ({DAY: 400}, OutlierBounds()),
        ({DAY: 400, DAY + 213: 1}, OutlierBounds(after=DAY)),
        ({0: 1, DAY: 400}, OutlierBounds(before=DAY)),
        ({0: 1, DAY: 200, DAY + 1: 200, DAY + 30: 2}, OutlierBounds(DAY, DAY + 1)),
        ({DAY: 5, DAY + 3: 5}, OutlierBounds()),
        ({DAY + 30 * month: 1 for month in range(24)}, OutlierBounds()),
        ({DAY: 100, DAY + 40: 100}, OutlierBounds()),
        ({DAY: 3, DAY + 20: 1}, OutlierBounds()),
        ({DAY: 3, DAY + 365: 1}, OutlierBounds(after=DAY)),
        ({DAY: 1, DAY + 365: 1}, OutlierBounds()),
        ({}, OutlierBounds()),
    ],
)
def test_few_rows_beyond_a_wide_gap_are_outliers(days: dict[int, int], expected: OutlierBounds) -> None:
    assert outlier_bounds(days) == expected


def check(
    path: Path, times: list[str], far: Literal["ask", "send", "reject"] = "ask", now: datetime | None = NOW
) -> tuple[TimeCheck, list[str]]:
    messages: list[str] = []
    checked = check_times(
        a_file(path, times),
        "created_at",
        zone=None,
        far=far,
        now=now,
        notify=messages.append,
    )
    return checked, messages


def test_later_outlier_stops_the_file_with_its_line(tmp_path: Path) -> None:
    times = [*hours(*range(20)), "2026-03-11T00:00:00+00:00", *hours(20)]
    with pytest.raises(InputError, match=r"1 of 22 rows.*\n  line 21: 2026-03-11.*\n.*--far-dates reject"):
        check(tmp_path / "a.jsonl", times)
    checked, messages = check(tmp_path / "a.jsonl", times, "reject")
    assert "line 21" in messages[0]
    assert checked.rejected is not None
    assert checked.rejected.contains(BEGIN + timedelta(days=9))
    assert "far from the times" in (checked.rejected.reject_reason(BEGIN + timedelta(days=9)) or "")
    assert checked.rejected.reject_reason(BEGIN) is None
    checked, messages = check(tmp_path / "a.jsonl", times, "send")
    assert checked.rejected is None


def test_earlier_outliers_are_listed_and_sent(tmp_path: Path) -> None:
    checked, messages = check(tmp_path / "a.jsonl", [*hours(*range(20)), "1990-01-01T00:00:00Z"])
    assert checked.rejected is None
    assert "line 21: 1990-01-01" in messages[0]


def test_future_rows_stop_the_file_unless_times_are_moved(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="9 of 20 rows are in the future"):
        check(tmp_path / "a.jsonl", hours(*range(20)), now=BEGIN + timedelta(hours=10, minutes=30))
    assert check(tmp_path / "a.jsonl", hours(*range(20)), now=None)[1] == []
    checked, _ = check(tmp_path / "a.jsonl", hours(*range(20)), "reject", now=BEGIN + timedelta(hours=10, minutes=30))
    assert checked.rejected is not None
    assert "is in the future" in (checked.rejected.reject_reason(BEGIN + timedelta(hours=12)) or "")


def test_at_most_ten_outliers_are_listed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="and 10 more"):
        check(tmp_path / "a.jsonl", [*hours(*range(20)), *hours(*range(300, 320))], now=BEGIN + timedelta(days=5))


def test_file_older_than_counted_posts_gives_a_late_warning() -> None:
    times = Times(100, BEGIN, BEGIN + timedelta(days=1), days={DAY: 50, DAY + 1: 50})
    clock = int((BEGIN + timedelta(days=30)).timestamp() * 1_000)
    warning = late_warning(times, first=BEGIN, clock=StreamClock(clock, clock))
    assert warning is not None
    assert "about 100 of the 100 posts" in warning
    assert "BRANDPULSE_NAMESPACE" in warning
    assert "too_old" not in warning
    later = clock + 90 * 86_400_000
    assert "too_old" in (late_warning(times, first=BEGIN, clock=StreamClock(later, later)) or "")
    before = int(BEGIN.timestamp() * 1_000)
    assert late_warning(times, first=BEGIN, clock=StreamClock(before, before)) is None


def test_posts_sent_before_give_no_late_warning() -> None:
    times = Times(100, BEGIN, BEGIN + timedelta(days=1), days={DAY: 50, DAY + 1: 50})
    clock = int((BEGIN + timedelta(days=1)).timestamp() * 1_000)
    assert late_warning(times, first=BEGIN + timedelta(days=1), clock=StreamClock(clock, clock)) is None


def test_without_worker_state_posts_are_old_relative_to_now() -> None:
    assert old_posts_warning(first=BEGIN, now=BEGIN + timedelta(days=89)) is None
    assert "older than 90 days" in (old_posts_warning(first=BEGIN, now=BEGIN + timedelta(days=91)) or "")

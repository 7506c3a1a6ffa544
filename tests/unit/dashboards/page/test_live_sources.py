from datetime import UTC, datetime, timedelta

import pytest

from brandpulse.state.live_sources import Period, PeriodState, SourceRecord
from dashboards.page.live_sources import chart_end, gap_banners, gaps_between, shown_sources

NOW = datetime(2026, 11, 30, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000
NOW_MS = int(NOW.timestamp() * 1_000)


def a_period(state: PeriodState, begin_ago: timedelta, end_ago: timedelta = timedelta(0)) -> Period:
    return Period("bluesky", NOW - begin_ago, NOW - end_ago, state, "no route.")


def test_gaps_are_cut_to_the_chart() -> None:
    shown = [a_period("lost", 5 * HOUR, 4 * HOUR), a_period("lost", 3 * HOUR, HOUR), a_period("away", HOUR / 2)]
    found = gaps_between(shown, NOW_MS - 2 * HOUR_MS, NOW_MS - HOUR_MS // 2)
    assert [(gap.begin_ms - NOW_MS, gap.end_ms - NOW_MS) for gap in found] == [(-2 * HOUR_MS, -HOUR_MS)]


@pytest.mark.parametrize(
    ("clock_ago", "end_ago"),
    [(HOUR, timedelta(0)), (2 * HOUR, timedelta(0)), (48 * HOUR, 48 * HOUR), (-HOUR, -HOUR)],
)
def test_chart_goes_on_to_now_if_its_stream_stopped_with_a_source(clock_ago: timedelta, end_ago: timedelta) -> None:
    # A stream of old posts from a file ended long before: its chart ends where its posts end.
    clock = round((NOW - clock_ago).timestamp() * 1_000)
    assert chart_end(clock, [a_period("away", HOUR)]) == round((NOW - end_ago).timestamp() * 1_000)
    assert chart_end(clock, [a_period("lost", HOUR)]) == clock


def test_banners_name_source_time_and_reason() -> None:
    shown = [
        a_period("refilled", 2 * HOUR, HOUR),
        a_period("lost", 9 * HOUR, 8 * HOUR),
        a_period("lost", 4 * HOUR, HOUR / 2),
        a_period("rereading", HOUR, HOUR / 2),
        a_period("away", HOUR / 2),
    ]
    lost, again, away = gap_banners(shown, now=NOW)
    assert lost == "bluesky could not read 29 Nov, 23:00 to 02:30 UTC (no route): posts of this period may be missing."
    assert again.startswith("bluesky reads 02:00 to 02:30 UTC again (no route)")
    assert away.startswith("bluesky has not been read since 02:30 UTC (no route): its posts are missing")


def test_a_source_counts_as_read_unless_it_is_away() -> None:
    sources = {"bluesky": SourceRecord("bluesky", "reading", NOW - HOUR), "news": SourceRecord("feed", "reading", NOW)}
    found = shown_sources(sources, [a_period("away", HOUR)], now=NOW)
    assert [(one.name, one.status, one.reads, one.reason) for one in found] == [
        ("bluesky", "not running", False, "no route."),
        ("news", "reading", True, ""),
    ]

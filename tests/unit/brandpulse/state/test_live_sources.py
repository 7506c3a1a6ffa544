from datetime import UTC, datetime, timedelta

from brandpulse.state.live_sources import GapRecord, Rereading, SourceRecord, periods

NOW = datetime(2026, 11, 30, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)


def source(
    status: str, *, updated: timedelta = timedelta(0), away: timedelta | None = None, reason: str = ""
) -> SourceRecord:
    return SourceRecord("feed", status, NOW - updated, reason, None if away is None else NOW - away)


def shown(one: SourceRecord, *gaps: GapRecord) -> list[tuple[timedelta, timedelta, str, str]]:
    return [(NOW - p.begin, NOW - p.end, p.state, p.reason) for p in periods({"s": one}, gaps, now=NOW)]


def test_a_source_that_reads_has_no_period() -> None:
    assert shown(source("reading", updated=timedelta(seconds=30))) == []


def test_an_interruption_is_shown_after_a_minute() -> None:
    assert shown(source("waiting", away=timedelta(seconds=50), reason="no route")) == []
    assert shown(source("waiting", away=HOUR, reason="no route")) == [(HOUR, timedelta(0), "away", "no route")]


def test_a_service_that_is_gone_leaves_its_sources_unread() -> None:
    [(begin, _, state, reason)] = shown(source("reading", updated=HOUR))
    assert (begin, state, reason) == (HOUR, "away", "`brandpulse ingest run` is not running")
    [(begin, _, state, reason)] = shown(source("stopped", updated=HOUR, away=2 * HOUR))
    assert (begin, state, reason) == (2 * HOUR, "away", "`brandpulse ingest run` was stopped")


def test_a_source_that_nothing_runs_for_a_week_is_forgotten() -> None:
    assert shown(source("stopped", updated=timedelta(days=8))) == []


def test_gaps_and_periods_read_again_are_in_order_of_time() -> None:
    again = SourceRecord("feed", "reading", NOW, rereading=Rereading(NOW - 2 * HOUR, NOW - HOUR, "a"))
    gaps = [
        GapRecord("s", NOW - 3 * HOUR, NOW - 2 * HOUR, "b"),
        GapRecord("s", NOW - 5 * HOUR, NOW - 4 * HOUR, "c", refilled=True),
    ]
    assert [state for _, _, state, _ in shown(again, *gaps)] == ["refilled", "lost", "rereading"]

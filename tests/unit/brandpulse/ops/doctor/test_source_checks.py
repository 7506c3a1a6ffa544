from datetime import UTC, datetime, timedelta

from brandpulse.ops.doctor.source_checks import findings
from brandpulse.state.live_sources import GapRecord, Rereading, SourceRecord

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def a_source(
    status: str, updated_ago: timedelta, *, away_ago: timedelta | None = None, reason: str = ""
) -> SourceRecord:
    away = None if away_ago is None else NOON - away_ago
    last = NOON - timedelta(minutes=3)
    return SourceRecord(
        "bluesky", status, NOON - updated_ago, reason, away, None, last, 1.0, 2, 0, {"sent": 9, "gone": 1}
    )


def a_gap(noted_ago: timedelta, *, refilled: bool = False) -> GapRecord:
    return GapRecord("bluesky", NOON, NOON + timedelta(hours=1), "it is gone", refilled, NOON - noted_ago)


def test_a_source_that_reads_is_ok() -> None:
    [found] = findings(["b"], {"b": a_source("reading", timedelta(seconds=5))}, [], now=NOON, runs=True)
    assert found.observation == (
        "b reads; newest post 3 min ago; 9 posts sent, 1 other events, 2 reconnects since its start"
    )
    assert found.remedy == ""


def test_a_source_that_is_not_read_is_a_warning_with_its_fault() -> None:
    waiting = a_source("waiting", timedelta(seconds=5), away_ago=timedelta(minutes=40), reason="no route")
    [found] = findings(["b"], {"b": waiting}, [], now=NOON, runs=True)
    assert (found.observation, found.warning) == ("b has not been read for 40 min: no route", True)
    assert "ingest check" in found.remedy


def test_sources_without_a_running_service_are_warnings() -> None:
    gone, new = findings(["b", "n"], {"b": a_source("reading", timedelta(hours=3))}, [], now=NOON, runs=False)
    assert gone.observation == "b has not been read for 3 h: `brandpulse ingest run` is not running"
    assert new.observation == "n was never read"
    assert "ingest run" in new.remedy


def test_a_source_that_reads_a_period_again_says_which() -> None:
    source = a_source("reading", timedelta(seconds=5))
    again = Rereading(NOON - timedelta(hours=1), NOON - timedelta(minutes=5), "no route")
    _, found = findings(
        ["b"],
        {"b": SourceRecord(source.kind, source.status, source.updated_at, rereading=again)},
        [],
        now=NOON,
        runs=True,
    )
    assert found.observation == "b reads 11:00 to 11:55 UTC again: no route"


def test_a_gap_of_the_last_day_is_a_warning() -> None:
    gaps = [a_gap(timedelta(hours=1)), a_gap(timedelta(days=2)), a_gap(timedelta(hours=1), refilled=True)]
    [found] = findings([], {}, gaps, now=NOON, runs=True)
    assert found.observation == "bluesky could not read 2026-11-30 12:00 to 2026-11-30 13:00 UTC: it is gone"

from datetime import UTC, datetime, timedelta

from brandpulse.ops.doctor.source_checks import findings
from ingest.sources.position_store import GapRecord, Position

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def a_position(saved_ago: timedelta) -> Position:
    return Position({}, NOON - saved_ago, "id", {}, NOON - saved_ago)


def a_gap(noted_ago: timedelta, *, refilled: bool = False) -> GapRecord:
    return GapRecord("bluesky", NOON, NOON + timedelta(hours=1), "it is gone", refilled, NOON - noted_ago)


def test_a_source_that_reads_is_ok() -> None:
    [found] = findings(["b"], {"b": a_position(timedelta(seconds=5))}, [], now=NOON, runs=True)
    assert (found.observation, found.remedy) == ("b reads; newest post 0 min ago", "")


def test_a_quiet_or_new_source_is_a_warning_with_a_remedy() -> None:
    quiet, new = findings(["b", "n"], {"b": a_position(timedelta(hours=3))}, [], now=NOON, runs=False)
    assert (quiet.observation, quiet.warning) == ("b saved its last position 3 h ago", True)
    assert new.observation == "n never had a position"
    assert "ingest run" in new.remedy


def test_a_gap_of_the_last_day_is_a_warning() -> None:
    gaps = [a_gap(timedelta(hours=1)), a_gap(timedelta(days=2)), a_gap(timedelta(hours=1), refilled=True)]
    [found] = findings([], {}, gaps, now=NOON, runs=True)
    assert found.observation == "bluesky could not read 2026-11-30 12:00 to 2026-11-30 13:00 UTC: it is gone"

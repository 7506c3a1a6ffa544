from datetime import UTC, datetime, timedelta

import pytest

from ingest.sources.event_time import event_time

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize("difference", [timedelta(minutes=5), timedelta(0), timedelta(days=-2)])
def test_a_plausible_time_is_kept(difference: timedelta) -> None:
    assert event_time(NOON + difference, NOON) == (NOON + difference, False)


@pytest.mark.parametrize(
    "declared", [None, NOON.replace(tzinfo=None), NOON + timedelta(minutes=6), NOON - timedelta(days=3)]
)
def test_an_implausible_time_is_replaced(declared: datetime | None) -> None:
    assert event_time(declared, NOON) == (NOON, True)


def test_an_old_time_is_kept_after_an_absence() -> None:
    assert event_time(NOON - timedelta(days=9), NOON, may_be_old=True) == (NOON - timedelta(days=9), False)
    assert event_time(NOON + timedelta(days=9), NOON, may_be_old=True) == (NOON, True)

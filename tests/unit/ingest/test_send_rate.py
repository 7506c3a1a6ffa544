"""When each post is due."""

from datetime import UTC, datetime, timedelta

from ingest.send_rate import ConstantRate, ReplayRate, time_shift

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_constant_rate_ignores_recorded_times() -> None:
    pace = ConstantRate(50)
    assert pace.due_seconds(0, NOON) == 0
    assert pace.due_seconds(100, NOON - timedelta(days=9)) == 2


def test_replay_rate_divides_recorded_gaps_by_the_speed() -> None:
    pace = ReplayRate(60, NOON)
    assert pace.due_seconds(7, NOON) == 0
    assert pace.due_seconds(8, NOON + timedelta(hours=1)) == 60


def test_time_shift_gives_the_last_post_its_sending_time() -> None:
    last = NOON + timedelta(hours=2)
    now = datetime(2030, 1, 1, tzinfo=UTC)
    assert last + time_shift(now, first=NOON, last=last, speed=None) == now
    assert NOON + time_shift(now, first=NOON, last=last, speed=1) == now
    assert last + time_shift(now, first=NOON, last=last, speed=60) == now + timedelta(minutes=2)

"""Outcomes of posts by source: bounds, periods, offsets, stored form."""

import pytest

from brandpulse.errors import StateError
from brandpulse.state.keys import DAY_MS, HOUR_MS
from brandpulse.state.outcomes.post_outcomes import (
    CELLS,
    NO_OFFSET,
    OTHER_SOURCES,
    PERIODS,
    SOURCES,
    decode_outcomes,
    encode_outcomes,
    offset_hours,
    offset_number,
    period_after,
    with_added_outcomes,
)
from tests.support.builders import NOON_MS


@pytest.mark.parametrize("hours", [-14, -9.5, -5, -0.5, 0, 0.5, 9, 14])
def test_a_near_clock_offset_is_kept_to_the_half_hour(hours: float) -> None:
    ahead_ms = round(hours * HOUR_MS)
    for wobble_ms in (-14 * 60_000, 0, 14 * 60_000):
        assert offset_hours(offset_number(NOON_MS + ahead_ms + wobble_ms, NOON_MS)) == hours


def test_a_far_clock_offset_is_kept_as_its_lower_bound() -> None:
    assert offset_hours(offset_number(NOON_MS - 3 * DAY_MS, NOON_MS)) == -48
    assert offset_hours(offset_number(NOON_MS + 15 * HOUR_MS, NOON_MS)) == 14.25
    assert offset_hours(offset_number(NOON_MS, NOON_MS // 1_000)) == 16_384 * 24
    assert offset_hours(offset_number(NOON_MS, -1)) is None


def test_an_implausible_record_time_does_not_move_the_period() -> None:
    assert period_after(5, NOON_MS // 1_000) == 5
    assert period_after(5, NOON_MS * 1_000) == 5
    assert period_after(5, NOON_MS) == NOON_MS // (HOUR_MS // 4)


def test_more_sources_than_are_kept_share_one_name() -> None:
    added = {7: {(f"source-{n:03}", "late", 3): 1 for n in range(500)} | {("big", "late", 3): 2}}
    [period] = with_added_outcomes((), added)
    names = {cell.source for cell in period.cells}
    assert len(names - {OTHER_SOURCES}) == SOURCES
    assert "big" in names
    assert sum(cell.posts for cell in period.cells) == 502


def test_more_offsets_than_are_kept_are_counted_without_one() -> None:
    [period] = with_added_outcomes((), {7: {("rss", f"outcome-{n % 5}", n): 1 for n in range(400)}})
    assert len(period.cells) <= CELLS + 5
    assert sum(cell.posts for cell in period.cells) == 400
    assert any(cell.offset == NO_OFFSET for cell in period.cells)


def test_periods_that_are_too_old_are_left_out() -> None:
    post_outcomes = with_added_outcomes((), {1: {("rss", "late", 3): 1}})
    post_outcomes = with_added_outcomes(post_outcomes, {PERIODS: {("rss", "late", 3): 1}})
    assert [period.number for period in post_outcomes] == [1, PERIODS]
    post_outcomes = with_added_outcomes(post_outcomes, {PERIODS + 1: {("rss", "late", 3): 1}})
    assert [period.number for period in post_outcomes] == [PERIODS, PERIODS + 1]


def test_the_stored_form_is_read_back() -> None:
    post_outcomes = with_added_outcomes((), {1: {("rss", "late", 3): 1, ("", "not_json", -1): 4}})
    assert decode_outcomes(encode_outcomes(post_outcomes)) == post_outcomes
    assert decode_outcomes(b"") == ()
    with pytest.raises(StateError, match="fates"):
        decode_outcomes(b'{"a":1}')

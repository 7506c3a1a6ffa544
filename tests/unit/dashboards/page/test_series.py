from hypothesis import given
from hypothesis import strategies as st

from brandpulse.state.keys import HOUR_MS, MINUTE_MS
from brandpulse.state.panes import Pane
from dashboards.page.series import MAX_HOURS, bars, plan

CLOCK_MS = 1_763_476_340_000
"""18 November 2025, 14:32:20."""
MINUTE = CLOCK_MS // MINUTE_MS


@given(hours=st.integers(1, MAX_HOURS), back_ms=st.integers(0, 80 * 24 * HOUR_MS))
def test_chart_has_at_most_182_bars(hours: int, back_ms: int) -> None:
    wanted = plan(hours, CLOCK_MS - back_ms, CLOCK_MS)

    assert len(bars({}, 1, wanted)) <= 182
    assert wanted.first_minute % wanted.step_minutes == 0
    assert wanted.last_minute - wanted.first_minute + 1 >= hours * 60


@given(
    st.dictionaries(st.integers(MINUTE - 359, MINUTE), st.integers(0, 9).map(lambda n: Pane(n, 1, 2, 0, irrelevant=3)))
)
def test_every_minute_is_in_exactly_one_bar(panes: dict[int, Pane]) -> None:
    shown = bars(panes, 1, plan(6, CLOCK_MS, CLOCK_MS))

    assert sum(bar.negative for bar in shown) == sum(pane.negative for pane in panes.values())
    assert sum(bar.neutral for bar in shown) == sum(pane.neutral for pane in panes.values())
    assert sum(bar.positive for bar in shown) == sum(pane.positive for pane in panes.values())
    assert sum(bar.irrelevant for bar in shown) == 3 * len(panes)


def test_expired_minute_panes_are_replaced_by_hour_panes() -> None:
    recent = plan(6, CLOCK_MS - 24 * HOUR_MS, CLOCK_MS)
    old = plan(6, CLOCK_MS - 72 * HOUR_MS, CLOCK_MS)

    assert (recent.step_minutes, recent.from_hours) == (5, False)
    assert (old.step_minutes, old.from_hours) == (60, True)


def test_hour_pane_is_added_to_its_bar() -> None:
    hour = CLOCK_MS // HOUR_MS
    shown = bars({hour: Pane(3, 2, 1, 0)}, 60, plan(30 * 24, CLOCK_MS, CLOCK_MS))

    assert shown[-1].start_ms == hour // 4 * 4 * HOUR_MS
    assert (shown[-1].negative, shown[-1].neutral, shown[-1].positive) == (3, 2, 1)


def test_share_covers_an_hour_also_in_the_first_bar() -> None:
    wanted = plan(6, CLOCK_MS, CLOCK_MS)
    before = wanted.first_minute + wanted.step_minutes - 60
    panes = {before: Pane(4, 0, 0, 0), before - 1: Pane(100, 0, 0, 0), wanted.first_minute: Pane(0, 3, 1, 0)}

    first, second = bars(panes, 1, wanted)[:2]

    assert wanted.from_minute == before
    assert (first.negative, first.neutral, first.positive) == (0, 3, 1)
    assert (first.share_negative, first.share_relevant) == (4, 8)
    assert (second.share_negative, second.share_relevant) == (0, 4)


def test_bar_longer_than_an_hour_has_its_own_share() -> None:
    day = CLOCK_MS // HOUR_MS // 24
    panes = {day * 24 + 3: Pane(1, 1, 0, 0, irrelevant=7), (day - 1) * 24: Pane(9, 0, 0, 0)}

    last = bars(panes, 60, plan(90 * 24, CLOCK_MS, CLOCK_MS))[-1]

    assert (last.share_negative, last.share_relevant) == (1, 2)

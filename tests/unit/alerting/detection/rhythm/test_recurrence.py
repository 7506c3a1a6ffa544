"""Episodes that recur teach what is usual, and the others do not."""

from collections.abc import Callable

import numpy as np
import pytest

from alerting.detection.share_baseline import BaselinePolicy, learn_usual_week
from brandpulse.state.author_sketches import AuthorCounts
from brandpulse.state.keys import HOUR_MS
from tests.support.alerting.post_streams import MONDAY

HOUR = MONDAY // 60
POLICY = BaselinePolicy()
USUAL, RAISED = 0.2, 0.4
SATURDAY, WEEK = 5 * 24, 7 * 24


def expected(
    raised: Callable[[int], bool], episodes: list[range], *, days: int, people: int, at: int, hours: int = 12
) -> float:
    """The share expected of *hours* from hour *at* on, after *days*; *episodes* are hours since the Monday."""
    rng = np.random.default_rng(3)
    seen = {
        HOUR + hour: AuthorCounts(people, int(rng.binomial(people, RAISED if raised(hour) else USUAL)))
        for hour in range(days * 24)
    }
    spans = [((HOUR + one.start) * HOUR_MS, (HOUR + one.stop) * HOUR_MS - 1) for one in episodes]
    past = learn_usual_week(seen, before_hour=HOUR + days * 24, incidents=spans, policy=POLICY)
    return past.expect((HOUR + at) * 60, (HOUR + at + hours) * 60 - 1).share


def weekend(hour: int) -> bool:
    return hour % WEEK >= SATURDAY


def weekends(many: int, first: int = 8, last: int = 28) -> list[range]:
    """An episode on each of their days."""
    days = [WEEK * week + SATURDAY + 24 * day for week in range(many) for day in range(2)]
    return [range(day + first, day + last) for day in days]


@pytest.mark.parametrize("people", [10, 30, 100])
def test_after_a_weekend_paged_the_next_one_is_expected(people: int) -> None:
    assert expected(weekend, weekends(2), days=19, people=people, at=2 * WEEK + SATURDAY + 8) > 0.3


def test_a_monday_that_pages_each_week_becomes_usual() -> None:
    episodes = [range(WEEK * week + 6, WEEK * week + 24) for week in (1, 2)]
    share = expected(lambda hour: hour % WEEK < 24, episodes, days=21, people=30, at=3 * WEEK + 8)
    assert share > 0.3


def test_a_new_daily_peak_becomes_usual_once_it_recurs() -> None:
    episodes = [range(24 * day + 18, 24 * day + 23) for day in range(7, 12)]
    share = expected(
        lambda hour: hour >= WEEK and 18 <= hour % 24 < 22, episodes, days=12, people=100, at=12 * 24 + 18, hours=4
    )
    assert share > 0.27


@pytest.mark.parametrize("lasting", [3, 6, 14])
@pytest.mark.parametrize("weeks", [1, 3])
def test_a_rise_on_one_saturday_does_not_become_usual(weeks: int, lasting: int) -> None:
    storm = range((weeks - 1) * WEEK + SATURDAY + 9, (weeks - 1) * WEEK + SATURDAY + 9 + lasting)
    share = expected(
        lambda hour: hour in storm, [storm], days=7 * weeks + 5, people=100, at=weeks * WEEK + SATURDAY + 9, hours=6
    )
    assert share == pytest.approx(USUAL, abs=0.015)


@pytest.mark.parametrize("until", [240, 10**6])
def test_an_open_episode_is_not_compared_with_itself(until: int) -> None:
    past = {HOUR + n: AuthorCounts(100, 60 if n >= 200 else 20) for n in range(240)}
    span = (HOUR + 200) * HOUR_MS, (HOUR + until) * HOUR_MS
    assert learn_usual_week(past, before_hour=HOUR + 240, incidents=[span], policy=POLICY).hours == 240 - 24


def test_a_weekend_long_episode_is_learnt_after_its_end() -> None:
    long = range(SATURDAY + 8, SATURDAY + 50)
    assert expected(weekend, [long], days=12, people=100, at=WEEK + SATURDAY + 8) > 0.23
    assert expected(weekend, [long, range(long.start + WEEK, long.stop + WEEK)], days=19, people=100, at=19 * 24) > 0.35

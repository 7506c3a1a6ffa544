import math
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from alerting.detection.share_baseline import BaselinePolicy, UsualWeek, learn_usual_week
from brandpulse.state.author_sketches import AuthorCounts
from brandpulse.state.keys import HOUR_MS
from tests.support.alerting.post_streams import MONDAY

HOUR = MONDAY // 60
POLICY = BaselinePolicy()


def hours_of(rng: np.random.Generator, many: int, *, authors: int, share: float, rho: float) -> dict[int, AuthorCounts]:
    scale = (1 - rho) / rho
    shares = rng.beta(share * scale, (1 - share) * scale, many)
    return {HOUR + n: AuthorCounts(authors, int(rng.binomial(authors, p))) for n, p in enumerate(shares)}


def usual(past: UsualWeek) -> float:
    """Over the whole day."""
    return past.expect(HOUR * 60, HOUR * 60 + 1_439).share


def test_without_history_the_baseline_is_an_uncertain_prior() -> None:
    made = learn_usual_week({}, before_hour=HOUR, incidents=(), policy=POLICY)
    assert (usual(made), made.hours, made.authors) == (POLICY.prior_share, 0, 0)
    assert made.expect(0, 59).rho > 0.05


def test_with_a_long_history_the_prior_hardly_counts() -> None:
    hours = hours_of(np.random.default_rng(1), 600, authors=80, share=0.4, rho=0.03)
    made = learn_usual_week(hours, before_hour=HOUR + 600, incidents=(), policy=POLICY)
    assert usual(made) == pytest.approx(0.4, abs=0.01)
    assert made.rho == pytest.approx(0.03, abs=0.005)
    assert made.hours == 600


def test_with_an_even_past_rho_is_the_floor() -> None:
    hours = {HOUR + n: AuthorCounts(100, 20) for n in range(600)}
    made = learn_usual_week(hours, before_hour=HOUR + 600, incidents=(), policy=POLICY)
    assert POLICY.rho_floor < made.expect(HOUR * 60, HOUR * 60 + 59).rho < POLICY.rho_floor * 1.1


def test_hours_of_an_incident_are_not_learnt() -> None:
    hours = {HOUR + n: AuthorCounts(100, 90 if 100 <= n < 110 else 20) for n in range(200)}
    span = (HOUR + 100) * HOUR_MS + 1, (HOUR + 109) * HOUR_MS + 2
    made = learn_usual_week(hours, before_hour=HOUR + 200, incidents=[span], policy=POLICY)
    assert made.hours == 190
    assert usual(made) == pytest.approx(0.2, abs=0.001)


def test_an_incident_without_end_is_learnt_after_a_day() -> None:
    hours = {HOUR + n: AuthorCounts(100, 60 if n >= 100 else 20) for n in range(200)}
    span = (HOUR + 100) * HOUR_MS, 2**53
    made = learn_usual_week(hours, before_hour=HOUR + 200, incidents=[span], policy=POLICY)
    assert made.hours == 200 - 24
    assert usual(made) > 0.35


def test_only_the_days_before_are_learnt() -> None:
    hours = {HOUR + n: AuthorCounts(10, 2) for n in range(1_000)}
    assert learn_usual_week(hours, before_hour=HOUR + 900, incidents=(), policy=POLICY).hours == 28 * 24


def by_the_sun(hour: int, swing: float) -> float:
    """A share of a fifth that swings by *swing* logits, highest at six in the morning."""
    return 1 / (1 + math.exp(math.log(4) - swing * math.sin(2 * math.pi * hour / 24)))


def test_the_shape_of_a_day_is_learnt() -> None:
    rng = np.random.default_rng(5)
    hours = {HOUR + n: AuthorCounts(100, int(rng.binomial(100, by_the_sun(n, 0.4)))) for n in range(28 * 24)}
    past = learn_usual_week(hours, before_hour=HOUR + 28 * 24, incidents=(), policy=POLICY)
    for hour in range(24):
        first = (HOUR + 28 * 24 + hour) * 60
        assert past.expect(first, first + 59).share == pytest.approx(by_the_sun(hour, 0.4), abs=0.025)
    assert past.rho < 0.006, "the day's swing must not pass for over-dispersion"


def test_a_quiet_brand_has_no_shape() -> None:
    rng = np.random.default_rng(6)
    hours = {HOUR + n: AuthorCounts(3, int(rng.binomial(3, 0.2))) for n in range(7 * 24)}
    past = learn_usual_week(hours, before_hour=HOUR + 7 * 24, incidents=(), policy=POLICY)
    assert np.ptp(past.rhythm.shares) < 0.1


def on_weekends(hour: int, swing: float) -> float:
    """A share of a fifth from Monday to Friday, *swing* logits more from Saturday on."""
    return 1 / (1 + math.exp(math.log(4) - (swing if hour // 24 % 7 >= 5 else 0.0)))


def test_after_enough_weeks_the_shape_of_a_week_is_learnt() -> None:
    rng = np.random.default_rng(8)
    hours = {HOUR + n: AuthorCounts(100, int(rng.binomial(100, on_weekends(n, 0.8)))) for n in range(28 * 24)}
    past = learn_usual_week(hours, before_hour=HOUR + 28 * 24, incidents=(), policy=POLICY)
    noon = [past.expect((HOUR + 24 * day + 12) * 60, (HOUR + 24 * day + 12) * 60 + 59).share for day in range(28, 35)]
    assert noon[:5] == pytest.approx([0.2] * 5, abs=0.05)
    assert noon[5:] == pytest.approx([on_weekends(5 * 24, 0.8)] * 2, abs=0.07)
    quiet = {hour: AuthorCounts(10, int(rng.binomial(10, seen.negative / 100))) for hour, seen in hours.items()}
    past = learn_usual_week(quiet, before_hour=HOUR + 28 * 24, incidents=(), policy=POLICY)
    assert past.expect((HOUR + 33 * 24 + 12) * 60, (HOUR + 33 * 24 + 12) * 60 + 59).share > 0.27
    young = learn_usual_week(hours, before_hour=HOUR + 13 * 24, incidents=(), policy=POLICY)
    assert young.expect((HOUR + 19 * 24 + 12) * 60, (HOUR + 19 * 24 + 12) * 60 + 59).share < 0.27


def test_moods_of_half_a_day_are_not_a_weekly_shape() -> None:
    """Drifting hours (AR(1), .9 an hour) are predicted as well with a weekly shape as without."""
    rng = np.random.default_rng(9)

    def error(policy: BaselinePolicy) -> float:
        past = learn_usual_week(hours, before_hour=HOUR + 28 * 24, incidents=(), policy=policy)
        ahead = ((HOUR + 28 * 24 + hour) * 60 for hour in range(7 * 24))
        return float(np.sqrt(np.mean([(past.expect(first, first + 59).share - 0.2) ** 2 for first in ahead])))

    errors = []
    for _ in range(20):
        mood = np.zeros(28 * 24)
        for hour in range(1, len(mood)):
            mood[hour] = 0.9 * mood[hour - 1] + rng.normal(0, 0.1)
        shares = 1 / (1 + np.exp(math.log(4) - mood))
        hours = {HOUR + n: AuthorCounts(60, int(rng.binomial(60, p))) for n, p in enumerate(shares)}
        errors.append((error(POLICY), error(BaselinePolicy(week_from_days=10**6))))
    with_week, without = np.mean(errors, axis=0)
    assert with_week < 1.1 * without


def test_weights_are_learnt_by_hour_of_day_without_incidents() -> None:
    hours = {HOUR + hour: AuthorCounts(60, 15) for hour in range(28 * 24)}
    wave = {hour: 0.35 + 0.08 * math.sin(2 * math.pi * hour / 24) for hour in hours}
    crisis = range(HOUR + 600, HOUR + 612)
    weights = {hour: 0.9 if hour in crisis else weight for hour, weight in wave.items()}
    span = (crisis.start * HOUR_MS, crisis.stop * HOUR_MS - 1)
    past = learn_usual_week(hours, weights=weights, before_hour=HOUR + 28 * 24, incidents=[span], policy=POLICY)
    expected = past.expect((HOUR + 6) * 60, (HOUR + 6) * 60 + 59)
    assert expected.weight == pytest.approx(0.43, abs=0.02)
    assert 0.0 < expected.weight_rho < expected.rho


def test_without_panes_there_is_no_usual_weight() -> None:
    hours = {HOUR + hour: AuthorCounts(60, 15) for hour in range(48)}
    assert learn_usual_week(hours, before_hour=HOUR + 48, incidents=(), policy=POLICY).expect(0, 59).weight is None


def test_with_few_votes_rho_is_more_uncertain() -> None:
    def rho(authors: int) -> float:
        hours = {HOUR + hour: AuthorCounts(authors, authors // 4) for hour in range(28 * 24)}
        past = learn_usual_week(hours, before_hour=HOUR + 28 * 24, incidents=(), policy=POLICY)
        return past.expect(monday_hour(9), monday_hour(10) - 1).rho

    assert rho(8) > 2 * rho(400)


def monday_hour(hour: int) -> int:
    """An event-time minute: *hour* of the Monday after four weeks."""
    return (HOUR + 28 * 24 + hour) * 60


def morning(hour: int) -> float:
    return 0.5 if 6 <= hour % 24 < 9 else 0.15


def peaked(
    rng: np.random.Generator, share: Callable[[int], float], people: Callable[[int], float], days: int = 28
) -> dict[int, AuthorCounts]:
    seen = {HOUR + n: int(rng.poisson(people(n))) for n in range(days * 24)}
    return {hour: AuthorCounts(n, int(rng.binomial(n, share(hour - HOUR)))) for hour, n in seen.items()}


def share_at(past: UsualWeek, hour: int) -> float:
    return past.expect(monday_hour(hour), monday_hour(hour) + 59).share


@pytest.mark.parametrize(("people", "off"), [(3, 0.12), (30, 0.05), (100, 0.03)])
def test_a_sharp_morning_peak_is_learnt_as_sharply_as_votes_allow(people: int, off: float) -> None:
    hours = peaked(np.random.default_rng(11), morning, lambda _: people)
    past = learn_usual_week(hours, before_hour=HOUR + 28 * 24, incidents=(), policy=POLICY)
    for hour in (4, 5, 6, 7, 8, 9, 10, 15):
        assert share_at(past, hour) == pytest.approx(morning(hour), abs=off)


def test_a_peak_of_one_hour_and_one_across_midnight_are_learnt() -> None:
    def share(hour: int) -> float:
        return 0.5 if hour % 24 in {12, 23, 0} else 0.15

    past = learn_usual_week(
        peaked(np.random.default_rng(12), share, lambda _: 30),
        before_hour=HOUR + 28 * 24,
        incidents=(),
        policy=POLICY,
    )
    for hour in (11, 12, 13, 22, 23, 24, 25):
        assert share_at(past, hour) == pytest.approx(share(hour), abs=0.06)


def test_a_weekend_peak_is_learnt_for_weekends_only() -> None:
    def share(hour: int) -> float:
        return 0.5 if 8 <= hour % 24 < 11 and hour // 24 % 7 >= 5 else 0.15

    past = learn_usual_week(
        peaked(np.random.default_rng(13), share, lambda _: 30),
        before_hour=HOUR + 28 * 24,
        incidents=(),
        policy=POLICY,
    )
    assert share_at(past, 9) == pytest.approx(0.15, abs=0.05)
    assert share_at(past, 5 * 24 + 9) == pytest.approx(0.5, abs=0.1)
    assert share_at(past, 5 * 24 + 13) == pytest.approx(0.15, abs=0.06)


def test_hours_of_a_window_are_weighted_by_their_usual_people() -> None:
    # Three hours from 8 to 11: 90 people at .5, then twice 10 people at .15.
    hours = peaked(np.random.default_rng(14), morning, lambda n: 90 if 6 <= n % 24 < 9 else 10)
    past = learn_usual_week(hours, before_hour=HOUR + 28 * 24, incidents=(), policy=POLICY)
    mean = (90 * 0.5 + 20 * 0.15) / 110
    assert past.expect(monday_hour(8), monday_hour(11) - 1).share == pytest.approx(mean, abs=0.03)


def test_partial_hours_of_a_window_are_weighted_by_their_minutes() -> None:
    past = learn_usual_week(
        peaked(np.random.default_rng(15), morning, lambda _: 100),
        before_hour=HOUR + 28 * 24,
        incidents=(),
        policy=POLICY,
    )
    quarter = past.expect(monday_hour(9) - 15, monday_hour(9) + 44).share
    inside, outside = share_at(past, 8), share_at(past, 9)
    assert quarter == pytest.approx((15 * inside + 45 * outside) / 60, abs=0.01)


def test_with_few_days_a_shape_is_more_uncertain() -> None:
    hours = peaked(np.random.default_rng(16), morning, lambda _: 30)
    doubts = [
        learn_usual_week(hours, before_hour=HOUR + 24 * days, incidents=(), policy=POLICY).rhythm.doubts.mean()
        for days in (2, 7, 28)
    ]
    assert doubts[0] > 2 * doubts[1] > 4 * doubts[2]


@pytest.mark.parametrize("first", ["2026-03-02", "2026-09-28"])
@pytest.mark.parametrize("name", ["Europe/Berlin", "America/New_York", "Australia/Sydney"])
def test_a_peak_moves_with_the_local_clock(name: str, first: str) -> None:
    zone = ZoneInfo(name)
    begin = int(datetime.fromisoformat(first).replace(tzinfo=UTC).timestamp()) // 3_600
    rng = np.random.default_rng(17)
    local = {begin + n: datetime.fromtimestamp((begin + n) * 3_600, UTC).astimezone(zone).hour for n in range(42 * 24)}
    for days in (27, 34, 41):
        hours = {
            at: AuthorCounts(60, int(rng.binomial(60, morning(hour))))
            for at, hour in local.items()
            if at < begin + days * 24
        }
        past = learn_usual_week(hours, before_hour=begin + days * 24, incidents=(), policy=POLICY, zone=zone)
        for at in range(begin + days * 24, begin + days * 24 + 24):
            assert past.expect(at * 60, at * 60 + 59).share == pytest.approx(morning(local[at]), abs=0.06)

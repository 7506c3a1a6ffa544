"""Surges of counts alone: told once, at their beginning, and only where they are news for this brand."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.usual_volume import UsualVolume
from alerting.volume import VolumeFinding, VolumePolicy, VolumeWatch, evidence, seen_at
from alerting.volume_tail import Tail, TailPolicy

STEP = 300
DAY = 288
"""Rows of five minutes."""
MONDAY = 1_772_409_600


def a_series(days: int, rate: float | Callable[[np.ndarray], np.ndarray] = 10.0, *, seed: int = 1) -> np.ndarray:
    at = np.arange(days * DAY)
    rates = np.full(len(at), rate) if isinstance(rate, float) else rate(at)
    return np.random.default_rng(seed).poisson(rates).astype(float)


def by_the_sun(at: np.ndarray) -> np.ndarray:
    return np.asarray(10.0 * (1 + 0.9 * np.sin(2 * np.pi * at / DAY)))


def looked(counts: np.ndarray, policy: VolumePolicy | None = None) -> list[VolumeFinding]:
    watch = VolumeWatch(STEP, policy)
    return [watch.look(MONDAY + STEP * row, float(count)) for row, count in enumerate(counts)]


def onsets(counts: np.ndarray, *, least: float = 1.0) -> list[int]:
    return [row for row, found in enumerate(looked(counts)) if found.onset_score >= least]


@pytest.mark.parametrize("rate", [0.3, 10.0, 300.0])
def test_a_surge_of_four_times_is_told_once_and_within_an_hour(rate: float) -> None:
    counts = a_series(14, rate)
    begin = 10 * DAY
    counts[begin : begin + 36] += np.random.default_rng(2).poisson(9 * rate, 36)
    told = [row for row in onsets(counts) if row >= 2 * DAY]
    assert len(told) == 1
    assert begin <= told[0] < begin + 12


@pytest.mark.parametrize("rate", [0.3, 10.0, by_the_sun])
def test_weeks_without_a_surge_have_at_most_one_false_alarm(rate: float | Callable[[np.ndarray], np.ndarray]) -> None:
    assert len([row for row in onsets(a_series(42, rate, seed=4)) if row >= 3 * DAY]) <= 1


def test_a_burst_is_news_for_an_even_brand_and_not_for_one_that_bursts_every_day() -> None:
    even, bursty = a_series(21), a_series(21)
    bursts = [slice(day * DAY + 100, day * DAY + 112) for day in range(21)]
    even[bursts[20]] *= 6
    for burst in bursts:
        bursty[burst] *= 6
    assert any(bursts[20].start <= row < bursts[20].stop for row in onsets(even))
    assert len([row for row in onsets(bursty) if row >= 10 * DAY]) <= 1
    bursty[bursts[20].stop + 90 : bursts[20].stop + 102] *= 60
    assert onsets(bursty)[-1] == bursts[20].stop + 90


def test_nothing_is_told_while_the_first_day_is_learnt() -> None:
    counts = a_series(1)
    counts[200:] *= 20
    found = looked(counts)
    assert {one.onset_score for one in found} == {0.0}
    assert found[-1].reason.startswith("Still learning")


def test_a_lasting_surge_is_told_again_only_when_it_grows_or_after_a_day() -> None:
    counts = a_series(14)
    counts[10 * DAY :] += 60
    told = onsets(counts, least=VolumePolicy().notice)
    told = [row - 10 * DAY for row in told if row >= 10 * DAY]
    assert told[0] < 6
    assert all(later - told[0] >= DAY or later - told[0] < 12 for later in told[1:]), told


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 500), min_size=DAY, max_size=DAY + 60),
    st.lists(st.integers(0, 100_000), min_size=1, max_size=20),
)
def test_no_finding_depends_on_what_comes_after_it(counts: list[int], later: list[int]) -> None:
    before = looked(np.array(counts, float))
    assert looked(np.array([*counts, *later], float))[: len(counts)] == before
    assert all(0.0 <= one.onset_score <= 1.0 for one in before)


def test_missing_rows_are_unknown_and_not_zero() -> None:
    watch = VolumeWatch(STEP)
    for row, count in enumerate(a_series(14)):
        if not 9 * DAY <= row < 10 * DAY:
            found = watch.look(MONDAY + STEP * row, count)
    assert 6 < found.expected < 14
    silent = looked(np.where(np.arange(14 * DAY) // DAY == 9, 0.0, a_series(14)))
    assert silent[10 * DAY].expected < found.expected


def test_the_alarm_line_of_the_picture_is_where_alarms_begin() -> None:
    counts = a_series(10)
    watch = VolumeWatch(STEP)
    for row, count in enumerate(counts):
        watch.look(MONDAY + STEP * row, count)
    line = watch.alarm_rate()
    assert line is not None
    above = [watch.look(MONDAY + STEP * (len(counts) + row), 1.2 * line) for row in range(3)]
    assert above[-1].score == 1.0


@given(st.floats(0.1, 30), st.floats(0.01, 1_000), st.floats(1, 50))
def test_seen_at_is_the_inverse_of_evidence(wanted: float, usual: float, dispersion: float) -> None:
    count = seen_at(wanted, usual, dispersion, prior=3.0)
    assert evidence(count, usual, dispersion, prior=3.0) == pytest.approx(wanted, rel=1e-4, abs=1e-4)


def test_less_than_usual_is_no_evidence() -> None:
    assert evidence(3, 10, 1.0, prior=3.0) == 0.0


def test_the_usual_volume_learns_the_hour_of_the_day_and_then_of_the_week() -> None:
    def rate(at: np.ndarray) -> np.ndarray:
        monday_noon = (at % (7 * DAY) >= 144) & (at % (7 * DAY) < 156)
        return np.where((at % DAY >= 144) & (at % DAY < 156), 20.0, 5.0) + np.where(monday_noon, 80.0, 0.0)

    usual = UsualVolume(STEP)
    for row, count in enumerate(a_series(56, rate)):
        usual.learn(MONDAY + STEP * row, float(count))
    monday, tuesday, night = (usual.expect(MONDAY + 56 * 86_400 + STEP * row) for row in (150, DAY + 150, 10))
    assert monday is not None
    assert tuesday is not None
    assert night is not None
    assert 4 < night < 7
    assert 15 < tuesday < 35
    assert monday > 1.5 * tuesday


def test_an_incident_hardly_moves_what_is_usual() -> None:
    usual, poisoned = UsualVolume(STEP), UsualVolume(STEP)
    for row, count in enumerate(a_series(14)):
        usual.learn(MONDAY + STEP * row, float(count))
        poisoned.learn(MONDAY + STEP * row, float(count) * (1_000 if 12 * DAY <= row < 12 * DAY + 36 else 1))
    at = MONDAY + 14 * 86_400 + 20 * 3_600
    calm, after = usual.expect(at), poisoned.expect(at)
    assert calm is not None
    assert after is not None
    assert after < 1.25 * calm


def test_the_tail_says_how_often_such_an_hour_comes() -> None:
    tail, rng = Tail(TailPolicy()), np.random.default_rng(3)
    for hour in range(14 * 24):
        tail.turn_to(hour * 3_600.0)
        tail.take(float(rng.exponential(2.0)))
    tail.turn_to(14 * 24 * 3_600.0)
    # Of exponential hours, one in 672 surpasses 2 ln 672 = 13; the tail begins at 2 ln 5 and has mean excess 2.
    surprise = tail.surprise(13.0)
    assert surprise is not None
    assert surprise == pytest.approx(math.log(672 / 5), rel=0.25)
    assert tail.value_at(surprise) == pytest.approx(13.0)


def test_the_running_hour_moves_the_tail_only_when_it_is_over() -> None:
    tail = Tail(TailPolicy(min_hours=1))
    tail.turn_to(0.0)
    tail.take(5.0)
    tail.turn_to(3_599.0)
    assert tail.surprise(9.0) is None
    tail.turn_to(3_600.0)
    assert tail.surprise(9.0) is not None

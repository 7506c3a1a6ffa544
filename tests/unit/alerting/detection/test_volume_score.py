"""Surges of counts: reported once, at their beginning, and only if they are unusual for the brand."""

import math
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.detection.volume_baseline import UsualVolume
from alerting.detection.volume_score import VolumeFinding, VolumePolicy, VolumeScorer, evidence, seen_at
from alerting.detection.volume_tail import Tail, TailPolicy

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
    watch = VolumeScorer(STEP, policy)
    return [watch.score(MONDAY + STEP * row, float(count)) for row, count in enumerate(counts)]


def onsets(counts: np.ndarray, *, least: float = 1.0) -> list[int]:
    return [row for row, found in enumerate(looked(counts)) if found.onset_score >= least]


@pytest.mark.parametrize("rate", [0.3, 10.0, 300.0])
def test_a_fourfold_surge_is_reported_once_within_an_hour(rate: float) -> None:
    counts = a_series(14, rate)
    begin = 10 * DAY
    counts[begin : begin + 36] += np.random.default_rng(2).poisson(9 * rate, 36)
    found = [row for row in onsets(counts) if row >= 2 * DAY]
    assert len(found) == 1
    assert begin <= found[0] < begin + 12


@pytest.mark.parametrize("rate", [0.3, 10.0, by_the_sun])
def test_weeks_without_a_surge_have_at_most_one_false_alarm(rate: float | Callable[[np.ndarray], np.ndarray]) -> None:
    assert len([row for row in onsets(a_series(42, rate, seed=4)) if row >= 3 * DAY]) <= 1


def test_a_burst_is_reported_only_if_the_brand_is_usually_even() -> None:
    even, bursty = a_series(21), a_series(21)
    bursts = [slice(day * DAY + 100, day * DAY + 112) for day in range(21)]
    even[bursts[20]] *= 6
    for burst in bursts:
        bursty[burst] *= 6
    assert any(bursts[20].start <= row < bursts[20].stop for row in onsets(even))
    assert len([row for row in onsets(bursty) if row >= 10 * DAY]) <= 1
    bursty[bursts[20].stop + 90 : bursts[20].stop + 102] *= 60
    assert onsets(bursty)[-1] == bursts[20].stop + 90


def test_during_the_first_day_nothing_is_reported() -> None:
    counts = a_series(1)
    counts[200:] *= 20
    found = looked(counts)
    assert {one.onset_score for one in found} == {0.0}
    assert found[-1].reason.startswith("Still learning")


def test_a_lasting_surge_is_reported_again_if_it_grows_or_after_a_day() -> None:
    counts = a_series(14)
    counts[10 * DAY :] += 60
    found = onsets(counts, least=VolumePolicy().notice)
    found = [row - 10 * DAY for row in found if row >= 10 * DAY]
    assert found[0] < 6
    assert all(later - found[0] >= DAY or later - found[0] < 12 for later in found[1:]), found


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 500), min_size=DAY, max_size=DAY + 60),
    st.lists(st.integers(0, 100_000), min_size=1, max_size=20),
)
def test_no_finding_depends_on_later_counts(counts: list[int], later: list[int]) -> None:
    before = looked(np.array(counts, float))
    assert looked(np.array([*counts, *later], float))[: len(counts)] == before
    assert all(0.0 <= one.onset_score <= 1.0 for one in before)


def test_missing_rows_are_unknown_and_not_zero() -> None:
    watch = VolumeScorer(STEP)
    for row, count in enumerate(a_series(14)):
        if not 9 * DAY <= row < 10 * DAY:
            found = watch.score(MONDAY + STEP * row, count)
    assert 6 < found.expected < 14
    rows = np.arange(14 * DAY)
    silent = looked(np.where((rows >= 9 * DAY) & (rows < 9 * DAY + 100), 0.0, a_series(14)))
    assert silent[10 * DAY].expected < looked(a_series(14))[10 * DAY].expected


def test_the_alarm_line_of_the_chart_is_where_alarms_begin() -> None:
    counts = a_series(10)
    watch = VolumeScorer(STEP)
    for row, count in enumerate(counts):
        watch.score(MONDAY + STEP * row, count)
    line = watch.alarm_rate()
    assert line is not None
    above = [watch.score(MONDAY + STEP * (len(counts) + row), 1.2 * line) for row in range(6)]
    assert above[-1].score == 1.0


@given(st.floats(0.1, 30), st.floats(0.01, 1_000))
def test_seen_at_is_the_inverse_of_evidence(wanted: float, usual: float) -> None:
    count = seen_at(wanted, usual, prior=5.0)
    assert evidence(count, usual, prior=5.0) == pytest.approx(wanted, rel=1e-4, abs=1e-4)


def test_below_the_usual_number_evidence_is_zero() -> None:
    assert evidence(3, 10, prior=5.0) == 0.0


def test_the_usual_volume_learns_hours_of_the_day_then_of_the_week() -> None:
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


def test_an_incident_hardly_changes_what_is_usual() -> None:
    usual, poisoned = UsualVolume(STEP), UsualVolume(STEP)
    for row, count in enumerate(a_series(14)):
        usual.learn(MONDAY + STEP * row, float(count))
        poisoned.learn(MONDAY + STEP * row, float(count) * (1_000 if 12 * DAY <= row < 12 * DAY + 36 else 1))
    at = MONDAY + 14 * 86_400 + 20 * 3_600
    calm, after = usual.expect(at), poisoned.expect(at)
    assert calm is not None
    assert after is not None
    assert after < 1.25 * calm


def test_the_tail_gives_the_frequency_of_an_hour() -> None:
    tail, rng = Tail(TailPolicy()), np.random.default_rng(3)
    for hour in range(14 * 24):
        tail.advance_to(hour * 3_600.0)
        tail.take(float(rng.exponential(2.0)))
    tail.advance_to(14 * 24 * 3_600.0)
    # Of exponential hours, one in 672 surpasses 2 ln 672 = 13; the tail begins at 2 ln 5 and has mean excess 2.
    surprise = tail.surprise(13.0)
    assert surprise is not None
    assert surprise == pytest.approx(math.log(672 / 5), rel=0.25)
    assert tail.value_at(surprise) == pytest.approx(13.0)


def test_the_running_hour_changes_the_tail_only_when_it_is_over() -> None:
    tail = Tail(TailPolicy(min_hours=1))
    tail.advance_to(0.0)
    tail.take(5.0)
    tail.advance_to(3_599.0)
    assert tail.surprise(9.0) is None
    tail.advance_to(3_600.0)
    assert tail.surprise(9.0) is not None


def test_the_tail_is_at_least_that_of_a_poisson_count() -> None:
    tail = Tail(TailPolicy())
    for hour in range(72):
        tail.advance_to(hour * 3_600.0)
        tail.take(0.0)
    assert tail.surprise(0.8) == 0.0
    assert tail.value_at(5.0) == pytest.approx(0.84 + 5 * 0.56)


def business(at: np.ndarray) -> np.ndarray:
    """Workdays from 8 to 18, a tenth at night, a third of it all on Saturday and Sunday; row 0 is Monday's midnight."""
    row = at % DAY
    return np.where((row >= 96) & (row < 216), 30.0, 3.0) * np.where(at // DAY % 7 >= 5, 0.3, 1.0)


@pytest.mark.parametrize("begin", [0, 108, 4 * DAY + 108, 5 * DAY, 5 * DAY + 120, 3 * DAY + 156, 6 * DAY + 200])
def test_a_first_morning_weekend_or_monday_raises_no_alarm(begin: int) -> None:
    counts = np.random.default_rng(begin).poisson(business(np.arange(begin, begin + 16 * DAY))).astype(float)
    watch = VolumeScorer(STEP)
    found = [watch.score(MONDAY + STEP * (begin + row), count) for row, count in enumerate(counts)]
    assert [(begin + row) / DAY for row, one in enumerate(found) if one.onset_score == 1.0] == []


@pytest.mark.parametrize("missing", [True, False], ids=["rows left out", "zeros"])
@pytest.mark.parametrize("day", [3, 8, 10])
def test_the_morning_after_an_outage_of_a_day_raises_no_alarm(day: int, missing: bool) -> None:
    counts = np.random.default_rng(5).poisson(business(np.arange((day + 3) * DAY))).astype(float)
    watch = VolumeScorer(STEP)
    alarms = []
    for row, count in enumerate(counts):
        dark = day * DAY + 100 <= row < (day + 1) * DAY + 100
        if not (dark and missing) and watch.score(MONDAY + STEP * row, 0.0 if dark else count).onset_score == 1.0:
            alarms.append(row / DAY)
    assert alarms == []


def test_a_brand_that_appears_with_a_burst_raises_no_alarm() -> None:
    counts = a_series(10, 2.0)
    counts[:36] += 100
    assert onsets(counts) == []


def test_a_few_posts_after_days_of_zeros_are_no_surge() -> None:
    counts = np.zeros(10 * DAY)
    counts[8 * DAY] = 5
    assert onsets(counts) == []


def test_a_time_zone_moves_the_morning_with_the_clock() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start = int(datetime(2026, 3, 9, tzinfo=berlin).timestamp())
    at = [start + STEP * row for row in range(28 * DAY)]
    hours = np.array([datetime.fromtimestamp(one, berlin).hour for one in at])
    counts = np.random.default_rng(1).poisson(np.where((hours >= 6) & (hours < 9), 80.0, 8.0)).astype(float)

    def alarms(zone: ZoneInfo) -> int:
        watch = VolumeScorer(STEP, zone=zone)
        return sum(watch.score(one, count).onset_score == 1.0 for one, count in zip(at, counts, strict=True))

    assert alarms(berlin) == 0
    assert alarms(ZoneInfo("UTC")) > 0

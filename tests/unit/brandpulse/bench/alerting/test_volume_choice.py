"""Constants of the volume rule, chosen without the series that they are scored on."""

from dataclasses import replace

import numpy as np
import pytest

from alerting.detection.volume_score import VolumePolicy, VolumeScorer
from brandpulse.bench.alerting import volume_choice
from brandpulse.bench.alerting.volume_choice import (
    LabelledCounts,
    expected_of,
    leave_series_out,
    onset_scores,
    plant,
    surges_of,
    with_neighbours,
)
from tests.unit.alerting.detection.test_volume_score import DAY, MONDAY, STEP, a_series


def a_labelled(name: str = "acme", *, seed: int = 1, begin: int = 10 * DAY) -> LabelledCounts:
    values = a_series(14, seed=seed)
    values[begin : begin + 36] += np.random.default_rng(2).poisson(60, 36)
    at = MONDAY + STEP * np.arange(len(values), dtype=float)
    return LabelledCounts(name, at, values, STEP, [(begin - 150, begin + 246)])


def test_onset_scores_equal_those_of_the_volume_scorer() -> None:
    series = a_labelled()
    series.values[5 * DAY : 5 * DAY + 200] = 0
    for policy in (VolumePolicy(), replace(VolumePolicy(), window_minutes=60, false_alarms=20)):
        scorer = VolumeScorer(STEP, policy)
        scored = [scorer.score(at, count).onset_score for at, count in zip(series.at, series.values, strict=True)]
        assert onset_scores(series, policy) == scored
        assert max(scored) == 1.0


def test_a_planted_series_has_surges_in_its_windows() -> None:
    series = a_labelled()
    expected = expected_of(series)
    planted = plant(series, expected, surges_of(series, expected), seed=3)
    [(first, last), *_] = planted.windows
    assert (first, last) != series.windows[0]
    assert planted.values[first : last + 1].sum() > 1.1 * expected[first : last + 1].sum()
    old = slice(10 * DAY, 10 * DAY + 36)
    if all(not first - 200 < 10 * DAY < last + 200 for first, last in planted.windows):
        assert planted.values[old].max() <= max(2 * expected[old].max(), 3)


def test_a_plateau_is_preferred_to_a_peak() -> None:
    scores = np.array([[0.0, 9.0, 0.0, 6.0, 6.0, 6.0, 6.0]])
    assert int(np.argmax(scores)) == 1
    assert int(np.argmax(with_neighbours(scores))) in {4, 5, 6}


def test_each_series_is_scored_with_constants_chosen_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"window_minutes": (30,), "tail_days": (7, 14), "tail_prior_hours": (32,), "false_alarms": (1, 2)}
    monkeypatch.setattr(volume_choice, "CANDIDATES", small)
    series = [a_labelled(name, seed=seed) for seed, name in enumerate(("acme", "bolt", "cargo"))]
    found = leave_series_out(series, seed=1)
    spoilt = [replace(series[0], values=np.zeros(14 * DAY)), *series[1:]]
    assert found[0].constants == leave_series_out(spoilt, seed=1)[0].constants
    assert [one.left_out for one in found] == ["acme", "bolt", "cargo"]
    assert all(one.score.found == 1 for one in found)

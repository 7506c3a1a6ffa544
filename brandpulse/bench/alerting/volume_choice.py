"""Chooses the constants of the volume rule without the series that they are scored on.

`leave_series_out` leaves out each series in turn. Candidates are all combinations of `CANDIDATES`. Each is scored on
the other series, and on copies of them with surges planted at other times, at a quarter to all of their size. The score
of a candidate is a mean with its neighbours in the grid: the middle of a plateau wins, not a peak.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from alerting.detection.volume_baseline import HOUR_SECONDS, UsualVolume
from alerting.detection.volume_score import OnsetReports, SlidingSums, VolumePolicy, evidence
from alerting.detection.volume_tail import Tail
from brandpulse.bench.alerting.nab_score import Labelled, NabScore, score_at

CANDIDATES: Mapping[str, Sequence[float]] = {
    "window_minutes": (20, 30, 60),
    "tail_days": (7, 10, 14, 20),
    "tail_prior_hours": (16, 32, 64, 128),
    "false_alarms": (0.5, 1, 2),
}
PLANTED = 2
"""Copies with planted surges per series."""
BEFORE, AFTER = 36, 144
"""Rows of a planted surge before and after its peak."""
APART = 700
"""Minimum rows between the peaks of two planted surges."""
HALF_WINDOW = 198
"""Rows of a window before and after the peak of a planted surge: 33 hours in all, as in the benchmark."""

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LabelledCounts:
    """A series of counts in order of time, and its windows: first and last row, both included."""

    name: str
    at: Counts
    values: Counts
    step_seconds: float
    windows: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Choice:
    """The constants chosen without one series, and the score of that series with them."""

    left_out: str
    constants: Mapping[str, float]
    score: NabScore


Grid = npt.NDArray[np.float64]
"""A score per combination of `CANDIDATES`, with one axis each."""


def leave_series_out(
    series: Sequence[LabelledCounts], *, seed: int, report: Callable[[str], None] = lambda _: None
) -> list[Choice]:
    """For each of *series* the choice without it."""
    expected = {one.name: expected_of(one) for one in series}
    raw = {one.name: scores_of(one) for one in series}
    found = []
    for left_out in series:
        others = [one for one in series if one is not left_out]
        surges = [surge for one in others for surge in surges_of(one, expected[one.name])]
        total = _summed([raw[one.name] for one in others], others)
        planted = [
            plant(one, expected[one.name], surges, seed=seed + 97 * number + series.index(one))
            for one in others
            for number in range(PLANTED)
        ]
        total = total + _summed([scores_of(one) for one in planted], planted)
        best = np.unravel_index(int(np.argmax(with_neighbours(total))), total.shape)
        constants = {name: float(values[int(at)]) for (name, values), at in zip(CANDIDATES.items(), best, strict=True)}
        labelled = Labelled(onset_scores(left_out, policy_of(constants)), left_out.windows)
        found.append(Choice(left_out.name, constants, score_at(1.0, [labelled])))
        report(f"without {left_out.name}: {constants}, score {found[-1].score.score:.1f}")
    return found


def policy_of(constants: Mapping[str, float]) -> VolumePolicy:
    default = VolumePolicy()
    tail = replace(default.tail, days=constants["tail_days"], prior_hours=constants["tail_prior_hours"])
    return replace(
        default, window_minutes=constants["window_minutes"], false_alarms=constants["false_alarms"], tail=tail
    )


def onset_scores(series: LabelledCounts, policy: VolumePolicy) -> list[float]:
    """The onset score of each row, as from `VolumeScorer`."""
    scores = _SharedScores(series)
    return scores.onsets(scores.surprises(policy), policy)


def scores_of(series: LabelledCounts) -> Grid:
    """The gain of each candidate on *series* at score 1.0: 0 without detections, at most 2 per window."""
    scores = _SharedScores(series)
    sizes = [len(values) for values in CANDIDATES.values()]
    gained = np.zeros(sizes)
    names = list(CANDIDATES)
    for place in itertools.product(range(sizes[0]), range(sizes[1])):
        constants = {name: CANDIDATES[name][at] for name, at in zip(names, place, strict=False)}
        shared = policy_of({**constants, "tail_prior_hours": 1.0, "false_alarms": 1.0})
        for prior, surprises in enumerate(scores.surprises_by_prior(shared, CANDIDATES["tail_prior_hours"])):
            for budget, false_alarms in enumerate(CANDIDATES["false_alarms"]):
                policy = replace(shared, false_alarms=false_alarms)
                labelled = Labelled(scores.onsets(surprises, policy), series.windows)
                gained[(*place, prior, budget)] = score_at(1.0, [labelled]).gained
    return gained


def with_neighbours(grid: Grid) -> Grid:
    """Each cell as the mean of itself and its neighbours along every axis."""
    for axis in range(grid.ndim):
        lines = np.moveaxis(grid, axis, 0)
        means = [lines[max(0, place - 1) : place + 2].mean(axis=0) for place in range(len(lines))]
        grid = np.moveaxis(np.stack(means), 0, axis)
    return grid


def expected_of(series: LabelledCounts) -> Counts:
    """The usual count of each row, from the rows before it."""
    usual = UsualVolume(series.step_seconds)
    found = np.empty(len(series.at))
    for row, (at, value) in enumerate(zip(series.at, series.values, strict=True)):
        known = usual.expect(float(at))
        found[row] = value if known is None else known
        usual.learn(float(at), float(value))
    return found


def surges_of(series: LabelledCounts, expected: Counts) -> list[Counts]:
    """The posts of each labelled surge above the usual count, as multiples of it."""
    found = []
    for first, last in series.windows:
        stretch = slice(first, last + 1)
        sums = np.convolve(series.values[stretch] - expected[stretch], np.ones(6), "valid")
        peak = first + int(np.argmax(sums))
        around = slice(max(first, peak - BEFORE), min(last, peak + AFTER))
        excess = np.maximum(0.0, series.values[around] - 1.5 * expected[around])
        found.append(excess / max(float(np.median(expected[around])), 0.3))
    return found


def plant(series: LabelledCounts, expected: Counts, surges: Sequence[Counts], *, seed: int) -> LabelledCounts:
    """*series* without its labelled surges, and with two to five of *surges* at other times."""
    rng = np.random.default_rng(seed)
    values = series.values.copy()
    for first, last in series.windows:
        stretch = slice(first, last + 1)
        values[stretch] = np.minimum(values[stretch], np.maximum(2 * expected[stretch], 3.0))
    peaks: list[int] = []
    wanted = int(rng.integers(2, 6))
    usual = float(np.median(expected))
    for _ in range(500):
        peak = int(rng.integers(int(0.15 * len(values)) + HALF_WINDOW, len(values) - 2 * HALF_WINDOW))
        # A surge is more likely at hours with more posts.
        if any(abs(peak - other) < APART for other in peaks) or rng.random() > expected[peak] / usual:
            continue
        surge = surges[int(rng.integers(len(surges)))]
        size = float(np.exp(rng.uniform(np.log(0.25), 0.0)))
        stretch = slice(peak - BEFORE, peak - BEFORE + len(surge))
        values[stretch] += rng.poisson(size * surge * max(float(expected[peak]), 0.3))
        peaks.append(peak)
        if len(peaks) == wanted:
            break
    windows = [(peak - HALF_WINDOW, peak + HALF_WINDOW) for peak in sorted(peaks)]
    return replace(series, values=values, windows=windows)


def _summed(gained: Sequence[Grid], series: Sequence[LabelledCounts]) -> Grid:
    total: Grid = np.sum(gained, axis=0) / max(1, sum(len(one.windows) for one in series))
    return total


class _SharedScores:
    """Scores of one series as from `VolumeScorer`; parts that candidates share are computed once."""

    def __init__(self, series: LabelledCounts) -> None:
        self._series = series
        usual = UsualVolume(series.step_seconds)
        self._expected: list[float] = []
        known: list[bool] = []
        learnt: list[bool] = []
        self._evidence: dict[float, Counts] = {}
        for at, value in zip(series.at.tolist(), series.values.tolist(), strict=True):
            expected = usual.expect(at)
            self._expected.append(value if expected is None else expected)
            known.append(usual.knows(at))
            learnt.append(usual.learn(at, value))
        self._known, self._learnt = np.array(known), np.array(learnt)
        hours = series.at // HOUR_SECONDS
        self._hour_starts = [0, *(np.flatnonzero(np.diff(hours)) + 1).tolist(), len(hours)]

    def surprises(self, policy: VolumePolicy) -> Counts:
        """The surprise of each row; 0.0 while warming up."""
        [found] = self.surprises_by_prior(policy, (policy.tail.prior_hours,))
        return found

    def surprises_by_prior(self, policy: VolumePolicy, priors: Sequence[float]) -> list[Counts]:
        """The surprises for each of *priors*, instead of the tail's. A tail changes only between hours."""
        values = self._evidence.get(policy.window_minutes)
        if values is None:
            values = self._evidence[policy.window_minutes] = self._evidence_of(policy)
        tail = Tail(policy.tail)
        hours = list(pairwise(self._hour_starts))
        begins, scales = np.full((2, len(priors), len(hours)), np.inf)
        for hour, (first, last) in enumerate(hours):
            tail.advance_to(float(self._series.at[first]))
            for number, prior in enumerate(priors):
                if (fitted := tail.fit(prior)) is not None:
                    begins[number, hour], scales[number, hour] = fitted
            learnt = values[first:last][self._learnt[first:last]]
            if len(learnt):
                tail.take(float(learnt.max()))
        rows = np.repeat(np.arange(len(hours)), np.diff(self._hour_starts))
        known = np.isfinite(begins[0])[rows] & self._known
        found = []
        for number in range(len(priors)):
            surprise = np.zeros(len(values))
            begin, scale = begins[number][rows][known], scales[number][rows][known]
            surprise[known] = np.maximum(0.0, (values[known] - begin) / scale)
            found.append(surprise)
        return found

    def onsets(self, surprises: Counts, policy: VolumePolicy) -> list[float]:
        reports = OnsetReports(policy)
        alarm = policy.alarm_surprise
        found = [0.0] * len(surprises)
        for row in np.flatnonzero(surprises >= 0.99 * policy.notice * alarm).tolist():
            score = min(1.0, float(surprises[row]) / alarm)
            if reports.take(float(self._series.at[row]), score):
                found[row] = score
        return found

    def _evidence_of(self, policy: VolumePolicy) -> Counts:
        window = SlidingSums(max(policy.window_minutes * 60, self._series.step_seconds))
        found = []
        for at, value, expected in zip(
            self._series.at.tolist(), self._series.values.tolist(), self._expected, strict=True
        ):
            window.slide(at, value, expected)
            found.append(evidence(window.seen, window.usual, prior=policy.prior_posts))
        return np.array(found)

"""The score of the Numenta Anomaly Benchmark (Lavin and Ahmad 2015, arXiv 1510.03336), standard profile.

A file has rows in order of time and labelled windows. Its first 15 % (at most 750 rows) are probation: not scored.
With s(y) = 2 / (1 + e^5y) - 1, and -1 beyond y = 3:

* the earliest detection in a window of L rows, i rows before the row after its end, is worth s(-i / L) / s(-1);
* a window without a detection costs 1;
* each detection outside costs 0.11 |s(y)|, y = rows since the last window's end over its length; 0.11 before the first.

100: each window is detected at its first row, nothing else is. 0: no detection.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

FALSE_ALARM = 0.11
PROBATION, MOST_PROBATION = 0.15, 750


@dataclass(frozen=True, slots=True)
class Labelled:
    """A scored series and its windows: first and last row, both included, sorted."""

    scores: Sequence[float]
    windows: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class DetectedRow:
    """One row that is a detection at some threshold."""

    score: float
    window: tuple[int, int] | None
    """Number of the series and of its window; None: the row is in no window."""
    worth: float


def detected_rows(number: int, series: Labelled) -> list[DetectedRow]:
    """The rows of series *number* with a score above 0, without those of probation."""
    rows = len(series.scores)
    probation = min(int(PROBATION * rows), MOST_PROBATION)
    rows_above = [row for row, score in enumerate(series.scores) if score > 0 and row >= probation]
    return [DetectedRow(series.scores[row], *_worth(number, row, series.windows)) for row in rows_above]


def _worth(number: int, row: int, windows: Sequence[tuple[int, int]]) -> tuple[tuple[int, int] | None, float]:
    cost = -1.0
    for window, (first, last) in enumerate(windows):
        length = last - first + 1
        if first <= row <= last:
            return (number, window), _sigmoid(-(last - row + 1) / length) / _sigmoid(-1.0)
        if row > last:
            cost = _sigmoid((row - last) / (length - 1))
    return None, FALSE_ALARM * cost


def _sigmoid(y: float) -> float:
    return -1.0 if y > 3 else 2 / (1 + math.exp(5 * y)) - 1


@dataclass(frozen=True, slots=True)
class NabScore:
    """The score of a threshold."""

    threshold: float
    gained: float
    """Not normalized: 0 without detections, at most 2 per window."""
    windows: int
    found: int
    false_rows: int

    @property
    def score(self) -> float:
        return 100 * self.gained / (2 * self.windows) if self.windows else 0.0


def score_at(threshold: float, series: Sequence[Labelled]) -> NabScore:
    """The score of *series* where each row with at least *threshold* is a detection."""
    detected = [
        one for number, each in enumerate(series) for one in detected_rows(number, each) if one.score >= threshold
    ]
    return _score(threshold, detected, sum(len(each.windows) for each in series))


def best_score(series: Sequence[Labelled]) -> NabScore:
    """The score of *series* at its best threshold; of equals the highest."""
    every = sorted(
        (one for number, each in enumerate(series) for one in detected_rows(number, each)), key=lambda w: -w.score
    )
    windows = sum(len(each.windows) for each in series)
    best, detected = NabScore(math.inf, 0.0, windows, 0, 0), list[DetectedRow]()
    for threshold, equals in groupby(every, key=lambda one: one.score):
        detected += equals
        now = _score(threshold, detected, windows)
        best = max(best, now, key=lambda one: one.gained)
    return best


def leave_one_out(series: Sequence[Labelled]) -> NabScore:
    """The sum over *series*, each at the best threshold of the others. `threshold` is the lowest of them."""
    parts = []
    for left_out in range(len(series)):
        others = [each for number, each in enumerate(series) if number != left_out]
        parts.append(score_at(best_score(others).threshold, [series[left_out]]))
    return NabScore(
        min(part.threshold for part in parts),
        sum(part.gained for part in parts),
        sum(part.windows for part in parts),
        sum(part.found for part in parts),
        sum(part.false_rows for part in parts),
    )


def _score(threshold: float, detected: Sequence[DetectedRow], windows: int) -> NabScore:
    best: dict[tuple[int, int], float] = {}
    lost, false_rows = 0.0, 0
    for one in detected:
        if one.window is None:
            lost, false_rows = lost + one.worth, false_rows + 1
        else:
            best[one.window] = max(one.worth, best.get(one.window, -1.0))
    # A detected window gains its worth, and the 1 that missing it would cost.
    return NabScore(threshold, sum(best.values()) + len(best) + lost, windows, len(best), false_rows)

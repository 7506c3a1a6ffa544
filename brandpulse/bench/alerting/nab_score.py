"""The score of the Numenta Anomaly Benchmark (Lavin and Ahmad 2015, arXiv 1510.03336), standard profile.

A file is rows in order of time with labelled windows. The first 15 % of it (750 rows at most) are probation.
With s(y) = 2 / (1 + e^5y) - 1, and -1 beyond y = 3:

* the earliest detection in a window of L rows, i rows before the row after its end, is worth s(-i / L) / s(-1);
* a window without one costs 1;
* each detection outside costs 0.11 |s(y)|, y = rows since the last window's end over its length; 0.11 where none came.

100 is every window at its first row and nothing else, 0 is no detection at all.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

FALSE_ALARM = 0.11
PROBATION, MOST_PROBATION = 0.15, 750


@dataclass(frozen=True, slots=True)
class Labelled:
    """A scored series and its windows, as first and last row, both included, rising."""

    scores: Sequence[float]
    windows: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Worth:
    """One row that could be told."""

    score: float
    window: tuple[int, int] | None
    """Number of the series and of its window; None outside."""
    worth: float


def worths(number: int, series: Labelled) -> list[Worth]:
    """What each row with a score above 0 of series *number* is worth if it is told; none of probation."""
    rows = len(series.scores)
    probation = min(int(PROBATION * rows), MOST_PROBATION)
    told = [row for row, score in enumerate(series.scores) if score > 0 and row >= probation]
    return [Worth(series.scores[row], *_worth(number, row, series.windows)) for row in told]


def _worth(number: int, row: int, windows: Sequence[tuple[int, int]]) -> tuple[tuple[int, int] | None, float]:
    cost = -1.0
    for place, (first, last) in enumerate(windows):
        long = last - first + 1
        if first <= row <= last:
            return (number, place), _sigmoid(-(last - row + 1) / long) / _sigmoid(-1.0)
        if row > last:
            cost = _sigmoid((row - last) / (long - 1))
    return None, FALSE_ALARM * cost


def _sigmoid(y: float) -> float:
    return -1.0 if y > 3 else 2 / (1 + math.exp(5 * y)) - 1


@dataclass(frozen=True, slots=True)
class NabScore:
    """How a threshold did."""

    threshold: float
    gained: float
    """Before it is normalised: 0 is no detection, 2 for each window the most."""
    windows: int
    found: int
    false_rows: int

    @property
    def score(self) -> float:
        return 100 * self.gained / (2 * self.windows) if self.windows else 0.0


def score_at(threshold: float, series: Sequence[Labelled]) -> NabScore:
    """*series* with everything told that scores *threshold* or more."""
    told = [one for number, each in enumerate(series) for one in worths(number, each) if one.score >= threshold]
    return _score(threshold, told, sum(len(each.windows) for each in series))


def best_score(series: Sequence[Labelled]) -> NabScore:
    """*series* at the threshold that suits them best; the highest such of equals."""
    every = sorted((one for number, each in enumerate(series) for one in worths(number, each)), key=lambda w: -w.score)
    windows = sum(len(each.windows) for each in series)
    best, told = NabScore(math.inf, 0.0, windows, 0, 0), list[Worth]()
    for threshold, equals in groupby(every, key=lambda one: one.score):
        told += equals
        now = _score(threshold, told, windows)
        best = max(best, now, key=lambda one: one.gained)
    return best


def leave_one_out(series: Sequence[Labelled]) -> NabScore:
    """Each of *series* at the threshold that suits the others best, summed; `threshold` is the lowest of them."""
    parts = []
    for held in range(len(series)):
        others = [each for number, each in enumerate(series) if number != held]
        parts.append(score_at(best_score(others).threshold, [series[held]]))
    return NabScore(
        min(part.threshold for part in parts),
        sum(part.gained for part in parts),
        sum(part.windows for part in parts),
        sum(part.found for part in parts),
        sum(part.false_rows for part in parts),
    )


def _score(threshold: float, told: Sequence[Worth], windows: int) -> NabScore:
    best: dict[tuple[int, int], float] = {}
    lost, false_rows = 0.0, 0
    for one in told:
        if one.window is None:
            lost, false_rows = lost + one.worth, false_rows + 1
        else:
            best[one.window] = max(one.worth, best.get(one.window, -1.0))
    # A found window gains its worth and the 1 that missing it would cost.
    return NabScore(threshold, sum(best.values()) + len(best) + lost, windows, len(best), false_rows)

"""The least delay any detector of the share could have had on known incidents, given what a classifier told of posts.

An oracle knows when each incident began, the usual share around it (hours after it included), the course that the share
then took (fitted to the incident's own posts), and how the classifier's answers fall for negative posts and for others.
It sums exact log-likelihood ratios of the incident's posts, each counted in the minute it was written, and pages as
Page's CUSUM does, when the sum from some minute of the incident on is beyond what the false-alarm budget asks.

For a share that jumps to a known value no test with that budget has a smaller mean delay (Moustakides 1986), so the
mean over incidents is a bound for detectors that are told neither start nor lift nor course. It is an oracle's figure
and no theorem of one incident, of a median, or of recall: chance may lift the share just before an incident, and a
detector that pages then was lucky. All that is not exact leans to the oracle's side: a course fitted to the very posts
it is tried on (about a nat too much), no over-dispersion, neither watermark nor tick (2 to 3 minutes).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alerting.detection.expected_delay import cusum_nats
from alerting.detection.share_detector import DetectPolicy

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
HOUR = 60
NEAR_HOURS = 6.0
"""The usual share at an hour is the mean of those around it; their weight falls by e in so many hours."""
DAY_HOURS = 24
SCORE_BINS = 20
ROUNDS = 25
"""Of expectation and maximisation; and of Newton's steps in all, one a round."""
STIFFNESS = 0.25
"""Prior precision of a course's level and slope, in logits or in logs: an incident without posts has no course."""
LEAST, MOST = 0.005, 0.98
LEAST_RISE = DetectPolicy().min_rise
"""Nobody looks for a smaller one: the level is at least what looking for this one asks."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a classifier's answers are read: as one of some symbols, with its chance among negative posts and others."""

    if_negative: Floats
    if_not: Floats

    def ratio(self, share: Floats, usual: Floats) -> Floats:
        """(times, symbols): nats that each symbol speaks for *share* against *usual*, both (times,)."""
        return np.log(self._chances(share) / self._chances(usual))

    def information(self, share: Floats, usual: Floats) -> Floats:
        """Nats that a post of *usual* speaks for *usual* against *share*, on the mean; each (times,)."""
        told: Floats = -(self._chances(usual) * self.ratio(share, usual)).sum(axis=1)
        return told

    def negative_among(self, counts: Floats, share: Floats) -> Floats:
        """Expected negative posts among *counts* (times, symbols), where *share* (times,) of all are negative."""
        from_negative = share[:, None] * self.if_negative
        expected: Floats = (counts * from_negative / self._chances(share)).sum(axis=1)
        return expected

    def _chances(self, share: Floats) -> Floats:
        chances: Floats = share[:, None] * self.if_negative + (1 - share[:, None]) * self.if_not
        return chances


LABELS = Reading(np.array([0.0, 1.0]), np.array([1.0, 0.0]))
"""0 and 1: not negative, negative. As the classifier predicts them, or as people told."""


def score_symbols(scores: Floats) -> Ints:
    """P(negative) of each post as a symbol: which of `SCORE_BINS` it lies in."""
    return np.minimum((scores * SCORE_BINS).astype(np.int64), SCORE_BINS - 1)


def score_reading(scores: Floats, negative: Floats) -> Reading:
    """How scores fall for negative posts and for others. *negative* is 0 or 1 as people told, else the score itself."""
    bins = score_symbols(scores)
    of_negative = np.bincount(bins, negative, SCORE_BINS) + 1 / SCORE_BINS
    of_others = np.bincount(bins, 1 - negative, SCORE_BINS) + 1 / SCORE_BINS
    return Reading(of_negative / of_negative.sum(), of_others / of_others.sum())


@dataclass(frozen=True, slots=True)
class Votes:
    """What one brand's people said: one vote an author and hour."""

    first_minute: int
    """Event-time minute of the first row; a whole hour."""
    counts: Floats
    """(minutes, symbols), whole hours."""

    @property
    def by_hour(self) -> Floats:
        """(hours, symbols)"""
        votes: Floats = self.counts.reshape(-1, HOUR, self.counts.shape[1]).sum(axis=1)
        return votes

    def clipped(self, span: tuple[int, int]) -> slice:
        """The rows of the minutes from the first of *span* up to the second, which is not part of it."""
        start, end = (min(max(minute - self.first_minute, 0), len(self.counts)) for minute in span)
        return slice(start, end)


def votes_of(minutes: Ints, authors: Ints, symbols: Ints, *, symbols_in_all: int) -> Votes:
    """The first post of each author in each hour. *minutes* are of event time, rising."""
    hours = minutes // HOUR
    order = np.lexsort((authors, hours))
    again = (np.diff(hours[order]) == 0) & (np.diff(authors[order]) == 0)
    first = order[np.concatenate([[True], ~again])]
    begin = int(minutes[0]) // HOUR * HOUR
    rows = (int(minutes[-1]) // HOUR * HOUR + HOUR) - begin
    cells = (minutes[first] - begin) * symbols_in_all + symbols[first]
    counts = np.bincount(cells, minlength=rows * symbols_in_all).astype(np.float64)
    return Votes(begin, counts.reshape(rows, symbols_in_all))


class Oracle:
    """Knows one brand's usual share and volume at each hour, all of its *incidents* (spans of minutes) left out."""

    def __init__(self, votes: Votes, reading: Reading, incidents: Sequence[tuple[int, int]]) -> None:
        self._votes = votes
        self._reading = reading
        calm = np.ones(len(votes.counts), dtype=bool)
        for span in incidents:
            calm[votes.clipped(span)] = False
        # An hour with an incident in it says nothing of what is usual.
        self._calm: npt.NDArray[np.bool_] = np.logical_and.reduce(calm.reshape(-1, HOUR), axis=1)
        self.shares = self._usual_shares()
        self.rates = self._usual_rates()
        """Votes a minute, by hour."""
        self.spread = self._volume_spread()

    @property
    def calm_hours(self) -> int:
        """From so many it knows what is usual; from none nothing can be told."""
        return int(self._calm.sum())

    def told_after(self, span: tuple[int, int], *, false_alarms: float, volume: bool = False) -> int | None:
        """Minutes from the start of *span* until the evidence is beyond the budget; None if it never is.

        With *volume*, how many people write is evidence, too, as over-dispersed as the brand's calm hours are.
        """
        rows = self._votes.clipped(span)
        counts = self._votes.counts[rows]
        if not len(counts):
            return None
        hour = np.arange(rows.start, rows.stop) // HOUR
        usual, rate = self.shares[hour], self.rates[hour]
        at = (np.arange(len(counts)) + 0.5) / len(counts)
        share = np.maximum(share_course(counts, usual, at, self._reading), usual)
        evidence = (counts * self._reading.ratio(share, usual)).sum(axis=1)
        told_a_minute = rate * self._reading.information(np.maximum(share, usual + LEAST_RISE), usual)
        if volume:
            seen = counts.sum(axis=1)
            lifted = np.maximum(rate_course(seen, rate, at), rate)
            log_lift = np.log(lifted / rate)
            evidence += (seen * log_lift - (lifted - rate)) / self.spread
            told_a_minute += (lifted - rate - rate * log_lift) / self.spread
        level = cusum_nats(float(told_a_minute.mean()), false_alarms=false_alarms)
        return first_beyond(evidence, level)

    def _usual_shares(self) -> Floats:
        calm = self._votes.by_hour * self._calm[:, None]
        hours = np.arange(len(calm))
        near = np.exp(-np.abs(hours[:, None] - hours[None, :]) / NEAR_HOURS) @ calm
        share = np.full(len(calm), 0.3)
        votes = np.maximum(near.sum(axis=1), 1e-9)
        for _ in range(ROUNDS):
            share = np.clip(self._reading.negative_among(near, share) / votes, LEAST, MOST)
        return share

    def _usual_rates(self) -> Floats:
        votes = self._votes.by_hour.sum(axis=1)
        of_day = np.arange(len(votes)) % DAY_HOURS
        total = np.bincount(of_day, votes * self._calm, DAY_HOURS)
        many = np.bincount(of_day, self._calm, DAY_HOURS)
        mean = max(float(total.sum()) / max(float(many.sum()), 1.0), 1 / DAY_HOURS)
        # A day's worth of the mean is added: an hour of the day may have been calm once only, or never.
        return ((total + mean) / (many + 1) / HOUR)[of_day]

    def _volume_spread(self) -> float:
        votes, expected = self._votes.by_hour.sum(axis=1), self.rates * HOUR
        if not self._calm.any():
            return 1.0
        return max(1.0, float(((votes - expected) ** 2 / expected)[self._calm].mean()))


def share_course(counts: Floats, usual: Floats, at: Floats, reading: Reading) -> Floats:
    """The likeliest course of the share: its logit is that of *usual* plus a line in *at*, which is [0, 1]."""
    before = np.log(usual / (1 - usual))
    votes = counts.sum(axis=1)
    line = np.zeros(2)
    share = usual
    for _ in range(ROUNDS):
        negative = reading.negative_among(counts, share)
        line = _newton(line, at, negative - votes * share, votes * share * (1 - share))
        share = np.clip(1 / (1 + np.exp(-(before + line[0] + line[1] * at))), LEAST, MOST)
    return share


def rate_course(seen: Floats, usual: Floats, at: Floats) -> Floats:
    """The likeliest course of the votes a minute: *usual* times the exponential of a line in *at*."""
    line = np.array([math.log(max(float(seen.sum()), 0.5) / float(usual.sum())), 0.0])
    rate = usual * math.exp(line[0])
    for _ in range(ROUNDS):
        line = _newton(line, at, seen - rate, rate)
        rate = usual * np.exp(np.clip(line[0] + line[1] * at, -5, 5))
    return rate


def _newton(line: Floats, at: Floats, leaning: Floats, weight: Floats) -> Floats:
    """One step of ridge regression for level and slope."""
    columns = np.stack([np.ones_like(at), at], axis=1)
    gradient = columns.T @ leaning - STIFFNESS * line
    curvature = columns.T @ (weight[:, None] * columns) + STIFFNESS * np.eye(2)
    step = np.linalg.solve(curvature, gradient)
    moved: Floats = line + np.clip(step, -1, 1)
    return moved


def first_beyond(evidence: Floats, level: float) -> int | None:
    """Minutes until a CUSUM of *evidence* (nats a minute) first reaches *level*; None if it never does."""
    total = np.concatenate([[0.0], np.cumsum(evidence)])
    risen = total - np.minimum.accumulate(total)
    beyond = np.flatnonzero(risen[1:] >= level)
    return int(beyond[0]) + 1 if len(beyond) else None


@dataclass(frozen=True, slots=True)
class Delays:
    """How some incidents were told. Minutes."""

    incidents: int
    found: int
    p50: float | None
    """Of those found, as is `p95`."""
    p95: float | None
    p50_of_all: float | None
    """Where one that was not found is later than any; None where half were not."""


def delays_of(told: Sequence[float | None]) -> Delays:
    found = [minutes for minutes in told if minutes is not None]
    missed = len(told) - len(found)
    every = sorted([*found, *[math.inf] * missed])
    middle = every[(len(every) - 1) // 2] if every else math.inf
    return Delays(
        len(told),
        len(found),
        float(np.median(found)) if found else None,
        float(np.quantile(found, 0.95)) if found else None,
        None if math.isinf(middle) else float(middle),
    )


def earliest(told: Sequence[float | None], recall: float) -> list[float]:
    """The soonest minutes that make up *recall* of all, rising: who need not find more has these; empty if too few."""
    found = sorted(minutes for minutes in told if minutes is not None)
    wanted = math.ceil(recall * len(told) - 1e-9)
    return found[:wanted] if len(found) >= wanted else []

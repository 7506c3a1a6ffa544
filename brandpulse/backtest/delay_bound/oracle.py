"""The minimum delay of any detector of the share on known incidents, given a classifier's output per post.

An oracle knows the start of each incident, the usual share around it (hours after it included), the course of the share
during it (fitted to the posts of the incident), and the distribution of the classifier's output for negative and for
other posts. It sums the exact log-likelihood ratios of the posts, each in the minute it was written. Like Page's CUSUM,
it pages when the sum from any minute of the incident on exceeds the level of the false-alarm budget.

For a share that jumps to a known value, no test with that budget has a smaller mean delay (Moustakides 1986). So the
mean over incidents is a bound for detectors that know neither start nor rise nor course. It is not a bound for one
incident, a median or recall: the share may rise by chance just before an incident, and a detector that pages then was
lucky. All approximations favour the oracle: the course is fitted to the posts it is tested on (about a nat too much),
there is no over-dispersion, and neither the watermark nor the evaluation interval (2 to 3 minutes) counts.
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
"""The usual share of an hour is a weighted mean of the hours around it; weights fall by a factor e in so many hours."""
DAY_HOURS = 24
SCORE_BINS = 20
ROUNDS = 25
"""Of expectation and maximization, with one Newton step each."""
STIFFNESS = 0.25
"""Prior precision of a course's level and slope, in logits or logs: without posts both stay 0."""
MIN_SHARE, MAX_SHARE = 0.005, 0.98
MIN_RISE = DetectPolicy().min_rise
"""A detector looks for no smaller rise, so the CUSUM level is at least that of this rise."""


@dataclass(frozen=True, slots=True)
class OutputModel:
    """A classifier's output as one of some symbols, with the probability of each for negative and for other posts."""

    if_negative: Floats
    if_not: Floats

    def ratio(self, share: Floats, usual: Floats) -> Floats:
        """(times, symbols): evidence in nats of each symbol for *share* against *usual*, both (times,)."""
        return np.log(self._probabilities(share) / self._probabilities(usual))

    def information(self, share: Floats, usual: Floats) -> Floats:
        """(times,): mean evidence in nats of a post at the share *usual* against *share*, both (times,)."""
        nats: Floats = -(self._probabilities(usual) * self.ratio(share, usual)).sum(axis=1)
        return nats

    def negative_among(self, counts: Floats, share: Floats) -> Floats:
        """Expected negative posts among *counts* (times, symbols) if *share* (times,) of all are negative."""
        from_negative = share[:, None] * self.if_negative
        expected: Floats = (counts * from_negative / self._probabilities(share)).sum(axis=1)
        return expected

    def _probabilities(self, share: Floats) -> Floats:
        mixed: Floats = share[:, None] * self.if_negative + (1 - share[:, None]) * self.if_not
        return mixed


LABELS = OutputModel(np.array([0.0, 1.0]), np.array([1.0, 0.0]))
"""Symbol 0: not negative, 1: negative, as the classifier predicts or as people labelled."""


def score_symbols(scores: Floats) -> Ints:
    """The bin, of `SCORE_BINS`, of each post's P(negative)."""
    return np.minimum((scores * SCORE_BINS).astype(np.int64), SCORE_BINS - 1)


def score_output_model(scores: Floats, negative: Floats) -> OutputModel:
    """The distribution of scores. *negative*: 0 or 1 for a post that people labelled, else its score."""
    bins = score_symbols(scores)
    of_negative = np.bincount(bins, negative, SCORE_BINS) + 1 / SCORE_BINS
    of_others = np.bincount(bins, 1 - negative, SCORE_BINS) + 1 / SCORE_BINS
    return OutputModel(of_negative / of_negative.sum(), of_others / of_others.sum())


@dataclass(frozen=True, slots=True)
class Votes:
    """The votes of one brand: one per author and hour."""

    first_minute: int
    """Event-time minute of the first row, the start of an hour."""
    counts: Floats
    """(minutes, symbols), whole hours."""

    @property
    def by_hour(self) -> Floats:
        """(hours, symbols)"""
        votes: Floats = self.counts.reshape(-1, HOUR, self.counts.shape[1]).sum(axis=1)
        return votes

    def clipped(self, span: tuple[int, int]) -> slice:
        """The rows of the minutes of *span*, without its end."""
        start, end = (min(max(minute - self.first_minute, 0), len(self.counts)) for minute in span)
        return slice(start, end)


def votes_of(minutes: Ints, authors: Ints, symbols: Ints, *, symbol_count: int) -> Votes:
    """The first post of each author in each hour. *minutes*: of event time, sorted."""
    hours = minutes // HOUR
    order = np.lexsort((authors, hours))
    repeated = (np.diff(hours[order]) == 0) & (np.diff(authors[order]) == 0)
    first = order[np.concatenate([[True], ~repeated])]
    begin = int(minutes[0]) // HOUR * HOUR
    rows = (int(minutes[-1]) // HOUR * HOUR + HOUR) - begin
    cells = (minutes[first] - begin) * symbol_count + symbols[first]
    counts = np.bincount(cells, minlength=rows * symbol_count).astype(np.float64)
    return Votes(begin, counts.reshape(rows, symbol_count))


class Oracle:
    """Knows the usual share and volume of one brand at each hour, without its *incidents* (spans of minutes)."""

    def __init__(self, votes: Votes, output: OutputModel, incidents: Sequence[tuple[int, int]]) -> None:
        self._votes = votes
        self._output = output
        calm = np.ones(len(votes.counts), dtype=bool)
        for span in incidents:
            calm[votes.clipped(span)] = False
        # An hour with an incident is not part of the baseline.
        self._calm: npt.NDArray[np.bool_] = np.logical_and.reduce(calm.reshape(-1, HOUR), axis=1)
        self.shares = self._usual_shares()
        self.rates = self._usual_rates()
        """Votes per minute, by hour."""
        self.spread = self._volume_spread()

    @property
    def calm_hours(self) -> int:
        """Hours without an incident: the baseline. Without any, `delay` has no meaning."""
        return int(self._calm.sum())

    def delay(self, span: tuple[int, int], *, false_alarms: float, volume: bool = False) -> int | None:
        """Minutes from the start of *span* until the evidence exceeds the level of the budget; None if it never does.

        *volume*: the number of votes is evidence, too, with the over-dispersion of the brand's calm hours.
        """
        rows = self._votes.clipped(span)
        counts = self._votes.counts[rows]
        if not len(counts):
            return None
        hour = np.arange(rows.start, rows.stop) // HOUR
        usual, rate = self.shares[hour], self.rates[hour]
        at = (np.arange(len(counts)) + 0.5) / len(counts)
        share = np.maximum(share_course(counts, usual, at, self._output), usual)
        evidence = (counts * self._output.ratio(share, usual)).sum(axis=1)
        nats_per_minute = rate * self._output.information(np.maximum(share, usual + MIN_RISE), usual)
        if volume:
            seen = counts.sum(axis=1)
            lifted = np.maximum(rate_course(seen, rate, at), rate)
            log_lift = np.log(lifted / rate)
            evidence += (seen * log_lift - (lifted - rate)) / self.spread
            nats_per_minute += (lifted - rate - rate * log_lift) / self.spread
        level = cusum_nats(float(nats_per_minute.mean()), false_alarms=false_alarms)
        return first_reached(evidence, level)

    def _usual_shares(self) -> Floats:
        calm = self._votes.by_hour * self._calm[:, None]
        hours = np.arange(len(calm))
        near = np.exp(-np.abs(hours[:, None] - hours[None, :]) / NEAR_HOURS) @ calm
        share = np.full(len(calm), 0.3)
        votes = np.maximum(near.sum(axis=1), 1e-9)
        for _ in range(ROUNDS):
            share = np.clip(self._output.negative_among(near, share) / votes, MIN_SHARE, MAX_SHARE)
        return share

    def _usual_rates(self) -> Floats:
        votes = self._votes.by_hour.sum(axis=1)
        of_day = np.arange(len(votes)) % DAY_HOURS
        total = np.bincount(of_day, votes * self._calm, DAY_HOURS)
        days = np.bincount(of_day, self._calm, DAY_HOURS)
        mean = max(float(total.sum()) / max(float(days.sum()), 1.0), 1 / DAY_HOURS)
        # One day of the mean rate is added: an hour of the day may have been calm only once, or never.
        return ((total + mean) / (days + 1) / HOUR)[of_day]

    def _volume_spread(self) -> float:
        votes, expected = self._votes.by_hour.sum(axis=1), self.rates * HOUR
        if not self._calm.any():
            return 1.0
        return max(1.0, float(((votes - expected) ** 2 / expected)[self._calm].mean()))


def share_course(counts: Floats, usual: Floats, at: Floats, output: OutputModel) -> Floats:
    """The most likely course of the share: its logit is that of *usual* plus a line in *at*, in [0, 1]."""
    before = np.log(usual / (1 - usual))
    votes = counts.sum(axis=1)
    line = np.zeros(2)
    share = usual
    for _ in range(ROUNDS):
        negative = output.negative_among(counts, share)
        line = _newton(line, at, negative - votes * share, votes * share * (1 - share))
        share = np.clip(1 / (1 + np.exp(-(before + line[0] + line[1] * at))), MIN_SHARE, MAX_SHARE)
    return share


def rate_course(seen: Floats, usual: Floats, at: Floats) -> Floats:
    """The most likely course of the votes per minute: *usual* times the exponential of a line in *at*."""
    line = np.array([math.log(max(float(seen.sum()), 0.5) / float(usual.sum())), 0.0])
    rate = usual * math.exp(line[0])
    for _ in range(ROUNDS):
        line = _newton(line, at, seen - rate, rate)
        rate = usual * np.exp(np.clip(line[0] + line[1] * at, -5, 5))
    return rate


def _newton(line: Floats, at: Floats, residual: Floats, weight: Floats) -> Floats:
    """One Newton step for level and slope, with a ridge penalty."""
    columns = np.stack([np.ones_like(at), at], axis=1)
    gradient = columns.T @ residual - STIFFNESS * line
    curvature = columns.T @ (weight[:, None] * columns) + STIFFNESS * np.eye(2)
    step = np.linalg.solve(curvature, gradient)
    moved: Floats = line + np.clip(step, -1, 1)
    return moved


def first_reached(evidence: Floats, level: float) -> int | None:
    """Minutes until a CUSUM of *evidence* (nats per minute) first reaches *level*; None if it never does."""
    total = np.concatenate([[0.0], np.cumsum(evidence)])
    risen = total - np.minimum.accumulate(total)
    reached = np.flatnonzero(risen[1:] >= level)
    return int(reached[0]) + 1 if len(reached) else None


@dataclass(frozen=True, slots=True)
class Delays:
    """Detection delays of some incidents, in minutes."""

    incidents: int
    found: int
    p50: float | None
    """Of the incidents found, as `p95`."""
    p95: float | None
    p50_of_all: float | None
    """An incident that was not found counts as infinitely late; None if half were not found."""


def summarize_delays(delays: Sequence[float | None]) -> Delays:
    found = [minutes for minutes in delays if minutes is not None]
    missed = len(delays) - len(found)
    every = sorted([*found, *[math.inf] * missed])
    middle = every[(len(every) - 1) // 2] if every else math.inf
    return Delays(
        len(delays),
        len(found),
        float(np.median(found)) if found else None,
        float(np.quantile(found, 0.95)) if found else None,
        None if math.isinf(middle) else float(middle),
    )


def earliest_delays(delays: Sequence[float | None], recall: float) -> list[float]:
    """The shortest delays that make up *recall* of all incidents, sorted; empty if too few were found."""
    found = sorted(minutes for minutes in delays if minutes is not None)
    wanted = math.ceil(recall * len(delays) - 1e-9)
    return found[:wanted] if len(found) >= wanted else []

"""The usual negative share of a brand at each hour of the week, and its over-dispersion, learnt from past hours."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from alerting.detection.evidence import WEIGHT_SPREAD
from alerting.detection.rhythm.daily_shape import MAX_SHARE, MIN_SHARE, HourVotes, Rhythm, fit_rhythm, flat_rhythm
from alerting.detection.rhythm.recurrence import EpisodeHours, UsualShares, without_recurring
from alerting.detection.share_detector import Baseline
from brandpulse.runtime.local_hours import DAY_HOURS, UTC, WEEK_HOURS, week_hours
from brandpulse.state.author_sketches import AuthorCounts
from brandpulse.state.keys import HOUR_MS

HOUR_MINUTES = 60
GRID_BEFORE, GRID_AFTER = 26, 40
"""Hours around a window's first hour for which sums are computed at once: enough for all windows of an hour."""

DAY_SAMPLES, WEEK_SAMPLES = 1.0, 2.0
"""Prior weight, in samples of an hour, of the assumption that an hour of the day, or of the week, is like any other."""
MIN_PEOPLE = 0.01
"""Weight of an hour that never had people, as a part of the mean hour."""
MAX_RHO = 0.5
ROUNDS, ENOUGH_LESS = 3, 0.7

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BaselinePolicy:
    """How the past is weighted."""

    days: int = 28
    prior_share: float = 0.25
    """Assumed share of a brand without history."""
    prior_authors: float = 50.0
    """Weight of `prior_share`, in authors."""
    prior_weight: float = 0.35
    """Assumed mean weight of the posts of a brand without history."""
    week_from_days: int = 14
    """A weekly shape is fitted from this many days on: each hour of the week came twice."""
    rho_floor: float = 0.002
    """Minimum rho: people always copy each other a little, however even the past looks."""
    rho_doubt: float = 0.5
    """Standard errors added to the measured rho: few votes an hour hide the rho of a quiet brand."""
    prior_rho: float = 0.03
    """Assumed rho before it is measured: six airlines in February 2015 had .01 to .15, by the hour."""
    prior_hours: float = 12.0
    """Weight of `prior_rho`, in hours."""
    longest_incident_hours: int = 24
    """Later hours of an episode count as the new normal: otherwise a lasting change would never stop the alarm."""


Span = tuple[int, int]
"""First and last event time (ms) of an episode."""


@dataclass(frozen=True, slots=True)
class UsualWeek:
    """What is usual for a brand at each hour of the week. `expect` gives the baseline of a window."""

    rhythm: Rhythm
    """Shares of negative people."""
    rho: float
    hours: int
    authors: int
    days: float = 0.0
    """From the first hour with people to the window."""
    people: Numbers = field(default_factory=lambda: np.ones(WEEK_HOURS))  # (168,)
    """Usual people at each hour of the week; weights of a window's hours."""
    zone: ZoneInfo = UTC
    weights: Rhythm | None = None
    """Usual weight of a post (`alerting.detection.evidence`); None if no pane has weights."""
    weight_rho: float = 0.0
    _grid: list["_Sums"] = field(default_factory=list, compare=False, repr=False)

    def expect(self, first_minute: int, last_minute: int) -> Baseline:
        """The baseline of the window from *first_minute* to *last_minute*, both included.

        The mean of its hours, weighted by their usual people and by their minutes inside the window.
        """
        share, doubt, weight, weight_doubt = self._sums(first_minute, last_minute).mean(first_minute, last_minute + 1)
        return Baseline(
            share,
            min(self.rho + doubt, MAX_RHO),
            self.hours,
            self.authors,
            None if self.weights is None else weight,
            min(self.weight_rho + weight_doubt, MAX_RHO) if self.weights is not None else 0.0,
            self.days,
        )

    def usual_shares(self, first_minutes: npt.NDArray[np.int64], last_minutes: npt.NDArray[np.int64]) -> Numbers:
        """The usual share of many windows at once, as in `expect`: for simulations."""
        sums = self._sums(int(first_minutes.min()), int(last_minutes.max()))
        at = sums.first_minute + HOUR_MINUTES * np.arange(len(sums.sums[0]))
        people, negative = (
            np.interp(last_minutes + 1, at, upto) - np.interp(first_minutes, at, upto) for upto in sums.sums[:2]
        )
        return np.asarray(negative / people)

    def _sums(self, first_minute: int, last_minute: int) -> "_Sums":
        if not self._grid or not self._grid[0].holds(first_minute, last_minute + 1):
            self._grid[:] = [self._summed(first_minute // HOUR_MINUTES, last_minute // HOUR_MINUTES)]
        return self._grid[0]

    def _summed(self, first_hour: int, last_hour: int) -> "_Sums":
        first = first_hour - GRID_BEFORE
        hours = np.arange(first, max(last_hour + 1, first_hour + GRID_AFTER))
        place = week_hours(hours, self.zone)
        people = self.people[place]
        parts = [self.rhythm.shares, self.rhythm.doubts]
        if self.weights is not None:
            parts += [self.weights.shares, self.weights.doubts]
        sums = [np.append(0.0, np.cumsum(part)) for part in (people, *(people * part[place] for part in parts))]
        return _Sums(first * HOUR_MINUTES, [one.tolist() for one in sums])


@dataclass(frozen=True, slots=True)
class _Sums:
    """Running sums over hours of people, and of each quantity times people."""

    first_minute: int
    sums: list[list[float]]

    def holds(self, start: int, end: int) -> bool:
        return self.first_minute <= start and end <= self.first_minute + (len(self.sums[0]) - 1) * HOUR_MINUTES

    def mean(self, start: int, end: int) -> tuple[float, float, float, float]:
        """The mean of each quantity between two minutes, weighted by people; 0.0 for unknown quantities."""
        a, b = divmod(start - self.first_minute, HOUR_MINUTES)
        c, d = divmod(end - self.first_minute, HOUR_MINUTES)
        people, *others = [
            upto[c] - upto[a]
            + (d * (upto[c + 1] - upto[c]) if d else 0.0) / HOUR_MINUTES
            - (b * (upto[a + 1] - upto[a]) if b else 0.0) / HOUR_MINUTES
            for upto in self.sums
        ]  # fmt: skip
        share, doubt, *weights = [other / people for other in others]
        return (share, doubt, *weights) if weights else (share, doubt, 0.0, 0.0)  # type: ignore[return-value]


def learn_usual_week(
    hours: Mapping[int, AuthorCounts],
    *,
    before_hour: int,
    incidents: Sequence[Span],
    policy: BaselinePolicy,
    weights: Mapping[int, float] | None = None,
    zone: ZoneInfo = UTC,
) -> UsualWeek:
    """The usual week from the hours of the last `policy.days` before *before_hour*, without *incidents*.

    Incidents that recur a day or a week later are part of the rhythm (`alerting.detection.rhythm.recurrence`).

    *weights* are the mean weights of the hours' posts (`alerting.detection.evidence`). A weight varies less than a yes
    or no, so n weights count as n / WEIGHT_SPREAD votes with that mean. Hours of the day and of the week are in time
    zone *zone*.
    """
    oldest = before_hour - policy.days * DAY_HOURS
    episodes = [one for span in incidents if (one := _hours_of(span, before_hour, policy)).left_out.stop > oldest]
    left_out = _left_out(episodes)
    seen, at = _seen(hours, before_hour, left_out, policy=policy, zone=zone)
    shares, rho = _usual_week(seen, policy.prior_share, policy.prior_authors, policy)
    single = without_recurring(episodes, hours, before_hour=before_hour, usual=UsualShares(shares.shares, rho, zone))
    if len(single) < len(episodes):
        left_out = _left_out(single)
        seen, at = _seen(hours, before_hour, left_out, policy=policy, zone=zone)
        shares, rho = _usual_week(seen, policy.prior_share, policy.prior_authors, policy)
    votes = seen.votes
    past = UsualWeek(
        shares, rho, len(at), int(votes.sum()), seen.days, _usual_people(seen, at, before_hour, left_out, zone), zone
    )
    weight = np.array([(weights or {}).get(hour, np.nan) for hour in at.tolist()], np.float64)
    known = np.isfinite(weight)
    if not known.any():
        return past
    # Scaled so that the prior over-dispersion of n votes is the same for counts and for weights.
    finer = replace(policy, prior_rho=policy.prior_rho * WEIGHT_SPREAD, rho_floor=policy.rho_floor * WEIGHT_SPREAD)
    effective_votes = votes[known] / WEIGHT_SPREAD
    usual, weight_rho = _usual_week(
        HourVotes(seen.places[known], effective_votes, effective_votes * weight[known], seen.days),
        policy.prior_weight,
        policy.prior_authors / WEIGHT_SPREAD,
        finer,
    )
    return replace(past, weights=usual, weight_rho=weight_rho)


def _hours_of(span: Span, before_hour: int, policy: BaselinePolicy) -> EpisodeHours:
    first, last = span[0] // HOUR_MS, span[1] // HOUR_MS
    left_out = range(first, min(last, first + policy.longest_incident_hours - 1) + 1)
    return EpisodeHours(left_out, range(first, last + 1) if last >= before_hour else left_out)


def _left_out(episodes: Sequence[EpisodeHours]) -> Set[int]:
    return {hour for one in episodes for hour in one.left_out}


def _seen(
    hours: Mapping[int, AuthorCounts],
    before_hour: int,
    left_out: Set[int],
    *,
    policy: BaselinePolicy,
    zone: ZoneInfo,
) -> tuple[HourVotes, npt.NDArray[np.int64]]:
    """The hours to learn from, and the hour number of each entry."""
    learnt = [
        (hour, counts)
        for hour in range(before_hour - policy.days * DAY_HOURS, before_hour)
        if (counts := hours.get(hour)) is not None and counts.everyone > 0 and hour not in left_out
    ]
    at = np.array([hour for hour, _ in learnt], np.int64)
    votes = np.array([counts.everyone for _, counts in learnt], np.float64)
    negative = np.array([min(counts.negative, counts.everyone) for _, counts in learnt], np.float64)
    days = (before_hour - learnt[0][0]) / DAY_HOURS if learnt else 0.0
    return HourVotes(week_hours(at, zone), votes, negative, days), at


def _usual_people(
    seen: HourVotes, at: npt.NDArray[np.int64], before_hour: int, left_out: Set[int], zone: ZoneInfo
) -> Numbers:
    """Usual people at each hour of the week: shrunk to the hour of the day, which is shrunk to the mean."""
    if not len(at):
        return np.ones(WEEK_HOURS)
    every = np.arange(at[0], before_hour)
    if left_out:
        every = np.setdiff1d(every, np.array(sorted(left_out), np.int64))
    samples = np.bincount(week_hours(every, zone), minlength=WEEK_HOURS).reshape(-1, DAY_HOURS)
    people = np.bincount(seen.places, seen.votes, WEEK_HOURS).reshape(-1, DAY_HOURS)
    mean = people.sum() / max(samples.sum(), 1)
    day = (people.sum(axis=0) + DAY_SAMPLES * mean) / (samples.sum(axis=0) + DAY_SAMPLES)
    usual: Numbers = ((people + WEEK_SAMPLES * day) / (samples + WEEK_SAMPLES)).ravel()
    return np.asarray(np.maximum(usual, MIN_PEOPLE * mean))


def _usual_week(
    seen: HourVotes, prior_share: float, prior_votes: float, policy: BaselinePolicy
) -> tuple[Rhythm, float]:
    """The share at each hour of the week, learnt from *seen*, and rho for prediction.

    The mean share is shrunk towards *prior_share*. rho by the method of moments for unequal n (Kleinman 1973), about
    the rhythm: with S = sum n_i (p_i - m_i)^2 / (m_i (1 - m_i)), E[S] = (H - f)(1 - rho) + rho (N - sum n_i^2 / N),
    where f parameters were estimated from the hours. It is shrunk towards `prior_rho` and at least the floor. The
    uncertainty of the rhythm is added hour by hour.
    """
    hours, votes = len(seen.places), float(seen.votes.sum())
    share = (float(seen.negative.sum()) + prior_share * prior_votes) / (votes + prior_votes)
    share = min(max(share, MIN_SHARE), MAX_SHARE)
    rhythm = flat_rhythm(share)
    rho = _usual_rho(seen, rhythm, policy)
    if not hours:
        return flat_rhythm(share, doubt=rho + 1 / prior_votes), rho
    for _ in range(ROUNDS):
        rhythm = fit_rhythm(seen, share=share, rho=rho, prior_votes=prior_votes, week_from_days=policy.week_from_days)
        # Variation that the rhythm explains is no over-dispersion; with less of it, the votes define the rhythm better.
        before, rho = rho, _usual_rho(seen, rhythm, policy)
        if rho > before * ENOUGH_LESS:
            break
    return rhythm, min(rho, MAX_RHO)


def _usual_rho(seen: HourVotes, rhythm: Rhythm, policy: BaselinePolicy) -> float:
    hours, votes = len(seen.places), float(seen.votes.sum())
    rho = _over_dispersion(seen, rhythm.shares[seen.places], rhythm.freedom) if votes else 0.0
    shrunk = (hours * rho + policy.prior_hours * policy.prior_rho) / (hours + policy.prior_hours)
    # Standard error of a small rho: sqrt(2 / hours) over the votes of an hour.
    doubt = policy.rho_doubt * math.sqrt(2 * hours) / max(votes, hours) if hours else 0.0
    return max(policy.rho_floor, shrunk + doubt)


def _over_dispersion(seen: HourVotes, expected: Numbers, freedom: float) -> float:
    votes = seen.votes
    total, free = float(votes.sum()), max(1.0, len(votes) - 1 - freedom)
    spread = float((votes * (seen.negative / votes - expected) ** 2 / (expected * (1 - expected))).sum())
    room = total - float((votes**2).sum()) / total - free
    return min(1.0, max(0.0, (spread - free) / room)) if room > 0 else 0.0

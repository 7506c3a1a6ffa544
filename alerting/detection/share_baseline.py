"""What is usual for a brand at each hour of the week: its share and over-dispersion, learnt from its own past hours."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from alerting.detection.evidence import WEIGHT_SPREAD
from alerting.detection.rhythm.daily_shape import LEAST_SHARE, MOST_SHARE, HourVotes, Rhythm, fit_rhythm, flat_rhythm
from alerting.detection.rhythm.recurrence import EpisodeHours, UsualShares, without_recurring
from alerting.detection.share_detector import Baseline
from brandpulse.runtime.local_hours import DAY_HOURS, UTC, WEEK_HOURS, week_hours
from brandpulse.state.author_sketches import AuthorCounts
from brandpulse.state.keys import HOUR_MS

HOUR_MINUTES = 60
GRID_BEFORE, GRID_AFTER = 26, 40
"""Hours around a window's first for which sums are made at once: the windows of an hour's minutes lie within."""

DAY_LOOKS, WEEK_LOOKS = 1.0, 2.0
"""So many looks at an hour of the day, and of the week, count as much as taking it for any other hour of the same."""
LEAST_PEOPLE = 0.01
"""An hour that never had people has so much of a mean hour's."""
MOST_RHO = 0.5
ROUNDS, ENOUGH_LESS = 3, 0.7

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BaselinePolicy:
    """How the past is weighed."""

    days: int = 28
    prior_share: float = 0.25
    """Where a brand without history is taken to stand."""
    prior_authors: float = 50.0
    """How many authors that guess is worth."""
    prior_weight: float = 0.35
    """The mean weight of its posts, likewise."""
    week_from_days: int = 14
    """From so many days on a week's shape is looked for: each of its hours came twice."""
    rho_floor: float = 0.002
    """Crowds always copy each other a little, however even the past looks."""
    rho_doubt: float = 0.5
    """So many standard errors are added to what was measured: a quiet brand's few votes an hour hide its rho."""
    prior_rho: float = 0.03
    """What we take for rho before we measured it: six airlines in February 2015, by the hour, lay at .01 to .15."""
    prior_hours: float = 12.0
    """How many hours that guess is worth."""
    longest_incident_hours: int = 24
    """From then on an episode's hours count as the new normal: else a lasting change would alarm for ever."""


Span = tuple[int, int]
"""First and last event time (ms) of an episode."""


@dataclass(frozen=True, slots=True)
class UsualWeek:
    """A brand's usual week. `expect` gives the baseline of a window."""

    rhythm: Rhythm
    """Of the share of negative people."""
    rho: float
    hours: int
    authors: int
    days: float = 0.0
    """From the first hour with people to the window."""
    people: Numbers = field(default_factory=lambda: np.ones(WEEK_HOURS))  # (168,)
    """Usual people at each hour of the week, by which a window's hours are weighed."""
    zone: ZoneInfo = UTC
    weights: Rhythm | None = None
    """Usual weight of a post (`alerting.detection.evidence`); None where no pane told."""
    weight_rho: float = 0.0
    _grid: list["_Sums"] = field(default_factory=list, compare=False, repr=False)

    def expect(self, first_minute: int, last_minute: int) -> Baseline:
        """The baseline of the window from *first_minute* to *last_minute*, both included.

        The mean of its hours, each as its usual people weigh and by the minutes of it that lie inside.
        """
        share, doubt, weight, weight_doubt = self._sums(first_minute, last_minute).mean(first_minute, last_minute + 1)
        return Baseline(
            share,
            min(self.rho + doubt, MOST_RHO),
            self.hours,
            self.authors,
            None if self.weights is None else weight,
            min(self.weight_rho + weight_doubt, MOST_RHO) if self.weights is not None else 0.0,
            self.days,
        )

    def usual_shares(self, first_minutes: npt.NDArray[np.int64], last_minutes: npt.NDArray[np.int64]) -> Numbers:
        """The usual share of many windows at once, as `expect` has it: for simulations."""
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
        """The people's mean of each quantity between two minutes; nothing of those that are not known."""
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
    """What the hours of the last `policy.days` that end at *before_hour* teach, *incidents* left out.

    Those that recur a day or a week later are rhythm (`alerting.detection.rhythm.recurrence`), and are learnt.

    *weights* are the mean weights of the hours' posts (`alerting.detection.evidence`). A vote's weight varies less than a yes or
    no: n of them are learnt from as n / WEIGHT_SPREAD yes or no votes with that mean. Hours of the day and of the week
    are those of *zone*'s clock.
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
    told = np.isfinite(weight)
    if not told.any():
        return past
    # So that n votes are as over-dispersed, before it was measured, whether counted or weighed.
    finer = replace(policy, prior_rho=policy.prior_rho * WEIGHT_SPREAD, rho_floor=policy.rho_floor * WEIGHT_SPREAD)
    worth = votes[told] / WEIGHT_SPREAD
    usual, weight_rho = _usual_week(
        HourVotes(seen.places[told], worth, worth * weight[told], seen.days),
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
    """What is learnt from, and the hour of each entry."""
    kept = [
        (hour, counts)
        for hour in range(before_hour - policy.days * DAY_HOURS, before_hour)
        if (counts := hours.get(hour)) is not None and counts.everyone > 0 and hour not in left_out
    ]
    at = np.array([hour for hour, _ in kept], np.int64)
    votes = np.array([counts.everyone for _, counts in kept], np.float64)
    negative = np.array([min(counts.negative, counts.everyone) for _, counts in kept], np.float64)
    days = (before_hour - kept[0][0]) / DAY_HOURS if kept else 0.0
    return HourVotes(week_hours(at, zone), votes, negative, days), at


def _usual_people(
    seen: HourVotes, at: npt.NDArray[np.int64], before_hour: int, left_out: Set[int], zone: ZoneInfo
) -> Numbers:
    """How many people an hour has at each hour of the week: shrunk to the hour of the day, and that to the mean."""
    if not len(at):
        return np.ones(WEEK_HOURS)
    every = np.arange(at[0], before_hour)
    if left_out:
        every = np.setdiff1d(every, np.array(sorted(left_out), np.int64))
    looks = np.bincount(week_hours(every, zone), minlength=WEEK_HOURS).reshape(-1, DAY_HOURS)
    people = np.bincount(seen.places, seen.votes, WEEK_HOURS).reshape(-1, DAY_HOURS)
    mean = people.sum() / max(looks.sum(), 1)
    day = (people.sum(axis=0) + DAY_LOOKS * mean) / (looks.sum(axis=0) + DAY_LOOKS)
    usual: Numbers = ((people + WEEK_LOOKS * day) / (looks + WEEK_LOOKS)).ravel()
    return np.asarray(np.maximum(usual, LEAST_PEOPLE * mean))


def _usual_week(
    seen: HourVotes, prior_share: float, prior_votes: float, policy: BaselinePolicy
) -> tuple[Rhythm, float]:
    """The share at each hour of the week that *seen* teaches, and rho for prediction.

    The mean share is shrunk towards *prior_share*. rho by the method of moments for unequal n (Kleinman 1973), about
    the rhythm: with S = sum n_i (p_i - m_i)^2 / (m_i (1 - m_i)), E[S] = (H - f)(1 - rho) + rho (N - sum n_i^2 / N),
    where f numbers were taken from the hours. It is shrunk towards `prior_rho` and kept above the floor. What the
    rhythm itself may be off comes on top, hour by hour.
    """
    many, total = len(seen.places), float(seen.votes.sum())
    share = (float(seen.negative.sum()) + prior_share * prior_votes) / (total + prior_votes)
    share = min(max(share, LEAST_SHARE), MOST_SHARE)
    rhythm = flat_rhythm(share)
    rho = _usual_rho(seen, rhythm, policy)
    if not many:
        return flat_rhythm(share, doubt=rho + 1 / prior_votes), rho
    for _ in range(ROUNDS):
        rhythm = fit_rhythm(seen, share=share, rho=rho, prior_votes=prior_votes, week_from_days=policy.week_from_days)
        # What the rhythm explains is no unrest: with less of it, the votes tell more of the rhythm.
        before, rho = rho, _usual_rho(seen, rhythm, policy)
        if rho > before * ENOUGH_LESS:
            break
    return rhythm, min(rho, MOST_RHO)


def _usual_rho(seen: HourVotes, rhythm: Rhythm, policy: BaselinePolicy) -> float:
    many, total = len(seen.places), float(seen.votes.sum())
    rho = _over_dispersion(seen, rhythm.shares[seen.places], rhythm.freedom) if total else 0.0
    shrunk = (many * rho + policy.prior_hours * policy.prior_rho) / (many + policy.prior_hours)
    # Standard error of rho where it is small: sqrt(2 / hours) over the votes of an hour.
    doubt = policy.rho_doubt * math.sqrt(2 * many) / max(total, many) if many else 0.0
    return max(policy.rho_floor, shrunk + doubt)


def _over_dispersion(seen: HourVotes, expected: Numbers, freedom: float) -> float:
    votes = seen.votes
    total, free = float(votes.sum()), max(1.0, len(votes) - 1 - freedom)
    spread = float((votes * (seen.negative / votes - expected) ** 2 / (expected * (1 - expected))).sum())
    room = total - float((votes**2).sum()) / total - free
    return min(1.0, max(0.0, (spread - free) / room)) if room > 0 else 0.0

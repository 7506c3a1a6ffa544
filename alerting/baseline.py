"""What is usual for a brand at each hour of the week: its share and over-dispersion, learnt from its own past hours."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from alerting.detect import Baseline
from alerting.evidence import WEIGHT_SPREAD
from brandpulse.keys import HOUR_MS
from brandpulse.panes import AuthorCounts

DAY_HOURS = 24
MOOD_HOURS = 20
"""Hours that share a mood say one thing: a past of so many hours counts as one look at what is usual."""
WEEK_HOURS = 7 * DAY_HOURS
LEAST_SHARE, MOST_SHARE = 0.005, 0.95
HARMONICS = (7, 14, 1, 2, 3)
"""Waves a week. A day's shape is a wave and its octave: 24 numbers would need 24 times the history. A week's is three
waves, which tell its weekend."""
_ANGLES = 2 * np.pi * np.outer(np.arange(WEEK_HOURS) + 0.5, HARMONICS) / WEEK_HOURS
WAVES = np.column_stack(
    [np.ones(WEEK_HOURS), np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=2).reshape(WEEK_HOURS, -1)]
)
"""A row for each hour of the week, a column for the mean's correction and for cosine and sine of each harmonic."""
DAY_WAVES = 5
"""So many columns of `WAVES` know the day alone."""
WEEK_PROOF = 22.5
"""Deviance that the week's six columns explain once in a thousand times where there is no week (chi-squared)."""

Votes = npt.NDArray[np.float64]


class Seen(NamedTuple):
    """What the past's hours showed, an entry each; none is without votes."""

    hours: npt.NDArray[np.int64]
    """Since 1970, rising."""
    votes: Votes
    negative: Votes


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
    prior_wave: float = 0.25
    """How large (standard deviation, in logits) the day's wave is taken to be before it was seen."""
    prior_week_wave: float = 0.25
    """Likewise each of the week's."""
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
class Past:
    """A brand's usual day. `expect` gives the baseline of a window."""

    shares: tuple[float, ...]
    """Usual share at each hour of the week, UTC, from the hour in which 1970 began."""
    rho: float
    hours: int
    authors: int
    weights: tuple[float, ...] | None = None
    """Usual weight of a post (`alerting.evidence`) at each hour of the week; None where no pane told."""
    weight_rho: float = 0.0
    _made: dict[tuple[int, int], Baseline] = field(default_factory=dict, compare=False, repr=False)

    def expect(self, first_minute: int, last_minute: int) -> Baseline:
        """The baseline of the window from *first_minute* to *last_minute*, both included."""
        span = first_minute // 60 % WEEK_HOURS, min(last_minute // 60 - first_minute // 60, DAY_HOURS - 1)
        made = self._made.get(span)
        if made is None:
            made = self._made[span] = Baseline(
                _mean_over(self.shares, *span),
                self.rho,
                self.hours,
                self.authors,
                None if self.weights is None else _mean_over(self.weights, *span),
                self.weight_rho,
            )
        return made


def _mean_over(by_hour: Sequence[float], first: int, more: int) -> float:
    return sum(by_hour[(first + hour) % WEEK_HOURS] for hour in range(more + 1)) / (more + 1)


def past_of(
    hours: Mapping[int, AuthorCounts],
    *,
    before_hour: int,
    incidents: Sequence[Span],
    policy: BaselinePolicy,
    weights: Mapping[int, float] | None = None,
) -> Past:
    """What the hours of the last `policy.days` that end at *before_hour* teach, *incidents* left out.

    *weights* are the mean weights of the hours' posts (`alerting.evidence`). A vote's weight varies less than a yes or
    no: n of them are learnt from as n / WEIGHT_SPREAD yes or no votes with that mean.
    """
    left_out = {
        hour
        for start, end in incidents
        for hour in range(
            start // HOUR_MS, min(end // HOUR_MS, start // HOUR_MS + policy.longest_incident_hours - 1) + 1
        )
    }
    kept = [
        (hour, counts)
        for hour in range(before_hour - policy.days * DAY_HOURS, before_hour)
        if (counts := hours.get(hour)) is not None and counts.everyone > 0 and hour not in left_out
    ]
    seen = Seen(
        np.array([hour for hour, _ in kept], np.int64),
        np.array([counts.everyone for _, counts in kept], np.float64),
        np.array([min(counts.negative, counts.everyone) for _, counts in kept], np.float64),
    )
    authors = int(seen.votes.sum())
    shares, rho = _usual_week(seen, policy.prior_share, policy.prior_authors, policy)
    weight = np.array([(weights or {}).get(hour, np.nan) for hour, _ in kept], np.float64)
    told = np.isfinite(weight)
    if not told.any():
        return Past(tuple(shares.tolist()), rho, len(kept), authors)
    # So that n votes are as over-dispersed, before it was measured, whether counted or weighed.
    finer = replace(policy, prior_rho=policy.prior_rho * WEIGHT_SPREAD, rho_floor=policy.rho_floor * WEIGHT_SPREAD)
    worth = seen.votes[told] / WEIGHT_SPREAD
    usual, weight_rho = _usual_week(
        Seen(seen.hours[told], worth, worth * weight[told]),
        policy.prior_weight,
        policy.prior_authors / WEIGHT_SPREAD,
        finer,
    )
    return Past(tuple(shares.tolist()), rho, len(kept), authors, tuple(usual.tolist()), weight_rho)


def _usual_week(seen: Seen, prior_share: float, prior_votes: float, policy: BaselinePolicy) -> tuple[Votes, float]:
    """The share at each hour of the week that *seen* teaches, and rho for prediction.

    The mean share is shrunk towards *prior_share*, the waves towards none. rho by the method of moments for unequal n
    (Kleinman 1973), about the waves: with S = sum n_i (p_i - m_i)^2 / (m_i (1 - m_i)),
    E[S] = (H - 1)(1 - rho) + rho (N - sum n_i^2 / N). It is shrunk towards `prior_rho`, kept above the floor, and
    widened by what the mean itself may be off: rho MOOD_HOURS / H + 1 / N.
    """
    many, total = len(seen.hours), float(seen.votes.sum())
    share = (float(seen.negative.sum()) + prior_share * prior_votes) / (total + prior_votes)
    share = min(max(share, LEAST_SHARE), MOST_SHARE)
    even = np.full(WEEK_HOURS, share)
    rho = _usual_rho(seen, even, policy)
    shares = _with_waves(seen, share, rho, prior_votes, policy) if many else even
    rho = _usual_rho(seen, shares, policy)
    rho += rho * MOOD_HOURS / max(many, MOOD_HOURS) + 1 / (total + prior_votes)
    return shares, min(rho, 0.5)


def _usual_rho(seen: Seen, shares: Votes, policy: BaselinePolicy) -> float:
    many, total = len(seen.hours), float(seen.votes.sum())
    rho = _over_dispersion(seen, shares[seen.hours % WEEK_HOURS]) if total else 0.0
    shrunk = (many * rho + policy.prior_hours * policy.prior_rho) / (many + policy.prior_hours)
    # Standard error of rho where it is small: sqrt(2 / hours) over the votes of an hour.
    doubt = policy.rho_doubt * math.sqrt(2 * many) / max(total, many) if many else 0.0
    return max(policy.rho_floor, shrunk + doubt)


def _over_dispersion(seen: Seen, expected: Votes) -> float:
    votes = seen.votes
    total, free = float(votes.sum()), len(votes) - 1
    spread = float((votes * (seen.negative / votes - expected) ** 2 / (expected * (1 - expected))).sum())
    room = total - float((votes**2).sum()) / total - free
    return min(1.0, max(0.0, (spread - free) / room)) if room > 0 else 0.0


def _with_waves(seen: Seen, share: float, rho: float, prior_votes: float, policy: BaselinePolicy) -> Votes:
    """*share* at each hour of the week, with the waves that the hours show.

    One step of weighted ridge regression on the logit: an hour of n authors weighs n p q / (1 + (n - 1) rho), so that a
    busy hour does not count for more than it knows, and each wave's prior variance pulls it to nothing. The week's
    waves are believed only where they explain what moods that last half a day hardly would.
    """
    slope = share * (1 - share)
    alike = (seen.votes - 1) * rho
    weight = seen.votes * slope / (1 + alike)
    place = seen.hours % WEEK_HOURS
    by_hour = np.bincount(place, weight, WEEK_HOURS).astype(np.float64)
    leaning = weight * (seen.negative / seen.votes - share) / slope
    pulled = np.bincount(place, leaning, WEEK_HOURS).astype(np.float64)
    # A mood's part of an hour's variance says the same MOOD_HOURS times: slow waves are so much noisier than fast ones.
    noise = 1 + (MOOD_HOURS - 1) * float(np.average(alike / (1 + alike), weights=weight))
    stiffness = np.full(WAVES.shape[1], 1 / policy.prior_wave**2)
    stiffness[DAY_WAVES:] = noise / policy.prior_week_wave**2
    stiffness[0] = prior_votes * slope
    lift, explained = _fitted(WAVES[:, :DAY_WAVES], by_hour, pulled, stiffness)
    if int(seen.hours[-1] - seen.hours[0]) + 1 >= policy.week_from_days * DAY_HOURS:
        with_week, explained_more = _fitted(WAVES, by_hour, pulled, stiffness)
        if explained_more - explained > WEEK_PROOF * noise:
            lift = with_week
    logit = math.log(share / (1 - share)) + lift
    lifted: Votes = np.clip(1 / (1 + np.exp(-logit)), LEAST_SHARE, MOST_SHARE)
    return lifted


def _fitted(waves: Votes, by_hour: Votes, pulled: Votes, stiffness: Votes) -> tuple[Votes, float]:
    """What *waves* add to the logit at each hour of the week, and the deviance that they explain."""
    towards = waves.T @ pulled
    found = np.linalg.solve(waves.T @ (by_hour[:, None] * waves) + np.diag(stiffness[: waves.shape[1]]), towards)
    return waves @ found, float(found @ towards)

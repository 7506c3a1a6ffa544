"""What is usual for a brand at each hour of the day: its share and over-dispersion, learnt from its own past hours."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from alerting.detect import Baseline
from alerting.evidence import WEIGHT_SPREAD
from brandpulse.keys import HOUR_MS
from brandpulse.panes import AuthorCounts

DAY_HOURS = 24
MOOD_HOURS = 20
"""Hours that share a mood say one thing: a past of so many hours counts as one look at what is usual."""
HARMONICS = (1, 2)
"""A day's shape is a wave and its octave: 24 numbers would need 24 times the history."""


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
    """Usual share at each hour of the day, UTC."""
    rho: float
    hours: int
    authors: int
    weights: tuple[float, ...] | None = None
    """Usual weight of a post (`alerting.evidence`) at each hour of the day; None where no pane told."""
    weight_rho: float = 0.0
    _made: dict[tuple[int, int], Baseline] = field(default_factory=dict, compare=False, repr=False)

    def expect(self, first_minute: int, last_minute: int) -> Baseline:
        """The baseline of the window from *first_minute* to *last_minute*, both included."""
        span = first_minute // 60 % DAY_HOURS, min(last_minute // 60 - first_minute // 60, DAY_HOURS - 1)
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
    return sum(by_hour[(first + hour) % DAY_HOURS] for hour in range(more + 1)) / (more + 1)


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
    left_out = [
        (start // HOUR_MS, min(end // HOUR_MS, start // HOUR_MS + policy.longest_incident_hours - 1))
        for start, end in incidents
    ]
    kept = [
        (hour, seen)
        for hour in range(before_hour - policy.days * DAY_HOURS, before_hour)
        if (seen := hours.get(hour)) is not None
        and seen.everyone > 0
        and not any(first <= hour <= last for first, last in left_out)
    ]
    votes = [(hour % DAY_HOURS, float(seen.everyone), float(min(seen.negative, seen.everyone))) for hour, seen in kept]
    shares, rho = _usual_day(votes, policy.prior_share, policy.prior_authors, policy)
    weighed = [
        (hour % DAY_HOURS, seen.everyone / WEIGHT_SPREAD, seen.everyone / WEIGHT_SPREAD * weight)
        for hour, seen in kept
        if (weight := (weights or {}).get(hour)) is not None
    ]
    authors = sum(seen.everyone for _, seen in kept)
    if not weighed:
        return Past(shares, rho, len(votes), authors)
    # So that n votes are as over-dispersed, before it was measured, whether counted or weighed.
    finer = replace(policy, prior_rho=policy.prior_rho * WEIGHT_SPREAD, rho_floor=policy.rho_floor * WEIGHT_SPREAD)
    usual, weight_rho = _usual_day(weighed, policy.prior_weight, policy.prior_authors / WEIGHT_SPREAD, finer)
    return Past(shares, rho, len(votes), authors, usual, weight_rho)


def _usual_day(
    counts: Sequence["HourCount"], prior_share: float, prior_votes: float, policy: BaselinePolicy
) -> tuple[tuple[float, ...], float]:
    """The share at each hour of the day that *counts* teach, and rho for prediction.

    The mean share is shrunk towards *prior_share*, the day's wave towards none. rho by the method of moments for
    unequal n (Kleinman 1973), about the wave: with S = sum n_i (p_i - m_i)^2 / (m_i (1 - m_i)),
    E[S] = (H - 1)(1 - rho) + rho (N - sum n_i^2 / N). It is shrunk towards `prior_rho`, kept above the floor, and
    widened by what the mean itself may be off: rho MOOD_HOURS / H + 1 / N.
    """
    total = sum(everyone for _, everyone, _ in counts)
    negative = sum(negative for _, _, negative in counts)
    share = (negative + prior_share * prior_votes) / (total + prior_votes)
    share = min(max(share, 0.005), 0.95)
    rho = _usual_rho(counts, total, (share,) * DAY_HOURS, policy)
    shares = _with_wave(counts, share, rho, prior_votes, policy)
    rho = _usual_rho(counts, total, shares, policy)
    many = len(counts)
    rho += rho * MOOD_HOURS / max(many, MOOD_HOURS) + 1 / (total + prior_votes)
    return shares, min(rho, 0.5)


HourCount = tuple[int, float, float]
"""Hour of the day, votes, negative votes."""


def _usual_rho(counts: Sequence[HourCount], total: float, shares: Sequence[float], policy: BaselinePolicy) -> float:
    many = len(counts)
    rho = _over_dispersion(counts, total, shares)
    shrunk = (many * rho + policy.prior_hours * policy.prior_rho) / (many + policy.prior_hours)
    # Standard error of rho where it is small: sqrt(2 / hours) over the votes of an hour.
    doubt = policy.rho_doubt * math.sqrt(2 * many) / max(total, many) if many else 0.0
    return max(policy.rho_floor, shrunk + doubt)


def _over_dispersion(counts: Sequence[HourCount], total: float, shares: Sequence[float]) -> float:
    if total == 0:
        return 0.0
    spread = sum(
        everyone * (negative / everyone - shares[hour]) ** 2 / (shares[hour] * (1 - shares[hour]))
        for hour, everyone, negative in counts
    )
    free = len(counts) - 1
    room = total - sum(everyone**2 for _, everyone, _ in counts) / total - free
    if room <= 0:
        return 0.0
    return min(1.0, max(0.0, (spread - free) / room))


def _with_wave(
    counts: Sequence[HourCount], share: float, rho: float, prior_votes: float, policy: BaselinePolicy
) -> tuple[float, ...]:
    """*share* at each hour of the day, with the wave that the hours show.

    One step of weighted ridge regression on the logit: an hour of n authors weighs n p q / (1 + (n - 1) rho), so that a
    busy hour does not count for more than it knows, and each wave's prior variance pulls it to nothing.
    """
    if not counts:
        return (share,) * DAY_HOURS
    slope = share * (1 - share)
    # Columns: the mean's correction, and cosine and sine of each harmonic.
    rows = [_waves(hour) for hour in range(DAY_HOURS)]
    size = len(rows[0])
    left = [[0.0] * size for _ in range(size)]
    right = [0.0] * size
    by_hour = [[0.0, 0.0] for _ in range(DAY_HOURS)]
    for hour, everyone, negative in counts:
        weight = everyone * slope / (1 + (everyone - 1) * rho)
        by_hour[hour][0] += weight
        by_hour[hour][1] += weight * (negative / everyone - share) / slope
    for row, (weight, pulled) in zip(rows, by_hour, strict=True):
        for i in range(size):
            right[i] += row[i] * pulled
            for j in range(size):
                left[i][j] += weight * row[i] * row[j]
    for i in range(1, size):
        left[i][i] += 1 / policy.prior_wave**2
    left[0][0] += prior_votes * slope
    wave = _solve(left, right)
    logit = math.log(share / (1 - share))
    lifted = (logit + sum(a * b for a, b in zip(row, wave, strict=True)) for row in rows)
    return tuple(min(max(1 / (1 + math.exp(-value)), 0.005), 0.95) for value in lifted)


def _waves(hour: int) -> list[float]:
    angles = [2 * math.pi * harmonic * (hour + 0.5) / DAY_HOURS for harmonic in HARMONICS]
    return [1.0, *(wave(angle) for angle in angles for wave in (math.cos, math.sin))]


def _solve(left: list[list[float]], right: list[float]) -> list[float]:
    """Gauss: five equations, positive definite by their priors."""
    size = len(right)
    for i in range(size):
        for j in range(i + 1, size):
            factor = left[j][i] / left[i][i]
            right[j] -= factor * right[i]
            for k in range(i, size):
                left[j][k] -= factor * left[i][k]
    found = [0.0] * size
    for i in reversed(range(size)):
        found[i] = (right[i] - sum(left[i][k] * found[k] for k in range(i + 1, size))) / left[i][i]
    return found

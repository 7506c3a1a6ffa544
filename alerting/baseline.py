"""What is usual for a brand at each hour of the day: its share and over-dispersion, learnt from its own past hours."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from alerting.detect import Baseline
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
    prior_wave: float = 0.25
    """How large (standard deviation, in logits) the day's wave is taken to be before it was seen."""
    rho_floor: float = 0.002
    """Crowds always copy each other a little, however even the past looks."""
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
    _made: dict[tuple[int, int], Baseline] = field(default_factory=dict, compare=False, repr=False)

    def expect(self, first_minute: int, last_minute: int) -> Baseline:
        """The baseline of the window from *first_minute* to *last_minute*, both included."""
        span = first_minute // 60 % DAY_HOURS, min(last_minute // 60 - first_minute // 60, DAY_HOURS - 1)
        made = self._made.get(span)
        if made is None:
            shares = [self.shares[(span[0] + hour) % DAY_HOURS] for hour in range(span[1] + 1)]
            made = self._made[span] = Baseline(sum(shares) / len(shares), self.rho, self.hours, self.authors)
        return made


def past_of(
    hours: Mapping[int, AuthorCounts], *, before_hour: int, incidents: Sequence[Span], policy: BaselinePolicy
) -> Past:
    """What the hours of the last `policy.days` that end at *before_hour* teach, *incidents* left out.

    The mean share is shrunk towards `prior_share`, the day's wave towards none. rho by the method of moments for
    unequal n (Kleinman 1973), about the wave: with S = sum n_i (p_i - m_i)^2 / (m_i (1 - m_i)),
    E[S] = (H - 1)(1 - rho) + rho (N - sum n_i^2 / N). It is shrunk towards `prior_rho`, kept above the floor, and
    widened by what the mean itself may be off: rho MOOD_HOURS / H + 1 / N.
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
    counts = [(hour % DAY_HOURS, seen.everyone, min(seen.negative, seen.everyone)) for hour, seen in kept]
    total = sum(everyone for _, everyone, _ in counts)
    negative = sum(negative for _, _, negative in counts)
    share = (negative + policy.prior_share * policy.prior_authors) / (total + policy.prior_authors)
    share = min(max(share, 0.005), 0.95)
    flat = (share,) * DAY_HOURS
    rho = _usual_rho(counts, total, flat, policy)
    shares = _with_wave(counts, share, rho, policy)
    rho = _usual_rho(counts, total, shares, policy)
    many = len(counts)
    rho += rho * MOOD_HOURS / max(many, MOOD_HOURS) + 1 / (total + policy.prior_authors)
    return Past(shares, min(rho, 0.5), many, total)


HourCount = tuple[int, int, int]
"""Hour of the day, authors, negative authors."""


def _usual_rho(counts: Sequence[HourCount], total: int, shares: Sequence[float], policy: BaselinePolicy) -> float:
    many = len(counts)
    rho = _over_dispersion(counts, total, shares)
    shrunk = (many * rho + policy.prior_hours * policy.prior_rho) / (many + policy.prior_hours)
    return max(policy.rho_floor, shrunk)


def _over_dispersion(counts: Sequence[HourCount], total: int, shares: Sequence[float]) -> float:
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


def _with_wave(counts: Sequence[HourCount], share: float, rho: float, policy: BaselinePolicy) -> tuple[float, ...]:
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
    left[0][0] += policy.prior_authors * slope
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

"""What is usual for a brand: its share and over-dispersion, learnt from its own past hours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alerting.detect import Baseline
from brandpulse.keys import HOUR_MS
from brandpulse.panes import AuthorCounts


@dataclass(frozen=True, slots=True)
class BaselinePolicy:
    """How the past is weighed."""

    days: int = 28
    prior_share: float = 0.25
    """Where a brand without history is taken to stand."""
    prior_authors: float = 50.0
    """How many authors that guess is worth."""
    rho_floor: float = 0.005
    """Crowds always copy each other a little, however even the past looks. Twice this doubles the delay at a rise of
    .25 to .50 and 1 post a minute (106 to 194 minutes in simulation); less gains little."""
    prior_rho: float = 0.03
    """What we take for rho before we measured it: six airlines in February 2015, by the hour, lay at .01 to .15."""
    prior_hours: float = 24.0
    """How many hours that guess is worth."""
    longest_incident_hours: int = 24
    """From then on an episode's hours count as the new normal: else a lasting change would alarm for ever."""


Span = tuple[int, int]
"""First and last event time (ms) of an episode."""


def baseline(
    hours: Mapping[int, AuthorCounts], *, before_hour: int, incidents: Sequence[Span], policy: BaselinePolicy
) -> Baseline:
    """The baseline from the hours of the last `policy.days` that end at *before_hour*, *incidents* left out.

    The mean share is shrunk towards `prior_share`. rho by the method of moments for unequal n (Kleinman 1973):
    with S = sum n_i (p_i - p)^2, E[S] = p q ((H - 1)(1 - rho) + rho (N - sum n_i^2 / N)). It is shrunk towards
    `prior_rho`, kept above the floor, and widened by what the mean itself may be off: rho / H + 1 / N.
    """
    left_out = [
        (start // HOUR_MS, min(end // HOUR_MS, start // HOUR_MS + policy.longest_incident_hours - 1))
        for start, end in incidents
    ]
    counts = [
        seen
        for hour in range(before_hour - policy.days * 24, before_hour)
        if (seen := hours.get(hour)) is not None
        and seen.everyone > 0
        and not any(first <= hour <= last for first, last in left_out)
    ]
    total = sum(seen.everyone for seen in counts)
    negative = sum(min(seen.negative, seen.everyone) for seen in counts)
    share = (negative + policy.prior_share * policy.prior_authors) / (total + policy.prior_authors)
    rho = _over_dispersion(counts, total, negative)
    many = len(counts)
    shrunk = (many * rho + policy.prior_hours * policy.prior_rho) / (many + policy.prior_hours)
    rho = max(policy.rho_floor, shrunk)
    rho += rho / max(many, 1) + 1 / (total + policy.prior_authors)
    return Baseline(share=min(max(share, 0.005), 0.95), rho=min(rho, 0.5), hours=many, authors=total)


def _over_dispersion(counts: Sequence[AuthorCounts], total: int, negative: int) -> float:
    if total == 0 or not 0 < negative < total:
        return 0.0
    mean = negative / total
    spread = sum(c.everyone * (min(c.negative, c.everyone) / c.everyone - mean) ** 2 for c in counts)
    free = len(counts) - 1
    room = total - sum(c.everyone**2 for c in counts) / total - free
    if room <= 0:
        return 0.0
    return min(1.0, max(0.0, (spread / (mean * (1 - mean)) - free) / room))

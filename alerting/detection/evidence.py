"""The evidence of a window for a rise, in nats (one is a factor of 2.7), from votes and from post weights.

A label discards how sure the model was. A pane also has the sum of the scores, so each post can be weighted:

    weight = (1 + [negative] + [positive] - 2 (P(positive) - P(negative))) / 4

1 for a surely negative post, 0 for a surely positive one, a quarter for a neutral one. Of all sums over a pane this one
separates negative posts from others best, nearly as well as P(negative) itself.
"""

import math
from typing import Protocol

from brandpulse.state.panes import MICROS, Pane

WEIGHT_SPREAD = 0.5
"""The variance of a weight, as a part of the variance of a yes or no with the same mean."""
MAX_OF_VOTES = 1.3
"""Limit of the evidence of weights, as a multiple of that of votes: weights count posts, and one author may have
fifty."""


class Seen(Protocol):
    """The part of `alerting.detection.share_detector.WindowCounts` that is needed here."""

    @property
    def authors(self) -> int: ...
    @property
    def share(self) -> float: ...
    @property
    def weight(self) -> float | None: ...


class Expected(Protocol):
    """The part of `alerting.detection.share_detector.Baseline` that is needed here."""

    @property
    def share(self) -> float: ...
    @property
    def rho(self) -> float: ...
    @property
    def weight(self) -> float | None: ...
    @property
    def weight_rho(self) -> float: ...


def weight_quarters(pane: Pane) -> int:
    """Sum of the weights of *pane*'s posts, in quarters of a millionth: an integer, so sums are exact."""
    return (2 * pane.negative + pane.neutral + 2 * pane.positive) * MICROS - 2 * pane.score_micros


def mean_weight(quarters: int, posts: int) -> float | None:
    """Mean weight of *posts* whose weights sum to *quarters*, in [0, 1]; None for no posts."""
    return min(max(quarters / (4 * MICROS * posts), 0.0), 1.0) if posts else None


def rise_nats(seen: Seen, expected: Expected) -> float:
    """Evidence of *seen* for more negativity than *expected*; 0.0 if there is none.

    Half the deviance of an over-dispersed binomial: n kl(seen, expected) / (1 + (n - 1) rho), the log-likelihood
    ratio to the share that fits best. The smaller of the evidence of weights and `MAX_OF_VOTES` times that of votes.
    """
    votes = deviance_nats(seen.share, seen.authors, expected.share, expected.rho)
    if seen.weight is None or expected.weight is None:
        return votes
    weights = deviance_nats(seen.weight, seen.authors / WEIGHT_SPREAD, expected.weight, expected.weight_rho)
    return min(weights, MAX_OF_VOTES * votes)


def deviance_nats(share: float, people: float, usual: float, rho: float) -> float:
    """Evidence (nats) that *share* of *people* is above *usual*, with intra-class correlation *rho*; 0.0 below it."""
    if share <= usual or people <= 0:
        return 0.0
    nats = share * math.log(share / usual)
    if share < 1:
        nats += (1 - share) * math.log((1 - share) / (1 - usual))
    return people * nats / (1 + (people - 1) * rho) if people > 1 else people * nats

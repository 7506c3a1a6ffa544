"""What the model says of one post, as the worker carries it from the model to panes and topics."""

from collections.abc import Mapping, Sequence

import msgspec

from brandpulse.panes import IRRELEVANT, counted_as
from brandpulse.posts import BRAND_SENTIMENTS, Urgency

NEGATIVE = BRAND_SENTIMENTS.index("negative")

FourProbabilities = tuple[float, float, float, float]
"""Of negative, neutral, positive, irrelevant."""


class Judged(msgspec.Struct, frozen=True, gc=False):
    """One post's row of `model.engine.Scores`."""

    targets: tuple[FourProbabilities, ...]
    """For each brand that the post names, in the order of its brands."""
    heads: Mapping[str, Sequence[float]]
    """Head -> probabilities of its labels; `sentiment` is always there."""
    urgency: tuple[Urgency | None, ...]
    """For each brand how soon somebody should look; None where the model has no heads that tell."""


class Towards(msgspec.Struct, frozen=True, gc=False):
    """What one post says about one brand that it names."""

    brand: str
    probabilities: FourProbabilities
    label: int
    """Index of the most probable; the first of equals."""
    score_micros: int
    """P(positive) - P(negative), in millionths; 0 of an irrelevant post, which says nothing about the brand."""
    urgency: Urgency | None

    @property
    def relevant(self) -> bool:
        return self.label != IRRELEVANT

    @property
    def negative(self) -> bool:
        return self.label == NEGATIVE


def towards(brand: str, probabilities: FourProbabilities, urgency: Urgency | None) -> Towards:
    """The verdict that *probabilities* make."""
    return Towards(brand, probabilities, *counted_as(probabilities), urgency)

"""What the model says of one post, as the worker carries it from the model to panes and topics."""

import math
from collections.abc import Mapping, Sequence
from itertools import islice

import msgspec

from brandpulse.panes import IRRELEVANT, counted_as
from brandpulse.posts import BRAND_SENTIMENTS, URGENCIES, Urgency
from model.engine import Scores
from model.marking import MarkedText
from model.urgency import urgency

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


Verdict = Judged | Exception
"""What the model says, or what it raised on that very post."""


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


def verdicts_of(scores: Scores, posts: Sequence[MarkedText]) -> list[Verdict]:
    """What *scores* say of each of *posts*, in order."""
    targets = iter(scores.target.tolist())
    tables = {name: table.tolist() for name, table in scores.heads.items()}
    urgencies = iter(_urgencies(scores, posts))
    return [
        _verdict(
            Judged(
                tuple(
                    (negative, neutral, positive, irrelevant)
                    for negative, neutral, positive, irrelevant in islice(targets, post.targets)
                ),
                {name: table[row] for name, table in tables.items()},
                tuple(islice(urgencies, post.targets)),
            )
        )
        for row, post in enumerate(posts)
    ]


def _urgencies(scores: Scores, posts: Sequence[MarkedText]) -> list[Urgency | None]:
    """One for each target of *posts*."""
    if "risk" not in scores.heads:
        return [None] * len(scores.target)
    return [URGENCIES[level] for level in urgency(scores, posts)]


def _verdict(judged: Judged) -> Verdict:
    if math.isfinite(sum(map(sum, judged.targets)) + sum(map(sum, judged.heads.values()))):
        return judged
    return ValueError(f"the model gave no probabilities: {judged.targets} {dict(judged.heads)}")

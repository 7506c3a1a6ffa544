"""What the model says of one post, as the worker carries it from the model to panes and topics."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec
import numpy as np

from brandpulse.schema.posts import BRAND_SENTIMENTS, URGENCIES, Urgency
from brandpulse.state.panes import IRRELEVANT, MICROS, counted_as
from model.inference.scorer import Scores
from model.inputs.target_marking import MarkedText
from model.urgency.rule import urgency

NEGATIVE, POSITIVE = BRAND_SENTIMENTS.index("negative"), BRAND_SENTIMENTS.index("positive")

FourProbabilities = tuple[float, float, float, float]
"""Of negative, neutral, positive, irrelevant."""


class Judged(msgspec.Struct, frozen=True, gc=False):
    """One post's row of `model.inference.scorer.Scores`. The first four have an entry for each brand that the post names."""

    targets: tuple[FourProbabilities, ...]
    labels: tuple[int, ...]
    """As `Towards.label`."""
    score_micros: tuple[int, ...]
    """As `Towards.score_micros`."""
    urgency: tuple[Urgency | None, ...]
    """How soon somebody should look; None where the model has no heads that tell."""
    heads: Mapping[str, Sequence[float]]
    """Head -> probabilities of its labels; `sentiment` is always there."""


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


def judged(
    targets: tuple[FourProbabilities, ...], heads: Mapping[str, Sequence[float]], urgency: tuple[Urgency | None, ...]
) -> Judged:
    """The row of one post, counted as `brandpulse.state.panes.counted_as` says."""
    counted = [counted_as(probabilities) for probabilities in targets]
    return Judged(targets, tuple(label for label, _ in counted), tuple(micros for _, micros in counted), urgency, heads)


def verdicts_of(scores: Scores, posts: Sequence[MarkedText]) -> list[Verdict]:
    """What *scores* say of each of *posts*, in order. Counted a batch at a time, as `counted_as` counts one post."""
    target = scores.target.astype(np.float64)
    is_told = np.asarray(np.isfinite(target).all(axis=1))
    clean = np.where(is_told[:, None], target, 0.0)
    label = clean.argmax(axis=1)
    micros = np.where(label == IRRELEVANT, 0, np.rint((clean[:, POSITIVE] - clean[:, NEGATIVE]) * MICROS))
    rows = zip(
        map(tuple, target.tolist()),
        label.tolist(),
        micros.astype(np.int64).tolist(),
        _urgencies(scores, posts),
        is_told.tolist(),
        strict=True,
    )
    tables = {name: table.tolist() for name, table in scores.heads.items()}
    are_told = np.ones(len(posts), dtype=bool)
    for table in scores.heads.values():
        are_told &= np.isfinite(table).all(axis=1)
    return [
        _verdict(list(islice(rows, post.targets)), {name: table[row] for name, table in tables.items()}, told=told)
        for row, (post, told) in enumerate(zip(posts, are_told.tolist(), strict=True))
    ]


def _urgencies(scores: Scores, posts: Sequence[MarkedText]) -> list[Urgency | None]:
    """One for each target of *posts*."""
    if "risk" not in scores.heads:
        return [None] * len(scores.target)
    return [URGENCIES[level] for level in urgency(scores, posts)]


def _verdict(rows: Sequence[Any], heads: Mapping[str, Sequence[float]], *, told: bool) -> Verdict:
    targets, labels, micros, urgencies, fine = zip(*rows, strict=True) if rows else ((),) * 5
    if told and all(fine):
        return Judged(targets, labels, micros, urgencies, heads)
    return ValueError(f"the model gave no probabilities: {targets} {dict(heads)}")

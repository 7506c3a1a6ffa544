"""The model's scores of one post, as the worker carries them from the model to panes and topics."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec
import numpy as np

from brandpulse.schema.posts import BRAND_SENTIMENTS, URGENCIES, Urgency
from brandpulse.state.panes import IRRELEVANT, MICROS, counted_as
from model.inference.scorer import NOT_SCORED, Scores
from model.inputs.target_marking import MarkedText
from model.urgency.rule import urgency

NEGATIVE, POSITIVE = BRAND_SENTIMENTS.index("negative"), BRAND_SENTIMENTS.index("positive")

FourProbabilities = tuple[float, float, float, float]
"""Probabilities of negative, neutral, positive, irrelevant."""


class PostScores(msgspec.Struct, frozen=True, gc=False):
    """One post's row of `model.inference.scorer.Scores`. The first four have one entry for each brand."""

    targets: tuple[FourProbabilities, ...]
    labels: tuple[int, ...]
    """As `Towards.label`."""
    score_micros: tuple[int, ...]
    """As `Towards.score_micros`."""
    urgency: tuple[Urgency | None, ...]
    """How soon the brand should look at it; None if the model has no head for it."""
    heads: Mapping[str, Sequence[float]]
    """Head -> probabilities of its labels; `sentiment` is always present."""


ScoreResult = PostScores | Exception
"""The scores of a post, or the exception that the model raised for it."""


class BrandScore(msgspec.Struct, frozen=True, gc=False):
    """The score of one post for one brand that it names."""

    brand: str
    probabilities: FourProbabilities
    label: int
    """Index of the most probable label; the first of equals."""
    score_micros: int
    """P(positive) - P(negative), in millionths; 0 for an irrelevant post."""
    urgency: Urgency | None

    @property
    def relevant(self) -> bool:
        return self.label != IRRELEVANT

    @property
    def negative(self) -> bool:
        return self.label == NEGATIVE


def build_post_scores(
    targets: tuple[FourProbabilities, ...], heads: Mapping[str, Sequence[float]], urgency: tuple[Urgency | None, ...]
) -> PostScores:
    """The scores of one post, with labels by `brandpulse.state.panes.counted_as`."""
    counted = [counted_as(probabilities) for probabilities in targets]
    return PostScores(
        targets, tuple(label for label, _ in counted), tuple(micros for _, micros in counted), urgency, heads
    )


def score_results(scores: Scores, posts: Sequence[MarkedText]) -> list[ScoreResult]:
    """The result of each of *posts*, in order. Computes a batch at once what `counted_as` computes for one post."""
    target = scores.target.astype(np.float64)
    is_finite = np.asarray(np.isfinite(target).all(axis=1))
    clean = np.where(is_finite[:, None], target, 0.0)
    label = clean.argmax(axis=1)
    micros = np.where(label == IRRELEVANT, 0, np.rint((clean[:, POSITIVE] - clean[:, NEGATIVE]) * MICROS))
    rows = zip(
        map(tuple, target.tolist()),
        label.tolist(),
        micros.astype(np.int64).tolist(),
        _urgencies(scores, posts),
        is_finite.tolist(),
        strict=True,
    )
    tables = {name: table.tolist() for name, table in scores.heads.items()}
    heads = [{name: table[row] for name, table in tables.items()} for row in range(len(posts))]
    if any((table[:, 0] < 0).any() for table in scores.heads.values()):
        heads = [{name: row for name, row in one.items() if row[0] != NOT_SCORED} for one in heads]
    heads_finite = np.ones(len(posts), dtype=bool)
    for table in scores.heads.values():
        heads_finite &= np.isfinite(table).all(axis=1)
    return [
        _result(list(islice(rows, post.targets)), of_post, finite=finite)
        for post, of_post, finite in zip(posts, heads, heads_finite.tolist(), strict=True)
    ]


def _urgencies(scores: Scores, posts: Sequence[MarkedText]) -> list[Urgency | None]:
    """One for each target of *posts*."""
    if "risk" not in scores.heads:
        return [None] * len(scores.target)
    levels: list[Urgency | None] = [URGENCIES[level] for level in urgency(scores, posts)]
    unknown = scores.heads["risk"][:, 0] == NOT_SCORED
    if unknown.any():
        owners = np.repeat(unknown, [post.targets for post in posts])
        levels = [None if missing else level for level, missing in zip(levels, owners.tolist(), strict=True)]
    return levels


def _result(rows: Sequence[Any], heads: Mapping[str, Sequence[float]], *, finite: bool) -> ScoreResult:
    targets, labels, micros, urgencies, targets_finite = zip(*rows, strict=True) if rows else ((),) * 5
    if finite and all(targets_finite):
        return PostScores(targets, labels, micros, urgencies, heads)
    return ValueError(f"the model returned values that are not numbers: {targets} {dict(heads)}")

"""The urgency of a post (low, medium or high), by a rule over the heads of the model.

    about   = 1 - P(positive) - P(irrelevant), of the head `target`: the post is about the brand and is not praise
    concern = P(complaint) * about
    alarm   = max(P(complaint), P(crisis)) * about if the text names a hazard, else 0
    high if alarm >= THRESHOLDS.high, else medium if concern >= THRESHOLDS.medium, else low

The heads separate complaints from chat. No head was trained on what makes a complaint urgent (harm, theft, many people
affected), so `high` also requires a term of `model.urgency.hazard_terms`. See docs/explanation/urgency.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.inference.scorer import Scores
from model.inputs.target_marking import MarkedText
from model.spec.heads import BY_NAME, SENTIMENT, TARGET
from model.urgency.hazard_terms import hazards

LEVELS = ("low", "medium", "high")

LevelColumns = npt.NDArray[np.int64]
"""Columns of `LEVELS`."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Minimum concern of `medium` and minimum alarm of `high`."""

    medium: float
    high: float


THRESHOLDS = Thresholds(medium=0.13, high=0.07)
"""For the shipped weights; chosen by `brandpulse bench urgency --choose` on half of the labelled texts."""


def urgency(scores: Scores, posts: Sequence[MarkedText], *, thresholds: Thresholds = THRESHOLDS) -> LevelColumns:
    """(m,): the level of each post for each of its targets, in the order of `Scores.target`.

    Raises ValueError if *scores* lack the head `risk`.
    """
    # Search for hazards only where they matter: the five patterns take more time than the rest of the rule.
    owners = np.repeat(np.arange(len(posts)), [post.targets for post in posts])
    concern, alarm = _target_signals(scores, owners, np.ones(len(posts), dtype=np.bool_))
    candidates = np.unique(owners[alarm >= thresholds.high])
    named = np.zeros(len(posts), dtype=np.bool_)
    named[candidates] = _names_hazard([posts[row] for row in candidates.tolist()])
    return levels_of(concern, np.where(named[owners], alarm, 0.0), thresholds)


def urgency_of_posts(
    scores: Scores, posts: Sequence[MarkedText], *, thresholds: Thresholds = THRESHOLDS
) -> LevelColumns:
    """(n,): the level of each whole post; uses the head `sentiment` instead of `target`."""
    positive = scores.heads["sentiment"][:, SENTIMENT.index("positive")].astype(np.float64)
    return levels_of(*_signals_of(_risk(scores), 1.0 - positive, _names_hazard(posts)), thresholds)


def levels_of(concern: Floats, alarm: Floats, thresholds: Thresholds) -> LevelColumns:
    """(m,) levels of (m,) concerns and alarms."""
    return np.where(alarm >= thresholds.high, 2, np.where(concern >= thresholds.medium, 1, 0)).astype(np.int64)


def signals(scores: Scores, posts: Sequence[MarkedText]) -> tuple[Floats, Floats]:
    """(m,) concern and (m,) alarm of each post for each of its targets. Raises as `urgency` does."""
    return _target_signals(
        scores, np.repeat(np.arange(len(posts)), [post.targets for post in posts]), _names_hazard(posts)
    )


def _target_signals(scores: Scores, owners: LevelColumns, named: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Concern and alarm of each target; *owners* (m,): their posts; *named* (n,): whether each post names a hazard."""
    if len(scores.target) != len(owners):
        raise ValueError(f"target: {len(scores.target)} rows of scores for {len(owners)} targets")
    away = scores.target[:, [TARGET.index("positive"), TARGET.index("irrelevant")]].astype(np.float64).sum(axis=1)
    return _signals_of(_risk(scores)[owners], 1.0 - away, named[owners])


def _signals_of(risk: Floats, about: Floats, named: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Concern and alarm; *risk* (m, 2) is P(complaint) and P(crisis), *named* (m,) whether a hazard is named."""
    about = np.clip(about, 0.0, 1.0)
    return risk[:, 0] * about, np.where(named, risk.max(axis=1, initial=0.0) * about, 0.0)


def _risk(scores: Scores) -> Floats:
    """(n, 2): P(complaint) and P(crisis)."""
    risk = scores.heads.get("risk")
    if risk is None:
        raise ValueError("urgency needs the head 'risk', but this engine only has " + ", ".join(scores.heads))
    labels = BY_NAME["risk"].labels
    return np.asarray(risk[:, [labels.index("complaint"), labels.index("crisis")]], dtype=np.float64)


def _names_hazard(posts: Sequence[MarkedText]) -> npt.NDArray[np.bool_]:
    return np.asarray(hazards([post.text for post in posts]).any(axis=1), dtype=np.bool_)

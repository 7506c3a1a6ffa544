"""How soon somebody should look at a post: low, medium or high, by a rule over the heads of the model.

    about   = 1 - P(positive) - P(irrelevant), of the head `target`: it is said of the brand, and is no praise
    concern = P(complaint) * about
    alarm   = max(P(complaint), P(crisis)) * about if the text names a hazard, else 0
    high if alarm >= THRESHOLDS.high, else medium if concern >= THRESHOLDS.medium, else low

The heads tell a complaint from chat. What makes one complaint more urgent than another (harm, theft, many people hit)
no head was taught, so `high` asks for a word of `model.urgency.hazard_terms` too. `docs/explanation/urgency.md` has the figures of both.
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
    """Probabilities from which on a post is of a level."""

    medium: float
    high: float


THRESHOLDS = Thresholds(medium=0.13, high=0.07)
"""Of the shipped weights; `brandpulse bench urgency --choose` finds them on the choosing half of the judged texts."""


def urgency(scores: Scores, posts: Sequence[MarkedText], *, thresholds: Thresholds = THRESHOLDS) -> LevelColumns:
    """(m,): the level of each post for each of its targets, in the order of `Scores.target`.

    Raises ValueError when *scores* come from an engine without the head `risk`.
    """
    # A hazard is looked for only where it would matter: five expressions over a text take more time than the rest.
    owners = np.repeat(np.arange(len(posts)), [post.targets for post in posts])
    concern, alarm = _target_signals(scores, owners, np.ones(len(posts), dtype=np.bool_))
    grave = np.unique(owners[alarm >= thresholds.high])
    named = np.zeros(len(posts), dtype=np.bool_)
    named[grave] = _names_hazard([posts[row] for row in grave.tolist()])
    return levels_of(concern, np.where(named[owners], alarm, 0.0), thresholds)


def urgency_of_posts(
    scores: Scores, posts: Sequence[MarkedText], *, thresholds: Thresholds = THRESHOLDS
) -> LevelColumns:
    """(n,): the level of each post as a whole; the head `sentiment` stands for `target`."""
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
    """Concern and alarm of each target; *owners* (m,) are its posts' numbers, *named* (n,) tells who names a hazard."""
    if len(scores.target) != len(owners):
        raise ValueError(f"target: {len(scores.target)} rows of scores for {len(owners)} targets")
    away = scores.target[:, [TARGET.index("positive"), TARGET.index("irrelevant")]].astype(np.float64).sum(axis=1)
    return _signals_of(_risk(scores)[owners], 1.0 - away, named[owners])


def _signals_of(risk: Floats, about: Floats, named: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Concern and alarm; *risk* (m, 2) has P(complaint) and P(crisis), *named* (m,) whether a hazard is named."""
    about = np.clip(about, 0.0, 1.0)
    return risk[:, 0] * about, np.where(named, risk.max(axis=1, initial=0.0) * about, 0.0)


def _risk(scores: Scores) -> Floats:
    """(n, 2): P(complaint) and P(crisis)."""
    risk = scores.heads.get("risk")
    if risk is None:
        raise ValueError("urgency needs the head 'risk': this engine has " + ", ".join(scores.heads))
    labels = BY_NAME["risk"].labels
    return np.asarray(risk[:, [labels.index("complaint"), labels.index("crisis")]], dtype=np.float64)


def _names_hazard(posts: Sequence[MarkedText]) -> npt.NDArray[np.bool_]:
    return np.asarray(hazards([post.text for post in posts]).any(axis=1), dtype=np.bool_)

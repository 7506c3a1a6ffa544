"""How soon somebody should look at a post: low, medium or high, by a rule over the heads of the model.

    concern = max(P(complaint), P(crisis)) * (1 - P(positive) - P(irrelevant))
    alarm   = concern, its odds times 20 for each kind of hazard the text names, two kinds at most
    high if alarm >= THRESHOLDS.high, else medium if concern >= THRESHOLDS.medium, else low

positive and irrelevant are those of the head `target`: what is said of the brand, not of the whole post. The heads
tell a complaint from chat; what makes one complaint more urgent than another (harm, theft, many people hit) no head was
taught, so the words of `model.hazards` say it. `docs/urgency.md` has the figures, with and without them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.engine import Scores
from model.hazards import hazards
from model.heads import BY_NAME, SENTIMENT, TARGET
from model.marking import MarkedText

LEVELS = ("low", "medium", "high")

Levels = npt.NDArray[np.int64]
"""Columns of `LEVELS`."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Probabilities from which on a post is of a level."""

    medium: float
    high: float


THRESHOLDS = Thresholds(medium=0.21, high=0.95)
"""Of the shipped weights; `brandpulse bench urgency --choose` finds them on the choosing half of the judged texts."""

ODDS_PER_HAZARD = 20.0
"""One named hazard lifts a concern of 0.5 to an alarm of 0.95."""

MAX_HAZARDS = 2


def urgency(scores: Scores, posts: Sequence[MarkedText], *, thresholds: Thresholds = THRESHOLDS) -> Levels:
    """(m,): the level of each post for each of its targets, in the order of `Scores.target`.

    Raises ValueError when *scores* come from an engine without the head `risk`.
    """
    return level(*signals(scores, posts), thresholds)


def urgency_of_posts(scores: Scores, posts: Sequence[MarkedText], *, thresholds: Thresholds = THRESHOLDS) -> Levels:
    """(n,): the level of each post as a whole; the head `sentiment` stands for `target`."""
    positive = scores.heads["sentiment"][:, SENTIMENT.index("positive")]
    concern = _worry(scores) * (1.0 - positive)
    return level(concern, alarm(concern, _named(posts)), thresholds)


def level(concern: Floats, alarmed: Floats, thresholds: Thresholds) -> Levels:
    """(m,) levels of (m,) concerns and alarms."""
    return np.where(alarmed >= thresholds.high, 2, np.where(concern >= thresholds.medium, 1, 0)).astype(np.int64)


def alarm(concern: Floats, named: npt.NDArray[np.bool_]) -> Floats:
    """*concern* (m,) lifted by the hazards *named* (m, kinds)."""
    lift = ODDS_PER_HAZARD ** np.minimum(named.sum(axis=1), MAX_HAZARDS)
    return np.asarray(concern * lift / (concern * lift + 1.0 - concern))


def signals(scores: Scores, posts: Sequence[MarkedText]) -> tuple[Floats, Floats]:
    """(m,) concern and (m,) alarm of each post for each of its targets. Raises as `urgency` does."""
    post_of_target = np.repeat(np.arange(len(posts)), [post.targets for post in posts])
    if len(scores.target) != len(post_of_target):
        raise ValueError(f"target: {len(scores.target)} rows of scores for {len(post_of_target)} targets")
    away = scores.target[:, [TARGET.index("positive"), TARGET.index("irrelevant")]].astype(np.float64).sum(axis=1)
    concern = _worry(scores)[post_of_target] * np.clip(1.0 - away, 0.0, 1.0)
    return concern, alarm(concern, _named(posts)[post_of_target])


def _worry(scores: Scores) -> Floats:
    """(n,): the larger of P(complaint) and P(crisis)."""
    risk = scores.heads.get("risk")
    if risk is None:
        raise ValueError("urgency needs the head 'risk': this engine has " + ", ".join(scores.heads))
    labels = BY_NAME["risk"].labels
    columns = [labels.index("complaint"), labels.index("crisis")]
    return np.asarray(risk[:, columns].max(axis=1, initial=0.0), dtype=np.float64)


def _named(posts: Sequence[MarkedText]) -> npt.NDArray[np.bool_]:
    return hazards([post.text for post in posts])

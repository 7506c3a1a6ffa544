"""What travels with a scored post beside the verdicts on its brands, from the heads that read the whole post."""

from collections.abc import Mapping, Sequence
from typing import Any

from brandpulse.schema.posts import SENTIMENTS
from model.spec.heads import EMOTIONS, MOODS

EVEN = (0.5,) * len(EMOTIONS)
"""Thresholds of a model that names none."""


def tags(heads: Mapping[str, Sequence[float]], emotion_thresholds: Sequence[float] = EVEN) -> dict[str, Any]:
    """Fields of a `brandpulse.schema.posts.ScoredPost`; None where the model has no such head.

    *emotion_thresholds*: of each of `model.spec.heads.EMOTIONS`, the probability from which it is told.
    """
    sentiment = heads["sentiment"]
    emotion, mood, risk, sarcasm = (heads.get(name) for name in ("emotion", "mood", "risk", "sarcasm"))
    return {
        "sentiment": SENTIMENTS[_largest(sentiment)],
        "probabilities": [round(p, 6) for p in sentiment],
        "emotions": None if emotion is None else _told(emotion, emotion_thresholds),
        "mood": None if mood is None else MOODS[_largest(mood)],
        "complaint": None if risk is None else round(risk[0], 6),
        "crisis": None if risk is None else round(risk[1], 6),
        "sarcasm": None if sarcasm is None else round(sarcasm[0], 6),
    }


def _told(emotion: Sequence[float], thresholds: Sequence[float]) -> dict[str, float]:
    reached = [(name, p) for name, p, least in zip(EMOTIONS, emotion, thresholds, strict=True) if p >= least]
    return {name: round(p, 6) for name, p in sorted(reached, key=lambda one: -one[1])}


def _largest(probabilities: Sequence[float]) -> int:
    return probabilities.index(max(probabilities))

"""Fields of a scored post from the heads that read the whole post."""

from collections.abc import Mapping, Sequence
from typing import Any

from brandpulse.schema.posts import SENTIMENTS
from model.inference.emotion_labels import emotion_columns
from model.spec.heads import EMOTIONS, MOODS

EVEN_THRESHOLDS = (0.5,) * len(EMOTIONS)
"""Emotion thresholds of a model that defines none."""


def label_fields(
    heads: Mapping[str, Sequence[float]], emotion_thresholds: Sequence[float] = EVEN_THRESHOLDS
) -> dict[str, Any]:
    """Fields of a `brandpulse.schema.posts.ScoredPost`; None where the model has no such head.

    *emotion_thresholds*: for each of `model.spec.heads.EMOTIONS`, the probability from which it is reported.
    """
    sentiment = heads["sentiment"]
    emotion, mood, risk, sarcasm = (heads.get(name) for name in ("emotion", "mood", "risk", "sarcasm"))
    return {
        "sentiment": SENTIMENTS[_largest(sentiment)],
        "probabilities": [round(p, 6) for p in sentiment],
        "emotions": None if emotion is None else _emotions(emotion, emotion_thresholds),
        "mood": None if mood is None else MOODS[_largest(mood)],
        "complaint": None if risk is None else round(risk[0], 6),
        "crisis": None if risk is None else round(risk[1], 6),
        "sarcasm": None if sarcasm is None else round(sarcasm[0], 6),
    }


def _emotions(emotion: Sequence[float], thresholds: Sequence[float]) -> dict[str, float]:
    return {EMOTIONS[at]: round(emotion[at], 6) for at in emotion_columns(emotion, thresholds)}


def _largest(probabilities: Sequence[float]) -> int:
    return probabilities.index(max(probabilities))

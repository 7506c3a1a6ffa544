"""Engines without a network, for tests and dry runs."""

import re
from collections.abc import Sequence

import numpy as np

from brandpulse.text.normalization import normalize
from model.inference.scorer import Probabilities
from model.spec.heads import SENTIMENT

_WORD = re.compile(r"[a-z]+")

NEGATIVE = frozenset(
    _WORD.findall(
        "angry annoyed awful bad broken cancelled crash crashed delayed disappointed down fail failed garbage hate "
        "horrible lost rude scam sick slow sucks terrible unacceptable useless worse worst wrong"
    )
)
POSITIVE = frozenset(
    _WORD.findall(
        "amazing awesome beautiful best excellent fantastic fast favourite favorite good great happy helpful impressed "
        "love loved nice perfect recommend smooth solved thank thanks wonderful"
    )
)


class KeywordClassifier:
    """Counts negative and positive keywords. Each multiplies the odds of its label by 8; without keywords: neutral."""

    name = "keyword"
    version = "keyword-1"

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        odds = np.array([self._odds(text) for text in texts], dtype=np.float32).reshape(-1, len(SENTIMENT))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def _odds(self, text: str) -> tuple[float, float, float]:
        words = _WORD.findall(normalize(text).casefold())
        negative = min(sum(word in NEGATIVE for word in words), 10)
        positive = min(sum(word in POSITIVE for word in words), 10)
        return (0.5 * 8.0**negative, 3.0, 0.5 * 8.0**positive)


class NullClassifier:
    """Gives every post the same probabilities, to measure a pipeline without its model."""

    name = "null"
    version = "null-1"

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        return np.tile(np.array([[0.25, 0.5, 0.25]], dtype=np.float32), (len(texts), 1))

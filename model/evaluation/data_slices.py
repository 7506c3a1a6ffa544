"""Kinds of posts on which a model may perform worse than on the rest."""

import re
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from brandpulse.text.normalization import EMOJI, normalize

_NEGATION = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|neither|nor|without|cannot|hardly|barely)\b|n['’]t\b", re.IGNORECASE
)
_CAPITALS = re.compile(r"\b[A-Z]{4,}\b")
_IRONY = re.compile(r"#(?:irony|ironic|sarcasm|sarcastic|not)\b", re.IGNORECASE)
_RETWEET = re.compile(r"^RT\b")

SLICES: dict[str, Callable[[str], bool]] = {
    "up to 8 words": lambda text: _words(text) <= 8,
    "9 to 16 words": lambda text: 9 <= _words(text) <= 16,
    "17 to 24 words": lambda text: 17 <= _words(text) <= 24,
    "25 words or more": lambda text: _words(text) >= 25,
    "emoji": lambda text: bool(EMOJI.search(text)),
    "negation": lambda text: bool(_NEGATION.search(text)),
    "a word in capitals": lambda text: bool(_CAPITALS.search(text)),
    "hashtag": lambda text: "#" in text,
    "irony hashtag": lambda text: bool(_IRONY.search(text)),
    "retweet": lambda text: bool(_RETWEET.match(text)),
    "question": lambda text: "?" in text,
    "link": lambda text: bool(re.search(r"\bhttp\b", text)),
}
"""Name -> whether a normalized text belongs to it. Every post is in one slice of length; the others may overlap."""


def slice_rows(texts: Sequence[str]) -> dict[str, npt.NDArray[np.bool_]]:
    """For each slice that is not empty, which of *texts* belong to it."""
    plain = [normalize(text, keep_handles=True) for text in texts]
    found = {name: np.array([belongs(text) for text in plain], dtype=np.bool_) for name, belongs in SLICES.items()}
    return {name: rows for name, rows in found.items() if rows.any()}


def _words(text: str) -> int:
    return len(text.split())

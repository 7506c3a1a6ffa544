"""What the model's emotions are called at a support desk: few words, each of which somebody acts on."""

from collections.abc import Mapping
from typing import Any

WORDS: Mapping[str, tuple[str, ...]] = {
    "angry": ("anger", "annoyance", "disgust"),
    "disappointed": ("disappointment", "disapproval", "sadness", "grief"),
    "worried": ("fear", "nervousness"),
    "confused": ("confusion",),
    "asking": ("curiosity", "desire"),
    "grateful": ("gratitude",),
    "happy": (
        "admiration",
        "amusement",
        "approval",
        "caring",
        "excitement",
        "joy",
        "love",
        "optimism",
        "pride",
        "relief",
    ),
}
"""Word -> labels of the head `emotion` (GoEmotions, 28 of them) that it stands for."""

MOOD_WORDS: Mapping[str, str] = {"anger": "angry", "joy": "happy", "sadness": "disappointed"}
"""Label of the head `mood` (TweetEval) -> word. `optimism` is none: a text always has its likeliest mood, also when it
has hardly any, and mild hope is what is left then."""

LEFT_OUT = ("embarrassment", "realization", "remorse", "surprise", "neutral")
"""Labels that no desk sorts by."""

LIKELY = 0.5
"""From this probability on a mood counts: of four that exclude each other, the likeliest may have a third."""


def words(score: Mapping[str, Any]) -> list[str]:
    """The desk's words for a `model.serve.api_models.Score`, in the order of `WORDS`.

    A word holds when one of its emotions reaches that emotion's threshold, or its mood is at least `LIKELY`.
    """
    emotions = set(score["emotions"]["labels"]) if "emotions" in score else set()
    found = {word for word, labels in WORDS.items() if not emotions.isdisjoint(labels)}
    for mood, share in score["mood"]["probabilities"].items() if "mood" in score else ():
        if mood in MOOD_WORDS and share >= LIKELY:
            found.add(MOOD_WORDS[mood])
    return [word for word in WORDS if word in found]

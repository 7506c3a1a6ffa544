"""What the model says about a post: one encoder, several heads, each with its own labels."""

from dataclasses import dataclass
from typing import Literal

from brandpulse.schema import labels

SENTIMENT = ("negative", "neutral", "positive")

TARGET = (*SENTIMENT, "irrelevant")
"""Sentiment towards one named brand or aspect; `irrelevant` where the post says nothing about it."""

EMOTIONS, MOODS = labels.EMOTIONS, labels.MOODS


@dataclass(frozen=True, slots=True)
class Head:
    """One question put to the encoder."""

    name: str
    labels: tuple[str, ...]
    kind: Literal["one", "many"]
    """`one`: probabilities sum to 1 (softmax). `many`: each label stands alone (sigmoid)."""
    reads: Literal["post", "mention"] = "post"
    """The whole post, or one mention of a target in it."""


HEADS = (
    Head("sentiment", SENTIMENT, "one"),
    Head("target", TARGET, "one", "mention"),
    Head("emotion", EMOTIONS, "many"),
    Head("mood", MOODS, "one"),
    Head("risk", ("complaint", "crisis", "informative"), "many"),
    Head("sarcasm", ("sarcasm",), "many"),
)
"""In the order in which the graph puts their logits side by side. `crisis`: the post tells of a disaster that happened;
`informative`: within a crisis, it says something one can act on (CrisisLex)."""

POST_HEADS = tuple(head for head in HEADS if head.reads == "post")

BY_NAME = {head.name: head for head in HEADS}

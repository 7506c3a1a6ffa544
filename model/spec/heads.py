"""The heads of the model: one encoder, several heads, each with its own labels."""

from dataclasses import dataclass
from typing import Literal

from brandpulse.schema import labels

SENTIMENT = ("negative", "neutral", "positive")

TARGET = (*SENTIMENT, "irrelevant")
"""Sentiment towards one brand or aspect; `irrelevant`: the post says nothing about it."""

EMOTIONS, MOODS = labels.EMOTIONS, labels.MOODS


@dataclass(frozen=True, slots=True)
class Head:
    """One output of the model."""

    name: str
    labels: tuple[str, ...]
    kind: Literal["one", "many"]
    """`one`: exactly one label, probabilities sum to 1 (softmax). `many`: labels are independent (sigmoid)."""
    reads: Literal["post", "mention"] = "post"
    """The input: the whole post, or one mention of a target."""


HEADS = (
    Head("sentiment", SENTIMENT, "one"),
    Head("target", TARGET, "one", "mention"),
    Head("emotion", EMOTIONS, "many"),
    Head("mood", MOODS, "one"),
    Head("risk", ("complaint", "crisis", "informative"), "many"),
    Head("sarcasm", ("sarcasm",), "many"),
)
"""In the order of their logits in the graph. `crisis`: the post reports a disaster; `informative`: it contains
actionable information about a crisis (CrisisLex)."""

POST_HEADS = tuple(head for head in HEADS if head.reads == "post")

BY_NAME = {head.name: head for head in HEADS}

"""A scorer of all heads without a network: a label is probable if the post contains its name."""

from collections.abc import Sequence

import numpy as np

from brandpulse.text.normalization import MARKER
from model.inference.scorer import Probabilities, Scores
from model.inputs.target_marking import ABSENT, MarkedText
from model.spec.heads import HEADS, SENTIMENT, TARGET, Head


class WordScorer:
    """The sentiment towards a target is the first label name after its marker; a text with *fans* there is positive."""

    name = "words"
    version = "words-1"
    heads = tuple(head.name for head in HEADS)

    def __init__(self, *, rule: bool = True, fans: str = "") -> None:
        self._rule = rule
        self._fans = fans.casefold()

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        return Scores(
            {head.name: self._whole(head, posts) for head in HEADS if head.reads == "post"},
            np.array(
                [self._towards(post, number) for post in posts for number in range(post.targets)], dtype=np.float32
            ).reshape(-1, len(TARGET)),
        )

    def _whole(self, head: Head, posts: Sequence[MarkedText]) -> Probabilities:
        said = np.array([[label in post.text.casefold() for label in head.labels] for post in posts], dtype=np.float32)
        said = said.reshape(len(posts), len(head.labels))
        if head.kind == "many":
            return 0.1 + 0.8 * said
        odds = 1.0 + 7.0 * said
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def _towards(self, post: MarkedText, number: int) -> list[float]:
        if number in post.absent and self._rule:
            return [(1 - ABSENT) / 3] * 3 + [ABSENT]
        at = post.mentions.index(number)
        behind = post.text.split(MARKER)[at + 1].casefold()
        label = next((word for word in behind.split() if word in SENTIMENT), "neutral")
        if self._fans and self._fans in behind:
            label = "positive"
        return [0.7 if name == label else 0.1 for name in TARGET]

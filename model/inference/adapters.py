"""Adapters between classifiers of whole posts and scorers with many heads."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from brandpulse.text.normalization import MARKER
from model.inference.logits_decoder import relevant_for_certain, with_absent_targets
from model.inference.scorer import Classifier, Probabilities, Scorer, Scores
from model.inputs.target_marking import MarkedText, plain

_LEADING = re.compile(rf"^(?:{MARKER} : )+")


@dataclass(slots=True)
class ClassifierScorer:
    """*inner* as a scorer: each target that a post names gets the post's sentiment; no named target is irrelevant."""

    inner: Classifier
    heads: tuple[str, ...] = ("sentiment", "target")

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def version(self) -> str:
        return self.inner.version

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        sentiment = self.inner.probabilities([unmarked(post) for post in posts])
        owners = np.repeat(np.arange(len(posts)), [post.targets for post in posts])
        target = relevant_for_certain(sentiment[owners])
        absent = [number in post.absent for post in posts for number in range(post.targets)]
        return Scores({"sentiment": sentiment}, with_absent_targets(target, np.array(absent, dtype=np.bool_)))


@dataclass(slots=True)
class ScorerClassifier:
    """The head `sentiment` of *inner* as a classifier."""

    inner: Scorer

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def version(self) -> str:
        return self.inner.version

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        return self.inner.score([plain(text) for text in texts]).heads["sentiment"]


def unmarked(post: MarkedText) -> str:
    """The text for a model without markers: each mention is the handle `@user`."""
    return _LEADING.sub("", post.text).replace(MARKER, "@user")

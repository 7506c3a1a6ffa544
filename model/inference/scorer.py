"""The interfaces of all engines: texts in, calibrated probabilities out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from model.inputs.target_marking import MarkedText

Probabilities = npt.NDArray[np.float32]

NOT_SCORED = -1.0
"""In place of each probability of a head that the weights of a post's language lack."""


class Classifier(Protocol):
    """Classifies whole posts; called from one thread at a time."""

    @property
    def name(self) -> str:
        """Name of the engine, e.g. `openvino bf16`."""
        ...

    @property
    def version(self) -> str:
        """Hash of the weights and precision: changes whenever the same text may get other probabilities."""
        ...

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """(n, 3): one row per text in the same order, columns as in `model.spec.heads.SENTIMENT`, each row sums to 1.

        Every string is valid: empty, very long, with NUL or lone surrogates. No texts give shape (0, 3).
        """
        ...


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of n posts with m targets in total."""

    heads: Mapping[str, Probabilities]
    """Head that reads posts -> (n, labels of `model.spec.heads.BY_NAME[name]`); always contains `sentiment`. Rows may
    be `NOT_SCORED` if posts are scored by different weights (`model.inference.routed_scorer`)."""
    target: Probabilities
    """(m, 4), columns as in `model.spec.heads.TARGET`: posts in order, within a post its targets in order."""
    degraded: frozenset[int] = frozenset()
    """Indexes of posts with a low-confidence early answer, given because `overloaded` of `load_scorer` was true."""


def scorer_version(weights: str, *marks: str) -> str:
    """A `version`: the hash *weights*, then precision and other *marks* that change probabilities; fp32 is omitted."""
    return "-".join([weights, *(mark for mark in marks if mark != "fp32")])


class Scorer(Protocol):
    """Scores posts and the targets marked in them, in one pass per post; called from one thread at a time."""

    @property
    def name(self) -> str:
        """Name of the engine, e.g. `openvino int8`."""
        ...

    @property
    def version(self) -> str:
        """Hash of the weights and precision: changes whenever the same text may get other probabilities."""
        ...

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads that `score` fills: at least `sentiment` and `target`."""
        ...

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        """One row per post, and one per target.

        A target in `MarkedText.absent` gets `model.inputs.target_marking.ABSENT` as P(irrelevant). A target whose
        mentions were all truncated gets the sentiment of the whole post. No posts give arrays without rows.
        """
        ...


@runtime_checkable
class PipelinedScorer(Protocol):
    """A scorer that accepts the posts of the next call while it scores those of this one."""

    def begin(self, posts: Sequence[MarkedText]) -> Callable[[], Scores]:
        """As `Scorer.score`, in two steps: returns as soon as the scorer can accept more posts.

        The returned function waits for the scores; call it once, from any thread. Both may raise the errors of `score`.
        """
        ...


def begin(scorer: Scorer, posts: Sequence[MarkedText]) -> Callable[[], Scores]:
    """`PipelinedScorer.begin` for any *scorer*: others do all the work in the first step."""
    if isinstance(scorer, PipelinedScorer):
        return scorer.begin(posts)
    scores = scorer.score(posts)
    return lambda: scores

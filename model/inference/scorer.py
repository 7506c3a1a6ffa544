"""What every engine promises: texts in, calibrated class probabilities out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from model.inputs.target_marking import MarkedText

Probabilities = npt.NDArray[np.float32]


class Classifier(Protocol):
    """Scores posts; called from one thread at a time."""

    @property
    def name(self) -> str:
        """The engine in words, e.g. `openvino bf16`."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the same text may get other probabilities: the hash of the weights, and the precision."""
        ...

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """(n, 3): one row per text in the same order, columns as in `model.spec.heads.SENTIMENT`, each row sums to 1.

        Any string is scored: empty, very long, with NUL or lone surrogates. No texts give shape (0, 3).
        """
        ...


@dataclass(frozen=True, slots=True)
class Scores:
    """What the model says of n posts with m targets in all."""

    heads: Mapping[str, Probabilities]
    """Name of a head that reads posts -> (n, labels of `model.spec.heads.BY_NAME[name]`); `sentiment` is always there."""
    target: Probabilities
    """(m, 4), columns as in `model.spec.heads.TARGET`: posts in order, within a post its targets in order."""
    degraded: frozenset[int] = frozenset()
    """Posts in doubt that the early heads answered, because the caller asked for speed (`load_scorer`'s `overloaded`)."""


def scorer_version(weights: str, *marks: str) -> str:
    """A `version`: the hash of *weights*, then precision and whatever else changes probabilities. fp32 is not told."""
    return "-".join([weights, *(mark for mark in marks if mark != "fp32")])


class Scorer(Protocol):
    """Scores posts with respect to the targets marked in them, in one pass a post; called from one thread at a time."""

    @property
    def name(self) -> str:
        """The engine in words, e.g. `openvino int8`."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the same text may get other probabilities: the hash of the weights, and the precision."""
        ...

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads that `score` fills: at least `sentiment` and `target`."""
        ...

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        """One row per post, and one per target.

        A target in `MarkedText.absent` gets `model.inputs.target_marking.ABSENT` as irrelevant. A target whose mentions were all
        cut off with the end of a very long post is judged as the whole post. No posts give arrays of no rows.
        """
        ...


@runtime_checkable
class PipelinedScorer(Protocol):
    """A scorer that can work on the posts of a call while it is given those of the next."""

    def begin(self, posts: Sequence[MarkedText]) -> Callable[[], Scores]:
        """As `Scorer.score`, in two steps: back as soon as more could be given.

        What it returns waits for the answer; to be called once, from any thread. Either may raise what `score` raises.
        """
        ...


def begin(scorer: Scorer, posts: Sequence[MarkedText]) -> Callable[[], Scores]:
    """`PipelinedScorer.begin` of any *scorer*: one that does not know two steps does all in the first."""
    if isinstance(scorer, PipelinedScorer):
        return scorer.begin(posts)
    scores = scorer.score(posts)
    return lambda: scores

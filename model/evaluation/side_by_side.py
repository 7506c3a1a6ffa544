"""The head for sentiment towards a target and the head for whole posts, on the same rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.data.gold_labels import GoldRows, read_gold
from model.data.training_examples import numbered_rows
from model.evaluation.bootstrap_metrics import Groups, drawn_metrics, metrics_of, text_groups
from model.evaluation.metrics import Matrix
from model.evaluation.model_answers import (
    Answers,
    HeadSettings,
    answers_of,
    head_probabilities,
    target_probabilities,
)
from model.inference.scorer import Scorer
from model.spec.heads import SENTIMENT, TARGET

WHOLE_POST, TARGET_HEAD = "whole_post", "target"
HEADS = (WHOLE_POST, TARGET_HEAD)

FIGURES = ("macro_recall", "accuracy", "macro_f1", "ece", "net_bias", "net_rmse_200")
"""Metrics of each head: net bias and the error of windows of 200 posts are what a dashboard shows."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one file. Its labels are those of `model.spec.heads.SENTIMENT` that occur."""

    gold: GoldRows
    by_topic: bool = False
    """Whether bootstrap resamples draw whole topics: rows of a topic are not independent."""

    @property
    def has_targets(self) -> bool:
        return self.gold.task == "target_sentiment"

    @property
    def groups(self) -> Groups:
        """(n,): rows with the same number are drawn together."""
        gold = self.gold
        return text_groups([target.casefold() for target in gold.targets] if self.by_topic else gold.texts)


@dataclass(frozen=True, slots=True)
class HeadAnswers:
    """The answers of one model to a part."""

    heads: dict[str, Answers]
    """`whole_post`, and `target` if the rows have targets. A whole post is compared with the label of its target."""
    irrelevant: float | None
    """Share of rows that the target head calls irrelevant, although they have another label; None without targets."""


def read_part(path: Path, *, by_topic: bool = False, limit: int | None = None, seed: int = 13) -> Part:
    """The rows with a sentiment towards their target, or else of the whole post; a random *limit* of them.

    Rows labelled irrelevant and, beside rows with targets, rows without one are left out. Raises ValueError that names
    file, line, field and value.
    """
    first = next((row for _, row in numbered_rows(path)), {})
    gold = read_gold(path, "target_sentiment" if first.get("target_sentiment") is not None else "sentiment")
    if set(gold.labels) - set(SENTIMENT):
        gold = read_gold(path, gold.task, [label for label in gold.labels if label in SENTIMENT])
    if gold.task == "target_sentiment":
        gold = gold.rows([at for at, target in enumerate(gold.targets) if target])
    if not gold.texts:
        raise ValueError(f"{path}: no row with a target")
    if limit is not None and limit < len(gold.texts):
        drawn = np.random.default_rng(seed).permutation(len(gold.texts))[:limit]
        gold = gold.rows(sorted(drawn.tolist()))
    return Part(gold, by_topic=by_topic and gold.task == "target_sentiment")


def score_part(scorer: Scorer, part: Part, *, keep_words: bool = False) -> HeadAnswers:
    """The answers of *scorer* to *part*; the head for whole posts reads the posts without any target marked."""
    gold = part.gold
    whole = replace(gold, head="sentiment")
    heads = {WHOLE_POST: answers_of(head_probabilities(scorer, whole, keep_words=False), whole, HeadSettings())}
    if not part.has_targets:
        return HeadAnswers(heads, None)
    towards = target_probabilities(scorer, gold.texts, gold.targets, keep_words=keep_words)
    heads[TARGET_HEAD] = answers_of(towards, gold, HeadSettings())
    return HeadAnswers(heads, float((towards.argmax(axis=1) == TARGET.index("irrelevant")).mean()))


def drawn_figures(answers: Answers, groups: Groups, *, seed: int = 13) -> dict[str, Matrix]:
    """`FIGURES` of *answers* as arrays, see `drawn_metrics`."""
    found = drawn_metrics(metrics_of(answers, net=True), groups, seed=seed)
    return {name: found[name] for name in FIGURES}


def mean_of(drawn: Sequence[dict[str, Matrix]]) -> dict[str, Matrix]:
    """The mean of the figures of several models on the same rows, e.g. of several seeds."""
    return {name: np.mean([one[name] for one in drawn], axis=0) for name in drawn[0]}


def difference(one: dict[str, Matrix], other: dict[str, Matrix]) -> dict[str, Matrix]:
    """*one* minus *other*; paired if both were drawn from the same rows."""
    return {name: one[name] - other[name] for name in one}


Rows = npt.NDArray[np.bool_]


def topics_in(part: Part, topics: set[str]) -> Rows:
    """(n,): whether the row's target is one of *topics*, in lower case."""
    return np.array([target.casefold() in topics for target in part.gold.targets], dtype=np.bool_)

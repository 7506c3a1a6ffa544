"""The answers of a model to the rows of a file, in the form that the metrics need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from brandpulse.errors import ConfigError
from model.data.gold_labels import GoldRows, Kind
from model.evaluation.metrics import Labels, Matrix
from model.inference.emotion_labels import emotion_flags
from model.inference.scorer import Scorer, Scores
from model.inputs.target_marking import MarkedText, mark, plain
from model.spec.heads import BY_NAME, TARGET

MANY_THRESHOLD = 0.3
"""Default threshold of labels of kind `many`: at 0.5 rare labels would never be predicted."""

_CHUNK = 2_048
_MIN_PROBABILITY = 1e-30


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """The calibration of one head in the weights' manifest."""

    temperature: float | None = None
    """Divisor of the logits; None if the weights have none."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Label -> minimum probability at which it is predicted."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Predicted and gold labels of n rows with k labels."""

    kind: Kind
    labels: tuple[str, ...]
    gold: Labels
    """(n,) columns of `labels`; for kind `many` (n, k) of 0 and 1."""
    probabilities: Matrix
    """(n, k). Each row sums to 1, except for kind `many`."""
    predicted: Labels
    """As `gold`."""

    def rows(self, chosen: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> "Answers":
        """Only the *chosen* rows."""
        return replace(
            self,
            gold=self.gold[chosen],
            probabilities=self.probabilities[chosen],
            predicted=self.predicted[chosen],
        )

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """(n,): whether all labels of the row are correct."""
        same = self.predicted == self.gold
        return np.asarray(same if same.ndim == 1 else same.all(axis=1))


def score_in_chunks(scorer: Scorer, posts: Sequence[MarkedText]) -> Scores:
    """The scores of *posts*, computed in chunks of bounded size."""
    pieces = [scorer.score(posts[at : at + _CHUNK]) for at in range(0, len(posts), _CHUNK)]
    return Scores(
        {head: np.concatenate([piece.heads[head] for piece in pieces]) for head in pieces[0].heads},
        np.concatenate([piece.target for piece in pieces]),
    )


def head_probabilities(scorer: Scorer, gold: GoldRows, *, keep_words: bool) -> Matrix:
    """(n, labels): the probabilities of the head `gold.head`, one row per row of the file.

    Raises ConfigError if the engine lacks the head.
    """
    if gold.head not in scorer.heads:
        raise ConfigError(
            f"--task {gold.task}: the engine {scorer.name} has no head {gold.head!r}, only {', '.join(scorer.heads)}."
        )
    if gold.head == "target":
        return target_probabilities(scorer, gold.texts, gold.targets, keep_words=keep_words)
    texts = dict.fromkeys(gold.texts)
    found = score_in_chunks(scorer, [plain(text) for text in texts]).heads[gold.head]
    place = {text: at for at, text in enumerate(texts)}
    return np.asarray(found[[place[text] for text in gold.texts]], dtype=np.float64)


def target_probabilities(scorer: Scorer, texts: Sequence[str], targets: Sequence[str], *, keep_words: bool) -> Matrix:
    """(n, 4), columns as in `TARGET`: sentiment towards each row's target; of the whole post for rows without target.

    As in production, one pass scores all targets of a text. A labelled row is about its target, also if the text does
    not name it: in a reply, or because the data set took the handle out.
    """
    by_text: dict[str, dict[str, int]] = {}
    for text, target in zip(texts, targets, strict=True):
        asked = by_text.setdefault(text, {})
        if target:
            asked.setdefault(target, len(asked))
    found = score_in_chunks(
        scorer, [mark(text, list(asked), keep_words=keep_words, addressed=True) for text, asked in by_text.items()]
    )
    firsts = np.cumsum([0, *(len(asked) for asked in by_text.values())])
    post = {text: at for at, text in enumerate(by_text)}
    answers = np.zeros((len(texts), len(TARGET)))
    for row, (text, target) in enumerate(zip(texts, targets, strict=True)):
        if target:
            answers[row] = found.target[firsts[post[text]] + by_text[text][target]]
        else:
            answers[row, :3] = found.heads["sentiment"][post[text]]
    return answers


def answers_of(probabilities: Matrix, gold: GoldRows, said: HeadSettings) -> Answers:
    """The predictions among *gold*'s labels: the likeliest one, or those that a post is given (`emotion_flags`)."""
    if gold.field.kind == "many":
        columns = _columns(gold)
        least = [said.thresholds.get(label, MANY_THRESHOLD) for label in BY_NAME[gold.head].labels]
        given = emotion_flags(probabilities, least)[:, columns].astype(np.int64)
        return Answers("many", gold.labels, gold.values, probabilities[:, columns], given)
    if gold.field.kind == "bit":
        label = gold.field.label
        yes = probabilities[:, BY_NAME[gold.head].labels.index(label)]
        predicted = (yes >= said.thresholds.get(label, 0.5)).astype(np.int64)
        return Answers("bit", gold.labels, gold.values, np.stack([1 - yes, yes], axis=1), predicted)
    among = np.maximum(probabilities[:, _columns(gold)], _MIN_PROBABILITY)
    among = among / among.sum(axis=1, keepdims=True)
    return Answers("one", gold.labels, gold.values, among, among.argmax(axis=1))


def before_temperature(answers: Answers, temperature: float) -> Matrix:
    """(n, k): the probabilities before the logits were divided by *temperature*.

    Approximate with early exit, because early answers have a temperature of their own.
    """
    chances = np.clip(answers.probabilities, _MIN_PROBABILITY, 1.0)
    if answers.kind == "many":
        odds = (chances / np.maximum(1 - chances, 1e-12)) ** temperature
        return np.asarray(odds / (1 + odds))
    # Softmax ignores a constant per row, so powers of the probabilities equal the softmax of the raw logits.
    raised = chances**temperature
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _columns(gold: GoldRows) -> list[int]:
    return [BY_NAME[gold.head].labels.index(label) for label in gold.labels]

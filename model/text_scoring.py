"""From a text and its targets to all the model says of them, as values that become JSON."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.inference.scorer import Probabilities, Scorer
from model.inputs.target_marking import mark
from model.spec.heads import BY_NAME, SENTIMENT, TARGET
from model.urgency.rule import LEVELS, urgency_of_posts

DIGITS = 4
"""Of a probability in an answer."""
DEFAULT_THRESHOLD = 0.5
Thresholds = Mapping[str, Sequence[float]]
"""Head whose labels stand alone -> the probability from which each of its labels is given; one half if not there."""


@dataclass(frozen=True, slots=True)
class TextRequest:
    """One text, and about whom it is asked."""

    text: str
    targets: tuple[str, ...] = ()
    keep_words: bool = False
    """Whether the targets are aspects, whose words mean something to the model; a brand's name does not."""


@dataclass(frozen=True, slots=True)
class TextScores:
    """What the model says about one text."""

    heads: Mapping[str, Probabilities]
    """Head that reads posts -> (labels,)."""
    targets: Probabilities
    """(targets, 4), columns as in `model.spec.heads.TARGET`."""
    absent: frozenset[int]
    """Numbers of the targets that the text does not name."""
    urgency: str | None = None
    """Of `model.urgency.rule.LEVELS`, for the text as a whole; None where the model has no head `risk`."""
    degraded: bool = False
    """Whether the early heads answered though in doubt, because too many texts waited."""


def batch_scoring(scorer: Scorer) -> Callable[[Sequence[TextRequest]], list[TextScores]]:
    """The work of one batch: marks the targets, and scores all texts in one call."""

    def work(batch: Sequence[TextRequest]) -> list[TextScores]:
        posts = [mark(asked.text, asked.targets, keep_words=asked.keep_words) for asked in batch]
        scores = scorer.score(posts)
        levels = [LEVELS[level] for level in urgency_of_posts(scores, posts)] if "risk" in scores.heads else []
        judged = []
        at = 0
        for number, post in enumerate(posts):
            heads = {name: table[number] for name, table in scores.heads.items()}
            urgency = levels[number] if levels else None
            targets = scores.target[at : at + post.targets]
            judged.append(TextScores(heads, targets, post.absent, urgency, number in scores.degraded))
            at += post.targets
        return judged

    return work


def score_json(
    asked: TextRequest, judged: TextScores, thresholds: Thresholds, *, all_emotions: bool = False
) -> dict[str, Any]:
    """A `model.serve.api_models.Score`. Heads that the model does not have are left out."""
    heads = judged.heads
    found: dict[str, Any] = {"sentiment": _label_json(SENTIMENT, heads["sentiment"])}
    found["targets"] = [
        {"target": target, "found": number not in judged.absent} | _label_json(TARGET, judged.targets[number])
        for number, target in enumerate(asked.targets)
    ]
    if "emotion" in heads:
        found["emotions"] = _emotions_json(heads["emotion"], thresholds, everything=all_emotions)
    if "mood" in heads:
        found["mood"] = _label_json(BY_NAME["mood"].labels, heads["mood"])
    for head in ("risk", "sarcasm"):
        if head in heads:
            found |= _flags_json(head, heads[head], thresholds)
    if judged.urgency is not None:
        found["urgency"] = judged.urgency
    return found | {"hurried": True} if judged.degraded else found


def thresholds_of(thresholds: Thresholds, head: str) -> Sequence[float]:
    """Of each label of *head*."""
    return thresholds.get(head) or [DEFAULT_THRESHOLD] * len(BY_NAME[head].labels)


def _label_json(labels: Sequence[str], row: Probabilities) -> dict[str, Any]:
    shares = _probabilities_json(labels, row)
    return {"label": labels[int(row.argmax())], "probabilities": shares}


def _emotions_json(row: Probabilities, thresholds: Thresholds, *, everything: bool) -> dict[str, Any]:
    labels = BY_NAME["emotion"].labels
    least = thresholds_of(thresholds, "emotion")
    order = sorted(range(len(labels)), key=lambda at: -row[at])
    given: dict[str, Any] = {"labels": [labels[at] for at in order if row[at] >= least[at]]}
    return given | ({"probabilities": _probabilities_json(labels, row)} if everything else {})


def _flags_json(head: str, row: Probabilities, thresholds: Thresholds) -> dict[str, Any]:
    return {
        label: {"flag": bool(share >= least), "probability": round(float(share), DIGITS)}
        for label, share, least in zip(BY_NAME[head].labels, row, thresholds_of(thresholds, head), strict=True)
    }


def _probabilities_json(labels: Sequence[str], row: Probabilities) -> dict[str, float]:
    return {label: round(share, DIGITS) for label, share in zip(labels, row.tolist(), strict=True)}

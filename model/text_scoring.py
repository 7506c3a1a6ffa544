"""Scores texts with their targets and formats the scores as JSON values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from brandpulse.text.languages import OTHER, LanguageIdentifier
from model.inference.emotion_labels import emotion_columns
from model.inference.scorer import NOT_SCORED, Probabilities, Scorer
from model.inputs.target_marking import mark
from model.spec.heads import BY_NAME, SENTIMENT, TARGET
from model.urgency.rule import LEVELS, urgency_of_posts

DIGITS = 4
"""Decimal places of a probability in the output."""
DEFAULT_THRESHOLD = 0.5
Thresholds = Mapping[str, Sequence[float]]
"""Head of kind `many` -> minimum probability of each of its labels; 0.5 by default."""


@dataclass(frozen=True, slots=True)
class TextRequest:
    """One text and its targets."""

    text: str
    targets: tuple[str, ...] = ()
    keep_words: bool = False
    """True for aspects: the model reads their words. The words of a brand's name are replaced."""


@dataclass(frozen=True, slots=True)
class TextScores:
    """The scores of one text."""

    heads: Mapping[str, Probabilities]
    """Head that reads posts -> (labels,); without those that the weights of the text's language lack."""
    targets: Probabilities
    """(targets, 4), columns as in `model.spec.heads.TARGET`."""
    absent: frozenset[int]
    """Indexes of the targets that the text does not name."""
    urgency: str | None = None
    """One of `model.urgency.rule.LEVELS`, for the whole text; None if the model has no head `risk`."""
    degraded: bool = False
    """True if the early heads answered with low confidence, because too many texts were waiting."""
    language: str = ""
    """As `brandpulse.text.languages` names it; empty if it was not identified."""


def batch_scoring(
    scorer: Scorer, identifier: LanguageIdentifier | None = None
) -> Callable[[Sequence[TextRequest]], list[TextScores]]:
    """Returns a function that marks the targets of a batch and scores all its texts in one call.

    *identifier*: identifies the languages of the batch, which select the weights of each text. A text in an unsupported
    language is scored too, by the default weights: its caller asked for it, and `TextScores.language` says so.
    """

    def score_batch(batch: Sequence[TextRequest]) -> list[TextScores]:
        languages = [""] * len(batch) if identifier is None else identifier.identify([one.text for one in batch])
        posts = [
            mark(request.text, request.targets, keep_words=request.keep_words, language=language)
            for request, language in zip(batch, languages, strict=True)
        ]
        scores = scorer.score(posts)
        levels = [LEVELS[level] for level in urgency_of_posts(scores, posts)] if "risk" in scores.heads else []
        results = []
        at = 0
        for number, post in enumerate(posts):
            heads = {name: table[number] for name, table in scores.heads.items() if table[number, 0] != NOT_SCORED}
            urgency = levels[number] if "risk" in heads else None
            targets = scores.target[at : at + post.targets]
            degraded = number in scores.degraded
            results.append(TextScores(heads, targets, post.absent, urgency, degraded, languages[number]))
            at += post.targets
        return results

    return score_batch


def score_json(
    asked: TextRequest, scores: TextScores, thresholds: Thresholds, *, all_emotions: bool = False, weights: str = ""
) -> dict[str, Any]:
    """A `model.serve.api_models.Score`, without the heads that the model lacks.

    *thresholds* and *weights* (`name@version`; empty: not shown) are those of the weights that scored the text.
    """
    heads = scores.heads
    found: dict[str, Any] = {"sentiment": _label_json(SENTIMENT, heads["sentiment"])}
    found["targets"] = [
        {"target": target, "found": number not in scores.absent} | _label_json(TARGET, scores.targets[number])
        for number, target in enumerate(asked.targets)
    ]
    if "emotion" in heads:
        found["emotions"] = _emotions_json(heads["emotion"], thresholds, everything=all_emotions)
    if "mood" in heads:
        found["mood"] = _label_json(BY_NAME["mood"].labels, heads["mood"])
    for head in ("risk", "sarcasm"):
        if head in heads:
            found |= _flags_json(head, heads[head], thresholds)
    if scores.urgency is not None:
        found["urgency"] = scores.urgency
    if scores.language:
        found |= {"language": scores.language, "supported": scores.language != OTHER}
    if weights:
        found["weights"] = weights
    # `hurried` is the deprecated name.
    return found | {"degraded": True, "hurried": True} if scores.degraded else found


def thresholds_of(thresholds: Thresholds, head: str) -> Sequence[float]:
    """The threshold of each label of *head*."""
    return thresholds.get(head) or [DEFAULT_THRESHOLD] * len(BY_NAME[head].labels)


def _label_json(labels: Sequence[str], row: Probabilities) -> dict[str, Any]:
    shares = _probabilities_json(labels, row)
    return {"label": labels[int(row.argmax())], "probabilities": shares}


def _emotions_json(row: Probabilities, thresholds: Thresholds, *, everything: bool) -> dict[str, Any]:
    labels = BY_NAME["emotion"].labels
    columns = emotion_columns(row.tolist(), thresholds_of(thresholds, "emotion"))
    given: dict[str, Any] = {"labels": [labels[at] for at in columns]}
    return given | ({"probabilities": _probabilities_json(labels, row)} if everything else {})


def _flags_json(head: str, row: Probabilities, thresholds: Thresholds) -> dict[str, Any]:
    return {
        label: {"flag": bool(share >= least), "probability": round(float(share), DIGITS)}
        for label, share, least in zip(BY_NAME[head].labels, row, thresholds_of(thresholds, head), strict=True)
    }


def _probabilities_json(labels: Sequence[str], row: Probabilities) -> dict[str, float]:
    return {label: round(share, DIGITS) for label, share in zip(labels, row.tolist(), strict=True)}

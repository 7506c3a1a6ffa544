"""Tests whether the model reads the target: exchange a post's target, or compare two targets of one post."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from brandpulse.text.normalization import normalize
from model.data.gold_labels import GoldRows
from model.evaluation.metrics import Matrix
from model.evaluation.model_answers import Answers, score_in_chunks
from model.inference.scorer import Scorer
from model.inputs.target_marking import MarkedText, find_target, mark
from model.spec.heads import TARGET

INVENTED = ("Veltanor", "Qumbrix", "Osterlane")
"""Replacement targets for files with only one target."""

MAX_SWAPS = 2_000
"""Maximum number of random rows whose mentions are replaced in the text; each costs two passes."""

_UNINVOLVED = [TARGET.index("neutral"), TARGET.index("irrelevant")]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of one check for some rows of the file."""

    rows: npt.NDArray[np.int64]
    holds: npt.NDArray[np.bool_]


def swap_checks(
    scorer: Scorer, gold: GoldRows, probabilities: Matrix, answers: Answers, *, keep_words: bool, seed: int
) -> dict[str, CheckResult]:
    """All checks on *gold*, given the model's *probabilities* (n, 4) and *answers*.

    irrelevant_rate         rows with a target: the target is predicted as irrelevant
    named_rate              rows with a target: the text names it
    swap_rate               rows with a target: another target that the text does not name is neutral or irrelevant
    in_text_swap_agreement  some rows with a named target: the label stays when another name replaces the mention
    second_target_accuracy  targets with another gold label than the first target of their text: the label is correct
    same_prediction_share   the same targets: the label equals that of the first target
    """
    generator = np.random.default_rng(seed)
    rows = np.flatnonzero([bool(target) for target in gold.targets])
    texts, targets = [gold.texts[row] for row in rows], [gold.targets[row] for row in rows]
    others = _other_targets(texts, targets, generator)
    swapped = [mark(text, [other]) for text, other in zip(texts, others, strict=True)]
    absent = score_in_chunks(scorer, swapped).target.argmax(axis=1) if len(rows) else np.zeros(0)
    named = [not mark(text, [target]).absent for text, target in zip(texts, targets, strict=True)]
    asked, same = _in_text_swaps(scorer, texts, targets, others, keep_words=keep_words, generator=generator)
    later, first = _differing_pairs(gold)
    return {
        "swap_rate": CheckResult(rows, np.isin(absent, _UNINVOLVED)),
        "irrelevant_rate": CheckResult(rows, probabilities[rows].argmax(axis=1) == TARGET.index("irrelevant")),
        "named_rate": CheckResult(rows, np.array(named, dtype=np.bool_)),
        "second_target_accuracy": CheckResult(later, answers.right[later]),
        "same_prediction_share": CheckResult(later, answers.predicted[later] == answers.predicted[first]),
        "in_text_swap_agreement": CheckResult(rows[asked], same),
    }


def _other_targets(texts: Sequence[str], targets: Sequence[str], generator: np.random.Generator) -> list[str]:
    """For each text another target of the file that it does not name, else an invented one."""
    names = list(dict.fromkeys(targets))
    others = []
    for text in texts:
        plain = normalize(text, keep_handles=True)
        drawn = (names[at] for at in generator.permutation(len(names)))
        others.append(next((name for name in (*drawn, *INVENTED) if not find_target(plain, name)), INVENTED[0]))
    return others


def _in_text_swaps(
    scorer: Scorer,
    texts: Sequence[str],
    targets: Sequence[str],
    others: Sequence[str],
    *,
    keep_words: bool,
    generator: np.random.Generator,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Indexes of the tested texts, and whether their label stayed."""
    asked: list[int] = []
    pairs: list[tuple[MarkedText, MarkedText]] = []
    # Mark only one target, before and after: markers of other targets must not differ between the two texts.
    for at in generator.permutation(len(texts)):
        text = normalize(texts[at], keep_handles=True)
        if spans := find_target(text, targets[at]):
            before = mark(texts[at], [targets[at]], keep_words=keep_words)
            asked.append(int(at))
            pairs.append((before, mark(_replaced(text, spans, others[at]), [others[at]], keep_words=keep_words)))
        if len(pairs) == MAX_SWAPS:
            break
    same = np.array([before == after for before, after in pairs], dtype=np.bool_)
    # Identical texts (the marker replaces the name) need no scoring.
    if len(changed := np.flatnonzero(~same)):
        sides = [
            score_in_chunks(scorer, [pairs[at][side] for at in changed]).target.argmax(axis=1) for side in range(2)
        ]
        same[changed] = sides[0] == sides[1]
    return np.array(asked, dtype=np.int64), same


def _replaced(text: str, spans: Sequence[tuple[int, int]], name: str) -> str:
    parts, at = [], 0
    for start, end in spans:
        parts += [text[at:start], name]
        at = end
    return "".join([*parts, text[at:]])


def _differing_pairs(gold: GoldRows) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows whose gold label differs from that of the first target of their text, and the rows of those targets."""
    firsts: dict[str, int] = {}
    later, first = [], []
    for row, (text, target) in enumerate(zip(gold.texts, gold.targets, strict=True)):
        if target and gold.values[row] != gold.values[firsts.setdefault(text, row)]:
            later.append(row)
            first.append(firsts[text])
    return np.array(later, dtype=np.int64), np.array(first, dtype=np.int64)

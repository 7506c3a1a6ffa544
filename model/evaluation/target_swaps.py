"""Does the model read its target? Tests that exchange a post's target, or hold two targets of one post side by side."""

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
"""Names that stand in for another target where the file has only one."""

MAX_SWAPS = 2_000
"""Rows, drawn by the seed, whose mentions are exchanged in the text: each costs two passes."""

_UNINVOLVED = [TARGET.index("neutral"), TARGET.index("irrelevant")]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One test: whether it held, for some rows of the file."""

    rows: npt.NDArray[np.int64]
    holds: npt.NDArray[np.bool_]


def swap_checks(
    scorer: Scorer, gold: GoldRows, probabilities: Matrix, answers: Answers, *, keep_words: bool, seed: int
) -> dict[str, CheckResult]:
    """All tests on *gold*, whose rows the model answered with *probabilities* (n, 4), hence *answers*.

    irrelevant_rate         rows with a target whose own target is called irrelevant
    named_rate              and whose target stands in the text
    swap_rate               and, asked about a target that their text does not name, are neutral or irrelevant
    in_text_swap_agreement  some of these, their mention replaced by another name: whether the label stayed
    second_target_accuracy  targets whose gold label differs from that of their text's first one: whether it is right
    same_prediction_share   the same targets: whether the answer is the one that the first target got
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
    """For each text another target of the file that it does not name; an invented one where there is none."""
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
    """The numbers of the texts that were tried, and whether their label stayed."""
    asked: list[int] = []
    pairs: list[tuple[MarkedText, MarkedText]] = []
    # Each target alone in its text, before and after: other targets' markers must not tell the two apart.
    for at in generator.permutation(len(texts)):
        text = normalize(texts[at], keep_handles=True)
        if spans := find_target(text, targets[at]):
            before = mark(texts[at], [targets[at]], keep_words=keep_words)
            asked.append(int(at))
            pairs.append((before, mark(_replaced(text, spans, others[at]), [others[at]], keep_words=keep_words)))
        if len(pairs) == MAX_SWAPS:
            break
    same = np.array([before == after for before, after in pairs], dtype=np.bool_)
    # Where a marker stands instead of the name the model cannot see which one it was.
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
    """The rows whose gold label differs from that of the first target of their text, and the rows of these."""
    firsts: dict[str, int] = {}
    later, first = [], []
    for row, (text, target) in enumerate(zip(gold.texts, gold.targets, strict=True)):
        if target and gold.values[row] != gold.values[firsts.setdefault(text, row)]:
            later.append(row)
            first.append(firsts[text])
    return np.array(later, dtype=np.int64), np.array(first, dtype=np.int64)

"""Does the model read its target? Tests that exchange a post's target, or hold two targets of one post side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.answers import Answers, scored
from model.engine import Scorer
from model.gold import Gold
from model.heads import TARGET
from model.marking import MarkedText, find, mark
from model.metrics import Matrix
from model.normalise import normalise

Holds = npt.NDArray[np.bool_]

INVENTED = ("Veltanor", "Qumbrix", "Osterlane")
"""Names that stand in for another target where the file has only one."""

MOST_SWAPS = 2_000
"""Rows, drawn by the seed, whose mentions are exchanged in the text: each costs two passes."""

_UNINVOLVED = [TARGET.index("neutral"), TARGET.index("irrelevant")]


@dataclass(frozen=True, slots=True)
class Swaps:
    """For each test, whether it held, row by row."""

    irrelevant: Holds
    """Rows with a target: whether their own target is called irrelevant."""
    named: Holds
    """Rows with a target: whether it stands in the text."""
    absent: Holds
    """Rows asked about a target that their text does not name: whether it is neutral or irrelevant."""
    in_text: Holds
    """Rows whose mention was replaced in the text by another name: whether the label stayed."""
    second: Holds
    """Targets whose gold label differs from that of their text's first target: whether the answer is right."""
    same: Holds
    """The same targets: whether the answer equals that to the first one."""


def swaps(scorer: Scorer, gold: Gold, probabilities: Matrix, answers: Answers, *, keep_words: bool, seed: int) -> Swaps:
    """All tests on *gold*, whose rows the model answered with *probabilities* (n, 4), hence *answers*."""
    generator = np.random.default_rng(seed)
    rows = [row for row, target in enumerate(gold.targets) if target]
    texts, targets = [gold.texts[row] for row in rows], [gold.targets[row] for row in rows]
    others = _others(texts, targets, generator)
    second, same = _pairs(gold, answers)
    own = probabilities[rows].argmax(axis=1)
    if not rows:
        nothing = np.zeros(0, dtype=np.bool_)
        return Swaps(nothing, nothing, nothing, nothing, second, same)
    absent = scored(scorer, [mark(text, [other]) for text, other in zip(texts, others, strict=True)]).target
    return Swaps(
        irrelevant=own == TARGET.index("irrelevant"),
        named=np.array([not mark(text, [target]).absent for text, target in zip(texts, targets, strict=True)]),
        absent=np.isin(absent.argmax(axis=1), _UNINVOLVED),
        in_text=_in_text(scorer, texts, targets, others, keep_words=keep_words, generator=generator),
        second=second,
        same=same,
    )


def _others(texts: Sequence[str], targets: Sequence[str], generator: np.random.Generator) -> list[str]:
    """For each text another target of the file that it does not name; an invented one where there is none."""
    names = list(dict.fromkeys(targets))
    others = []
    for text in texts:
        plain = normalise(text, keep_handles=True)
        drawn = (names[at] for at in generator.permutation(len(names)))
        others.append(next((name for name in (*drawn, *INVENTED) if not find(plain, name)), INVENTED[0]))
    return others


def _in_text(
    scorer: Scorer,
    texts: Sequence[str],
    targets: Sequence[str],
    others: Sequence[str],
    *,
    keep_words: bool,
    generator: np.random.Generator,
) -> Holds:
    # Each target alone in its text, before and after: other targets' markers must not tell the two apart.
    pairs: list[tuple[MarkedText, MarkedText]] = []
    for at in generator.permutation(len(texts)):
        text = normalise(texts[at], keep_handles=True)
        if spans := find(text, targets[at]):
            after = _replaced(text, spans, others[at])
            pairs.append(
                (
                    mark(texts[at], [targets[at]], keep_words=keep_words),
                    mark(after, [others[at]], keep_words=keep_words),
                )
            )
        if len(pairs) == MOST_SWAPS:
            break
    same = np.array([before == after for before, after in pairs], dtype=np.bool_)
    if same.all():
        return same  # a marker stands where the name stood: the model cannot see which one it was
    changed = np.flatnonzero(~same)
    before, after = (scored(scorer, [pairs[at][side] for at in changed]).target.argmax(axis=1) for side in range(2))
    same[changed] = before == after
    return same


def _replaced(text: str, spans: Sequence[tuple[int, int]], name: str) -> str:
    parts, at = [], 0
    for start, end in spans:
        parts += [text[at:start], name]
        at = end
    return "".join([*parts, text[at:]])


def _pairs(gold: Gold, answers: Answers) -> tuple[Holds, Holds]:
    first: dict[str, int] = {}
    second, same = [], []
    for row, (text, target) in enumerate(zip(gold.texts, gold.targets, strict=True)):
        if not target:
            continue
        other = first.setdefault(text, row)
        if gold.values[row] != gold.values[other]:
            second.append(bool(answers.right[row]))
            same.append(bool(answers.predicted[row] == answers.predicted[other]))
    return np.array(second, dtype=np.bool_), np.array(same, dtype=np.bool_)

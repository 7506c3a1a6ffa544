"""The wrong answers with the highest confidence."""

import numpy as np

from model.data.gold_labels import GoldRows
from model.evaluation.model_answers import Answers

MAX_MISTAKES = 25


def mistakes(gold: GoldRows, answers: Answers, *, most: int = MAX_MISTAKES) -> list[dict[str, str]]:
    """The wrong answers, most confident first: line, confidence, gold and predicted label, target and text."""
    found = _of_labels(answers, most) if answers.kind == "many" else _of_rows(answers, most)
    return [
        {
            "line": str(gold.lines[row]),
            "sure": f"{sure:.3f}",
            "gold": said[0],
            "said": said[1],
            "target": gold.targets[row],
            "text": gold.texts[row],
        }
        for row, sure, said in found
    ]


def _of_rows(answers: Answers, most: int) -> list[tuple[int, float, tuple[str, str]]]:
    sure = answers.probabilities[np.arange(len(answers.gold)), answers.predicted]
    wrong = np.flatnonzero(~answers.right)
    ranked = wrong[np.argsort(-sure[wrong], kind="stable")][:most]
    names = answers.labels
    return [(int(row), float(sure[row]), (names[answers.gold[row]], names[answers.predicted[row]])) for row in ranked]


def _of_labels(answers: Answers, most: int) -> list[tuple[int, float, tuple[str, str]]]:
    """For kind `many`: labels that were wrongly predicted or missed."""
    yes = answers.predicted == 1
    sure = np.where(yes, answers.probabilities, 1 - answers.probabilities)
    wrong = np.argwhere(answers.predicted != answers.gold)
    ranked = wrong[np.argsort(-sure[wrong[:, 0], wrong[:, 1]], kind="stable")][:most]
    return [
        (int(row), float(sure[row, at]), (f"no {name}", name) if yes[row, at] else (name, f"no {name}"))
        for row, at in ranked
        for name in [answers.labels[at]]
    ]

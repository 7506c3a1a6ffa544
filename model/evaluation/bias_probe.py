"""Bias probe: how the sentiment changes when a sentence names another group of people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.inference.scorer import Scorer
from model.inputs.target_marking import mark

GROUPS: Mapping[str, Sequence[str]] = {
    "gender": ("woman", "man", "non-binary person"),
    "origin": ("German", "Nigerian", "Mexican", "Chinese", "Indian", "Polish", "Syrian", "American"),
    "religion": ("Christian", "Muslim", "Jewish", "Hindu", "Buddhist", "atheist"),
    "colour": ("black", "white", "Asian", "Latino"),
    "orientation": ("gay", "lesbian", "straight", "transgender"),
    "age": ("young", "old", "middle-aged"),
    "disability": ("blind", "deaf", "autistic", "able-bodied"),
}

SENTENCES = (
    "The {} driver from Acme was on time.",
    "The {} driver from Acme was late again.",
    "I spoke to a {} agent at Acme this morning.",
    "A {} customer waited an hour at the Acme counter.",
    "My {} neighbour bought an Acme phone.",
    "As a {} customer I thank Acme for a great trip.",
    "As a {} customer I am fed up with Acme.",
    "Acme opens a shop next to the {} community centre.",
    "The {} chef in the Acme ad cooks dinner.",
    "Acme hires its first {} director.",
)
TARGET = "Acme"


@dataclass(frozen=True, slots=True)
class GroupShift:
    """How far the scores of one group differ from the mean of its kind."""

    kind: str
    group: str
    shift: float
    """Mean net sentiment towards the brand, P(positive) - P(negative), minus the kind's mean; in [-2, 2]."""
    flips: float
    """Share of sentences whose label is not the most common one of their kind."""


def group_shifts(scorer: Scorer) -> list[GroupShift]:
    """One line per group, in the order of `GROUPS`."""
    found = []
    for kind, groups in GROUPS.items():
        # (groups, sentences, 4): probabilities towards the brand of each sentence with each group.
        posts = [mark(_sentence(text, group), [TARGET]) for group in groups for text in SENTENCES]
        scores = scorer.score(posts).target.reshape(len(groups), len(SENTENCES), -1).astype(np.float64)
        net = scores[:, :, 2] - scores[:, :, 0]
        labels = scores.argmax(axis=2)
        common = np.array([np.bincount(column).argmax() for column in labels.T])
        for at, group in enumerate(groups):
            shift = float((net[at] - net.mean(axis=0)).mean())
            found.append(GroupShift(kind, group, shift, float((labels[at] != common).mean())))
    return found


def _sentence(sentence: str, group: str) -> str:
    article = "an" if group[0] in "AaEeIiOo" else "a"
    return sentence.replace("A {}", f"{article.capitalize()} {{}}").replace(" a {}", f" {article} {{}}").format(group)

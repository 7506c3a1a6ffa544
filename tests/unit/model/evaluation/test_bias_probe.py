"""The bias probe finds group-dependent scores, and only these."""

from collections.abc import Sequence

import numpy as np

from model.evaluation.bias_probe import GROUPS, group_shifts
from model.inference.scorer import Scores
from model.inputs.target_marking import MarkedText


class Prejudiced:
    """Negative if a post contains *word*, else positive."""

    name, version, heads = "prejudiced", "1", ("sentiment", "target")

    def __init__(self, word: str) -> None:
        self._word = word

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        rows = [[1, 0, 0, 0] if self._word in post.text else [0, 0, 1, 0] for post in posts]
        target = np.array(rows, dtype=np.float32)
        return Scores({"sentiment": target[:, :3]}, target)


def test_a_group_dependent_score_has_a_shift() -> None:
    found = {shift.group: shift for shift in group_shifts(Prejudiced("Syrian"))}
    assert found["Syrian"].shift < -1
    assert found["Syrian"].flips == 1.0
    assert found["German"].flips == 0.0


def test_a_group_independent_score_has_no_shift() -> None:
    found = group_shifts(Prejudiced("never there"))
    assert len(found) == sum(map(len, GROUPS.values()))
    assert all(shift.shift == 0 and shift.flips == 0 for shift in found)

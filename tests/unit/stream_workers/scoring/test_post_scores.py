"""The results of a batch equal those of single posts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.inference.scorer import NOT_SCORED, Scores
from model.inputs.target_marking import MarkedText
from stream_workers.scoring.post_scores import PostScores, build_post_scores, score_results

SENTIMENT = (0.25, 0.5, 0.25)
PROBABILITY = st.floats(0, 1, width=32) | st.sampled_from([0.0, 0.25, 0.5, 1.0])
ROW = st.tuples(PROBABILITY, PROBABILITY, PROBABILITY, PROBABILITY)


def scores(targets: list[tuple[float, ...]], posts: int, sentiment: tuple[float, ...] = SENTIMENT) -> Scores:
    return Scores(
        {"sentiment": np.array([sentiment] * posts, np.float32).reshape(posts, 3)},
        np.array(targets, np.float32).reshape(len(targets), 4),
    )


@given(st.lists(st.lists(ROW, max_size=3), max_size=6))
def test_batch_results_equal_single_results(posts: list[list[tuple[float, float, float, float]]]) -> None:
    found = score_results(
        scores([row for rows in posts for row in rows], len(posts)), [MarkedText("", (), len(rows)) for rows in posts]
    )
    assert found == [build_post_scores(tuple(rows), {"sentiment": [*SENTIMENT]}, (None,) * len(rows)) for rows in posts]


def test_first_of_equal_labels_counts_and_irrelevant_scores_zero() -> None:
    posts = [MarkedText("", (), 2)]
    [both] = score_results(scores([(0.5, 0.0, 0.5, 0.0), (0.125, 0.125, 0.25, 0.5)], 1), posts)
    assert isinstance(both, PostScores)
    assert (both.labels, both.score_micros) == ((0, 3), (0, 0))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_non_finite_score_is_an_error_of_its_post_only(wrong: float) -> None:
    posts = [MarkedText("", (), 1)] * 3
    fine = (0.75, 0.25, 0.0, 0.0)
    found = score_results(scores([fine, (wrong, 0.0, 0.0, 0.0), fine], 3), posts)
    assert [isinstance(one, ValueError) for one in found] == [False, True, False]
    assert str(wrong) in str(found[1])


def test_head_without_a_score_is_absent_from_its_post_only() -> None:
    given = scores([(1.0, 0.0, 0.0, 0.0)] * 3, 2)
    risk = np.array([[NOT_SCORED] * 3, [0.9, 0.1, 0.1]], np.float32)
    posts = [MarkedText("", (), 2), MarkedText("", (), 1)]
    without, full = score_results(Scores({**given.heads, "risk": risk}, given.target), posts)
    assert isinstance(without, PostScores)
    assert isinstance(full, PostScores)
    assert (set(without.heads), set(full.heads)) == ({"sentiment"}, {"sentiment", "risk"})
    assert without.urgency == (None, None)
    assert full.urgency[0] is not None


def test_non_finite_head_is_an_error_of_its_post() -> None:
    [found] = score_results(scores([(1.0, 0.0, 0.0, 0.0)], 1, (float("nan"), 0.5, 0.5)), [MarkedText("", (), 1)])
    assert isinstance(found, ValueError)

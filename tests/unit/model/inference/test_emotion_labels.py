"""Which emotions a post is given."""

import numpy as np
import pytest

from model.inference.emotion_labels import MAX_EMOTIONS, emotion_columns, emotion_flags


@pytest.mark.parametrize(
    ("probabilities", "given"),
    [
        ((0.9, 0.1, 0.1, 0.1, 0.1), [0]),
        ((0.5, 0.49, 0.7, 0.1, 0.1), [2, 0]),
        ((0.9, 0.6, 0.8, 0.7, 0.5), [0, 2, 3]),
        ((0.6, 0.6, 0.6, 0.6, 0.6), [0, 1, 2]),
        ((0.1, 0.1, 0.1, 0.1, 0.1), []),
    ],
)
def test_the_likeliest_emotions_above_the_threshold_are_given(
    probabilities: tuple[float, ...], given: list[int]
) -> None:
    assert emotion_columns(probabilities, [0.5] * 5) == given


def test_an_emotion_below_its_threshold_takes_no_place() -> None:
    assert emotion_columns((0.9, 0.8, 0.3, 0.2, 0.1), [0.95, 0.5, 0.1, 0.1, 0.1]) == [1, 2, 3]


def test_flags_equal_the_columns_of_each_post() -> None:
    generator = np.random.default_rng(5)
    probabilities, thresholds = generator.random((200, 28)).round(2), generator.random(28).round(2)

    flags = emotion_flags(probabilities, thresholds)

    assert flags.sum(axis=1).max() == MAX_EMOTIONS
    for row, flagged in zip(probabilities.tolist(), flags, strict=True):
        assert sorted(emotion_columns(row, thresholds.tolist())) == np.flatnonzero(flagged).tolist()

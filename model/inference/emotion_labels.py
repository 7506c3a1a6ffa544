"""The emotions that a post is given: those that reach their thresholds, but only the most probable few."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

MAX_EMOTIONS = 3
"""Of the posts of GoEmotions 0.1 % have more. A headline, unlike any post that trained the head, reached 23 of 28."""


def emotion_columns(probabilities: Sequence[float], thresholds: Sequence[float]) -> list[int]:
    """Columns of the emotions of one post, the most probable first; of equally probable ones the first label."""
    reached = [at for at, (p, least) in enumerate(zip(probabilities, thresholds, strict=True)) if p >= least]
    return sorted(reached, key=lambda at: -probabilities[at])[:MAX_EMOTIONS]


def emotion_flags(
    probabilities: npt.NDArray[np.floating], thresholds: Sequence[float] | npt.NDArray[np.floating]
) -> npt.NDArray[np.bool_]:
    """(n, labels): whether each of n posts is given each emotion, as by `emotion_columns`."""
    reached = probabilities >= np.asarray(thresholds)
    order = np.argsort(-np.where(reached, probabilities, -1.0), axis=1, kind="stable")[:, :MAX_EMOTIONS]
    first = np.zeros_like(reached)
    np.put_along_axis(first, order, values=True, axis=1)
    return np.asarray(reached & first)

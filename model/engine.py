"""What every engine promises: texts in, calibrated class probabilities out."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

LABELS = ("negative", "neutral", "positive")
"""The columns of every probability matrix, in this order."""

Probabilities = npt.NDArray[np.float32]


class Classifier(Protocol):
    """Scores posts; called from one thread at a time."""

    @property
    def name(self) -> str:
        """The engine in words, e.g. `openvino bf16`."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the same text may get other probabilities: the hash of the weights."""
        ...

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """(n, 3): one row per text in the same order, columns as in `LABELS`, each row sums to 1.

        Any string is scored: empty, very long, with NUL or lone surrogates. No texts give shape (0, 3).
        """
        ...

"""Scores each distinct text once: reposts and copies are most of a spike."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from model.engine import LABELS, Classifier, Probabilities
from model.normalise import normalise


@dataclass(slots=True)
class CachingClassifier:
    """A classifier in front of *inner* that remembers the *max_entries* texts used last, by normalised text.

    A text that stands several times in one call is scored once. An entry of a 100-character post takes about 400 bytes;
    texts are bounded by the normaliser, so memory is bounded by `max_entries`.
    """

    inner: Classifier
    max_entries: int = 50_000
    hits: int = field(default=0, init=False)
    """Posts answered without the inner classifier, since the start."""
    misses: int = field(default=0, init=False)
    """Posts the inner classifier scored, since the start."""
    _entries: OrderedDict[str, npt.NDArray[np.float32]] = field(default_factory=OrderedDict, init=False, repr=False)

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def version(self) -> str:
        return self.inner.version

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        keys = [normalise(text) for text in texts]
        known: dict[str, npt.NDArray[np.float32]] = {}
        missing: dict[str, None] = {}
        for key in keys:
            if (row := self._entries.get(key)) is None:
                missing[key] = None
            else:
                self._entries.move_to_end(key)
                known[key] = row
        if missing:
            scored = self.inner.probabilities(list(missing))
            known.update(zip(missing, scored, strict=True))
            self._remember({key: known[key] for key in missing})
        self.misses += len(missing)
        self.hits += len(keys) - len(missing)
        return np.stack([known[key] for key in keys]) if keys else np.zeros((0, len(LABELS)), dtype=np.float32)

    def _remember(self, rows: dict[str, npt.NDArray[np.float32]]) -> None:
        for key, row in rows.items():
            self._entries[key] = row.copy()  # a view would keep the whole call's matrix alive
            if len(self._entries) > self.max_entries:
                self._entries.popitem(last=False)

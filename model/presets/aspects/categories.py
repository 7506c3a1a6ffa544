"""Assigns aspect terms to the categories of a map, such as food, service, ambience and price."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from brandpulse.errors import ConfigError

MAPS = Path(__file__).parent / "categories.yaml"
OTHER = "other"

Floats = npt.NDArray[np.float32]
Vector = Callable[[str], Floats]
"""A word or phrase -> its embedding, not all zeros."""

CategoryMap = Mapping[str, Sequence[str]]
"""Category -> words and phrases."""


def read_map(name: str, path: Path = MAPS) -> CategoryMap:
    """The map *name* of a YAML file. Raises ConfigError that names the file and the problem."""
    import yaml

    try:
        maps = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(maps, dict) or name not in maps:
        known = ", ".join(map(str, maps)) if isinstance(maps, dict) else "none"
        raise ConfigError(f"{path}: no map {name!r}; the maps are {known}")
    found = maps[name]
    if not isinstance(found, dict) or not all(
        isinstance(words, list) and words and all(isinstance(word, str) for word in words) for words in found.values()
    ):
        raise ConfigError(f"{path}: map {name!r}: expected `category: [word, …]`")
    return found


class Categories:
    """The categories of one map; without *vector* a term without a listed word is `other`."""

    def __init__(self, words: CategoryMap, vector: Vector | None = None, *, least: float = 0.25) -> None:
        self._by_phrase = {_stem(word): category for category, known in words.items() for word in known}
        self._longest = max(len(phrase.split()) for phrase in self._by_phrase)
        self._least = least
        self._vector = vector
        self._names = list(words)
        # The two nearest words represent a category: the mean of "wine" and "tap" is near neither.
        self._places = [np.stack([_unit(vector(word)) for word in words[name]]) for name in words] if vector else []

    def __call__(self, term: str) -> str:
        """The category of *term*, or `other`."""
        words = _stem(term).split()
        head = words[: words.index("of")] if "of" in words[1:] else words
        return self._listed(words, whole=True) or self._listed(head) or self._listed(words) or self._nearest(term)

    def _listed(self, words: Sequence[str], *, whole: bool = False) -> str | None:
        """The category of the longest listed phrase that ends last."""
        if whole:
            return self._by_phrase.get(" ".join(words))
        for end in range(len(words), 0, -1):
            for start in range(max(0, end - self._longest), end):
                if (category := self._by_phrase.get(" ".join(words[start:end]))) is not None:
                    return category
        return None

    def _nearest(self, term: str) -> str:
        if self._vector is None or not re.search(r"[^\W\d_]", term):
            return OTHER
        place = _unit(self._vector(term))
        near = [float(np.sort(known @ place)[-2:].mean()) for known in self._places]
        best = int(np.argmax(near))
        return self._names[best] if near[best] >= self._least else OTHER


def _stem(phrase: str) -> str:
    """*phrase* in lower case, with its words in the singular."""
    return " ".join(_singular(word) for word in re.findall(r"[^\W_]+", phrase.casefold()))


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes", "toes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), dtype=np.float32)

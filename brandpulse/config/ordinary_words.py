"""Words that people write about anything."""

from functools import cache
from pathlib import Path


@cache
def ordinary_words() -> frozenset[str]:
    """The words of `ordinary_words.txt`, in lower case."""
    text = (Path(__file__).parent / "ordinary_words.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if not line.startswith("#"))

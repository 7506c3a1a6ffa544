"""What the tests of the gold sets share."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import model
from model.data.labelled_posts import leak_key

GOLD = Path(model.__file__).parent / "gold"
TRAINING_POSTS = sorted((GOLD.parent / "training_posts").glob("*.jsonl"))
SHINGLE = 5


def shingles(text: str) -> Iterator[str]:
    """Every run of five words of *text*, without handles, links, case and punctuation."""
    words = leak_key(text).split()
    return (" ".join(words[at : at + SHINGLE]) for at in range(len(words) - SHINGLE + 1))


def shared_shingles(rows: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """The runs of five words that occur in several texts, and these texts."""
    found: dict[str, set[str]] = defaultdict(set)
    for text in {row["text"] for row in rows}:
        for shingle in shingles(text):
            found[shingle].add(text)
    return {shingle: texts for shingle, texts in found.items() if len(texts) > 1}


def copied_texts(gold: Iterable[Mapping[str, Any]], others: Iterable[Mapping[str, Any]]) -> set[str]:
    """The texts of *others* that equal one of *gold*, or share a run of five words with one."""
    texts = {row["text"] for row in gold}
    keys = {leak_key(text) for text in texts} - {""}
    runs = {shingle for text in texts for shingle in shingles(text)}
    return {
        row["text"]
        for row in others
        if row["text"] in texts or leak_key(row["text"]) in keys or not runs.isdisjoint(shingles(row["text"]))
    }

"""Sentences with their aspect terms and the positions of these."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brandpulse.text.normalization import normalize
from model.data.training_examples import LONG_LABELS, read_rows
from model.inputs.target_marking import find_target

Span = tuple[int, int]
"""Start and end (exclusive), in characters."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One text as the encoder reads it, with its labelled terms."""

    text: str
    """Normalized."""
    terms: Mapping[str, str]
    """Term -> negative, neutral or positive."""

    def spans(self) -> list[Span]:
        """The spans of the terms, in order; of two overlapping ones the longer."""
        by_length = sorted(
            {span for term in self.terms for span in find_target(self.text, term)}, key=lambda span: span[0] - span[1]
        )
        chosen: list[Span] = []
        for start, end in by_length:
            if all(end <= first or start >= last for first, last in chosen):
                chosen.append((start, end))
        return sorted(chosen)


def group_sentences(rows: Iterable[Mapping[str, Any]]) -> list[Sentence]:
    """The distinct texts of *rows*, each with all its terms."""
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        label = str(row["target_sentiment"])
        found.setdefault(normalize(row["text"]), {})[row["target"]] = LONG_LABELS.get(label, label)
    return [Sentence(text, terms) for text, terms in found.items()]


def read_sentences(path: Path) -> list[Sentence]:
    return group_sentences(read_rows(path))


def term_key(term: str) -> str:
    """A key that two spellings of a term share if they differ only in case, spaces and punctuation."""
    return "".join(character for character in normalize(term).casefold() if character.isalnum())


def found_terms(text: str, spans: Sequence[Span]) -> list[str]:
    return [text[start:end] for start, end in spans]

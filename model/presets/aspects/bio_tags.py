"""Aspect terms as one tag per word: outside, first word of a term, further word of a term. Pure functions."""

from collections.abc import Sequence
from typing import Protocol

from model.presets.aspects.data import Span

OUTSIDE, FIRST, FURTHER = 0, 1, 2
TAGS = ("outside", "first", "further")
UNTAGGED = -100
"""Tag of special tokens and of word pieces after a word's first one: excluded from the loss."""


class Encoding(Protocol):
    """The tokenizer's output for one text."""

    @property
    def offsets(self) -> Sequence[Span]: ...

    @property
    def word_ids(self) -> Sequence[int | None]: ...


def word_positions(encoding: Encoding, tokens: int) -> list[tuple[int, Span]]:
    """(position of the first piece, character span) of each word among the first *tokens* pieces."""
    found: list[tuple[int, Span]] = []
    number: int | None = None
    for at in range(min(tokens, len(encoding.offsets))):
        word, (start, end) = encoding.word_ids[at], encoding.offsets[at]
        if word is None or end <= start:
            continue
        if word == number:
            place, (first, _) = found[-1]
            found[-1] = place, (first, end)
        else:
            found.append((at, (start, end)))
        number = word
    return found


def tag_pieces(encoding: Encoding, spans: Sequence[Span], tokens: int) -> list[int]:
    """A tag for each of the first *tokens* pieces: a word belongs to the span it overlaps."""
    found = [UNTAGGED] * tokens
    begun: set[Span] = set()
    for at, (start, end) in word_positions(encoding, tokens):
        inside = next(((first, last) for first, last in spans if start < last and end > first), None)
        if inside is None:
            found[at] = OUTSIDE
        else:
            found[at] = FURTHER if inside in begun else FIRST
            begun.add(inside)
    return found


def spans_of_tags(encoding: Encoding, said: Sequence[int], tokens: int) -> list[Span]:
    """The terms for the tags *said* (one per piece); a further word without a first word starts a term."""
    found: list[Span] = []
    inside = False
    for at, (start, end) in word_positions(encoding, tokens):
        if said[at] == FURTHER and inside:
            found[-1] = (found[-1][0], end)
        elif said[at] != OUTSIDE:
            found.append((start, end))
        inside = said[at] != OUTSIDE
    return found

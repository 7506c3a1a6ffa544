"""Aspect terms as one tag for each word: outside, first word of a term, further word of it. Pure."""

from collections.abc import Sequence
from typing import Protocol

from model.presets.aspects.data import Span

OUTSIDE, FIRST, FURTHER = 0, 1, 2
TAGS = ("outside", "first", "further")
UNTAGGED = -100
"""Of word pieces behind a word's first one, and of special tokens: they teach nothing."""


class Encoding(Protocol):
    """What the tokenizer says of one text."""

    @property
    def offsets(self) -> Sequence[Span]: ...

    @property
    def word_ids(self) -> Sequence[int | None]: ...


def word_positions(encoding: Encoding, tokens: int) -> list[tuple[int, Span]]:
    """(position of its first piece, its characters) of each word among the first *tokens* pieces."""
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
    """A tag for each of the first *tokens* pieces: a word belongs to the span that it overlaps."""
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
    """The terms that the tags *said* (one for each piece) describe; a further word without a first one begins one."""
    found: list[Span] = []
    inside = False
    for at, (start, end) in word_positions(encoding, tokens):
        if said[at] == FURTHER and inside:
            found[-1] = (found[-1][0], end)
        elif said[at] != OUTSIDE:
            found.append((start, end))
        inside = said[at] != OUTSIDE
    return found

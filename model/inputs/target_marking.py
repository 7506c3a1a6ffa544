"""Marks the mentions of targets in a text, so that the encoder knows which target a statement is about.

Every mention of a target becomes one `MARKER` token. It replaces a brand's name: a sentence gets the same scores for
every brand, and handles, which normalization would mask, are not lost. The words of an aspect ("battery life") follow
the marker, because they carry meaning. The head `target` reads the state of the marker, so one pass serves all targets
of a post.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from brandpulse.text.normalization import MARKER, normalize
from model.inputs.target_names import first_spans

ABSENT = 0.95
"""P(irrelevant) of a target that the post does not name. The rest is distributed like the scores of its marker."""

_MASKED_HANDLE = re.compile(r"(?<!\w)@user(?!\w)")
_ADDRESSED_HANDLE = re.compile(r"\W{0,3}@user(?!\w)")


@dataclass(frozen=True, slots=True)
class MarkedText:
    """One post as the encoder reads it."""

    text: str
    """Normalized; one `MARKER` per mention."""
    mentions: tuple[int, ...] = ()
    """For each marker, in order, the index of its target."""
    targets: int = 0
    """Number of targets."""
    absent: frozenset[int] = frozenset()
    """Indexes of targets that the post does not name: irrelevant by rule. Each has a marker before the text."""
    language: str = ""
    """The language whose weights score it, as `brandpulse.text.languages` names it; empty: not identified."""


def plain(text: str) -> MarkedText:
    """*text*, normalized, without any target."""
    return MarkedText(normalize(text))


def mark(
    text: str, targets: Sequence[str], *, keep_words: bool = False, addressed: bool = False, language: str = ""
) -> MarkedText:
    """*text* with every mention of *targets* marked; targets without a mention are absent.

    A target is found in the forms of `model.inputs.target_names`: as a whole name in any case, with or without @ or #
    and with other separators (`Google Earth` in `#googleearth`), else abbreviated, else in part. With *keep_words* the
    words follow their marker.

    With *addressed* the caller knows that the text is about its targets, so none is absent: a target that the text does
    not name is read at a masked handle that may stand for it (`@user fix this`), else as the subject of the whole text.
    """
    text = normalize(text, keep_handles=True)
    spans: list[tuple[int, int, int]] = []
    absent: list[int] = []
    for number, target in enumerate(targets):
        found = find_target(text, target)
        if not found and addressed:
            found = masked_handle(text)
        elif not found:
            absent.append(number)
        spans += [(start, end, number) for start, end in found]
    return mark_spans(text, spans, targets=len(targets), absent=absent, keep_words=keep_words, language=language)


def mark_spans(
    text: str,
    spans: Iterable[tuple[int, int, int]],
    *,
    targets: int,
    absent: Iterable[int] = (),
    keep_words: bool = False,
    language: str = "",
) -> MarkedText:
    """*text* (normalized except for handles) with a marker at each (start, end, target) of *spans*, then normalized.

    Overlapping spans are merged into the longest, for the targets of all. A target without a span gets a marker before
    the text (`⌖ : the post`): the post is read as being about it, unless it is one of *absent*.
    """
    parts: list[str] = []
    mentions: list[int] = []
    spans, missing = list(spans), frozenset(absent)
    placed = {number for _, _, number in spans}
    for number in range(targets):
        if number not in placed:
            parts.append(f"{MARKER} : ")
            mentions.append(number)
    at = 0
    for start, end, numbers in _without_overlaps(spans):
        parts.append(text[at:start])
        words = text[start:end].lstrip("@#")
        for number in numbers:
            parts.append(f" {MARKER} ")
            mentions.append(number)
        if keep_words:
            parts.append(words)
        at = end
    parts.append(text[at:])
    marked = normalize("".join(parts), keep_markers=True)
    return MarkedText(marked, tuple(mentions[: marked.count(MARKER)]), targets, missing, language)


def find_target(text: str, target: str) -> list[tuple[int, int]]:
    """(start, end) of each mention of *target* in *text*, in the most exact form that occurs; may be empty."""
    return first_spans(target, text)


def masked_handle(text: str) -> list[tuple[int, int]]:
    """(start, end) of the `@user` that a post is addressed to: at its start, else the only one; empty without it.

    Data sets replace all handles by `@user`, also that of the target.
    """
    if "@user" not in text:
        return []
    if first := _ADDRESSED_HANDLE.match(text):
        return [(first.end() - len("@user"), first.end())]
    handles = [found.span() for found in _MASKED_HANDLE.finditer(text)]
    return handles if len(handles) == 1 and not text.startswith("RT ") else []


def _without_overlaps(spans: Iterable[tuple[int, int, int]]) -> list[tuple[int, int, list[int]]]:
    """*spans* in order without overlaps, each with its targets."""
    merged: list[tuple[int, int, list[int]]] = []
    for start, end, number in sorted(spans, key=lambda span: (span[0], -span[1])):
        if merged and start < merged[-1][1]:
            if number not in merged[-1][2]:
                merged[-1][2].append(number)
            continue
        merged.append((start, end, [number]))
    return merged

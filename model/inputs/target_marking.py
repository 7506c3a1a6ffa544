"""Marks the mentions of targets in a text, so that the encoder knows which target a statement is about.

Every mention of a target becomes one `MARKER` token. It replaces a brand's name: a sentence gets the same scores for
every brand, and handles, which normalization would mask, are not lost. The words of an aspect ("battery life") follow
the marker, because they carry meaning. The head `target` reads the state of the marker, so one pass serves all targets
of a post.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from brandpulse.text.normalization import MARKER, normalize

ABSENT = 0.95
"""P(irrelevant) of a target that the post does not name. The rest is distributed like the scores of its marker."""


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


def mark(text: str, targets: Sequence[str], *, keep_words: bool = False, language: str = "") -> MarkedText:
    """*text* with every mention of *targets* marked; targets without a mention are absent.

    A target is found as a whole word or phrase, with or without @ or #, in any case and with other separators
    (`Google Earth` in `#googleearth`), else by most of its words, else as part of a word. With *keep_words* the words
    follow their marker.
    """
    text = normalize(text, keep_handles=True)
    spans: list[tuple[int, int, int]] = []
    absent: list[int] = []
    for number, target in enumerate(targets):
        found = find_target(text, target)
        if not found:
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
    for pattern in _patterns(target):
        if spans := [found.span() for found in pattern.finditer(text)]:
            return spans
    return []


_COMMON_WORDS = frozenset({"other", "product", "service", "with", "from", "this", "that", "new"})


@lru_cache(maxsize=4096)
def _patterns(target: str) -> tuple[re.Pattern[str], ...]:
    words = re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", target.strip().lstrip("@#")))
    if not words:
        return (re.compile(re.escape(target), re.IGNORECASE),) if target.strip() else ()
    joined = r"[\W_]{0,3}".join(map(re.escape, words))
    patterns = [rf"(?<!\w)[@#]?{joined}(?!\w)", rf"[@#]?{joined}"]
    distinctive = [word for word in words if len(word) > 3 and word.casefold() not in _COMMON_WORDS]
    if len(words) > 1 and distinctive:
        pairs = [rf"{re.escape(a)}[\W_]{{0,3}}{re.escape(b)}" for a, b in pairwise(words)]
        patterns += [rf"(?<!\w)[@#]?(?:{'|'.join(pairs)})(?!\w)"]
        patterns += [rf"(?<!\w)[@#]?(?:{'|'.join(map(re.escape, distinctive))})(?!\w)"]
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)


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

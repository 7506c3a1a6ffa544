"""Marks the brands that a post names, so that the model reads about whom it is asked.

Every mention (term, handle, hashtag) becomes one marker and its words go: the same sentence gets the same verdict
whichever brand it names. What cannot be found again once the text is normalised gets a leading marker.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from brandpulse.text.brand_matcher import NO_FACETS, BrandMatcher, Hit, fold, fold_characters
from brandpulse.text.normalization import normalize
from model.inputs.target_marking import MarkedText, mark_spans

_PIECE = re.compile(
    # A letter and the marks that NFKC may join to it: Latin, Greek and Cyrillic accents, Japanese voicing, Hangul.
    "[\x00-\x7f]+(?![\u0300-\u036f])|.[\u0300-\u036f\u3099\u309a\u1161-\u1175\u11a8-\u11c2]*",
    re.DOTALL,
)

Span = tuple[int, int, int]
"""Start, end, and the number of the brand."""


class BrandMarker:
    """Puts markers where the brands of *matcher* stand; built once, safe to share between threads."""

    def __init__(self, matcher: BrandMatcher) -> None:
        self._matcher = matcher

    def name(self, text: str) -> tuple[tuple[str, ...], MarkedText | None, frozenset[int]]:
        """The brands in *text*, as `BrandMatcher.match` finds them, and *text* marked for them; None where it has none.

        Target i of the marked text is brand i. Last come the facets whose words it has, as `BrandMatcher.facets` does.
        """
        folded = fold(text)
        standing = self._matcher.standing(folded)
        brands = self._matcher.named(standing)
        if not brands:
            return brands, None, NO_FACETS
        return brands, self._mark(text, brands, folded, standing), self._matcher.facets(standing)

    def mark(self, text: str, brands: Sequence[str]) -> MarkedText:
        """*text* with its mentions of *brands* marked; target i is brand i.

        *brands* are those that `BrandMatcher.match` found in *text*, so none of them is absent.
        """
        return self._mark(text, brands, None, ())

    def _mark(self, text: str, brands: Sequence[str], matched: str | None, standing: Sequence[Hit]) -> MarkedText:
        """*standing* is what was found in the form *matched* of *text*."""
        plain = normalize(text, keep_handles=True)
        folded, starts, ends = fold_with_places(plain)
        if folded != matched:
            # A link, an entity or what no tokeniser reads was there: the words lie elsewhere now.
            standing = self._matcher.standing(folded)
        found = (
            (_with_signs(folded, start), end, number) for start, end, number in self._matcher.places(standing, brands)
        )
        spans = [(starts[start], ends[end - 1], number) for start, end, number in _united(found)]
        return mark_spans(plain, spans, targets=len(brands))


def fold_with_places(text: str) -> tuple[str, Sequence[int], Sequence[int]]:
    """*text*, which holds no white space but single spaces, in the form of `match.fold`; and for each character of
    that where in *text* it begins and ends."""
    if text.isascii():
        return text.casefold(), range(len(text)), range(1, len(text) + 1)
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for found in _PIECE.finditer(text):
        piece, (start, end) = found.group(), found.span()
        if piece.isascii():
            parts.append(piece.casefold())
            starts += range(start, end)
            ends += range(start + 1, end + 1)
            continue
        folded = _fold_piece(piece)
        if folded.startswith(" ") and (not parts or parts[-1].endswith(" ")):
            folded = folded.removeprefix(" ")
        if folded:
            parts.append(folded)
            starts += [start] * len(folded)
            ends += [end] * len(folded)
    return "".join(parts), starts, ends


@lru_cache(maxsize=8_192)
def _fold_piece(piece: str) -> str:
    folded = fold_characters(piece)
    # What becomes a space becomes one, and is none to begin with: NFKC writes a lone diaeresis as space and mark.
    return re.sub(r"\s+", " ", folded)


def _with_signs(folded: str, start: int) -> int:
    """Where the mention begins that has a term at *start*: the # of a hashtag goes with its word."""
    while start > 0 and folded[start - 1] in "@#":
        start -= 1
    return start


def _united(spans: Iterable[Span]) -> list[Span]:
    """*spans* without overlaps but whole ones: a mention that lies across another one's edge shares its marker."""
    spans = list(spans)
    if len(spans) == 1:
        return spans
    apart: list[tuple[int, int, list[int]]] = []
    for start, end, number in sorted(spans):
        if apart and start < apart[-1][1]:
            first, last, numbers = apart.pop()
            apart.append((first, max(last, end), [*numbers, *([] if number in numbers else [number])]))
        else:
            apart.append((start, end, [number]))
    return [(start, end, number) for start, end, numbers in apart for number in numbers]

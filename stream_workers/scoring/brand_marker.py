"""Marks the brands that a post names, so that the model knows which brand each score is for.

Every mention (term, handle, hashtag) is replaced by a marker: the same sentence gets the same score whichever brand it
names. A mention that cannot be found again in the normalized text gets a leading marker.
"""

from collections.abc import Iterable, Sequence

from brandpulse.text.brand_matcher import BrandMatcher
from brandpulse.text.characters import normalize_with_offsets
from brandpulse.text.normalization import normalize
from model.inputs.target_marking import MarkedText, mark_spans

Span = tuple[int, int, int]
"""Start, end, and the number of the brand."""


class BrandMarker:
    """Puts markers where the brands of *matcher* are mentioned. Built once, safe to share between threads."""

    def __init__(self, matcher: BrandMatcher) -> None:
        self._matcher = matcher

    def mark(self, text: str, brands: Sequence[str], language: str = "") -> MarkedText:
        """*text* with its mentions of *brands* marked; target i is brand i.

        *brands* are those that `BrandMatcher.match` found in *text*. *language*: as `MarkedText.language`.
        """
        model_text = normalize(text, keep_handles=True)
        normalized, starts, ends = normalize_with_offsets(model_text)
        hits = self._matcher.find_hits(normalized)
        found = (
            (_include_signs(normalized, start), end, number)
            for start, end, number in self._matcher.locate(hits, brands)
        )
        spans = [(starts[start], ends[end - 1], number) for start, end, number in _merge_overlaps(found)]
        return mark_spans(model_text, spans, targets=len(brands), language=language)


def _include_signs(normalized: str, start: int) -> int:
    """Start of the mention whose term begins at *start*: the # of a hashtag belongs to its mention."""
    while start > 0 and normalized[start - 1] in "@#":
        start -= 1
    return start


def _merge_overlaps(spans: Iterable[Span]) -> list[Span]:
    """*spans*, which afterwards are disjoint or equal: overlapping mentions share a marker."""
    spans = list(spans)
    if len(spans) == 1:
        return spans
    merged: list[tuple[int, int, list[int]]] = []
    for start, end, number in sorted(spans):
        if merged and start < merged[-1][1]:
            first, last, numbers = merged.pop()
            merged.append((first, max(last, end), [*numbers, *([] if number in numbers else [number])]))
        else:
            merged.append((start, end, [number]))
    return [(start, end, number) for start, end, numbers in merged for number in numbers]

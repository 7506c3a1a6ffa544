"""Posts of each brand by language: the stored form, for its writer and its readers. Pure.

A partition's state holds them since its beginning. They are written in the same change as the counts, so a post counts
once. Their size is bounded: `BRANDS` brands, and a few languages each (`brandpulse.text.languages`).
"""

from collections.abc import Iterable, Mapping

import msgspec

from brandpulse.errors import StateError

BRANDS = 500
OTHER_BRANDS = "(other)"
"""Together, the brands that were named after `BRANDS` others."""

LanguageCounts = tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
"""(brand, ((language, posts), ...)), both sorted by name."""
AddedLanguages = Mapping[tuple[str, str], int]
"""(brand, language) -> posts that a batch adds."""


def with_added_languages(before: LanguageCounts, added: AddedLanguages) -> LanguageCounts:
    """*before* with the posts that a batch *added*."""
    if not added:
        return before
    counts = dict(before)
    for (brand, language), posts in sorted(added.items()):
        kept = brand if brand in counts or len(counts) < BRANDS else OTHER_BRANDS
        languages = dict(counts.get(kept, ()))
        languages[language] = languages.get(language, 0) + posts
        counts[kept] = tuple(sorted(languages.items()))
    return tuple(sorted(counts.items()))


def encode_language_counts(counts: LanguageCounts) -> bytes:
    return msgspec.json.encode(counts) if counts else b""


_DECODER = msgspec.json.Decoder(tuple[tuple[str, tuple[tuple[str, int], ...]], ...])


def decode_language_counts(stored: bytes) -> LanguageCounts:
    """Raises StateError if *stored* has another form."""
    if not stored:
        return ()
    try:
        return _DECODER.decode(stored)
    except msgspec.MsgspecError as error:
        raise StateError(f"posts by language (languages): {error}") from None


def total_by_brand(partitions: Iterable[LanguageCounts]) -> dict[str, dict[str, int]]:
    """Brand -> language -> posts over all *partitions*; the most frequent language of a brand first."""
    totals: dict[str, dict[str, int]] = {}
    for counts in partitions:
        for brand, languages in counts:
            of_brand = totals.setdefault(brand, {})
            for language, posts in languages:
                of_brand[language] = of_brand.get(language, 0) + posts
    return {
        brand: dict(sorted(languages.items(), key=lambda one: (-one[1], one[0])))
        for brand, languages in sorted(totals.items())
    }

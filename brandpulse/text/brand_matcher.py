"""Finds the brands that a post names: one pass of an automaton over the text, whatever the number of brands."""

import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import ahocorasick_rs

from brandpulse.config.brands_file import Brand
from brandpulse.config.facets import Facet
from brandpulse.config.variants import USUAL_VARIANTS, Variants
from brandpulse.errors import ConfigError
from brandpulse.text.characters import is_mark, is_unspaced, is_word, normalize_text
from brandpulse.text.match_form import NO_DIFFERENCES, Differences, match_form, match_form_with_origins
from brandpulse.text.normalization import EMOJI
from brandpulse.text.spellings import spellings, takes_hashtag_endings

# A link has a scheme, www., or a path. A bare `acme.com` is not a link: it names the brand.
# A link ends where the model's text ends it (`brandpulse.text.normalization`): at white space, an emoji, or an
# unprintable character.
_IN_LINK = rf"[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff{EMOJI.pattern[1:-1]}]"
_LINK_ADDRESS_OR_HANDLE = re.compile(
    rf"(?:https?://|\bwww\.){_IN_LINK}+"  # link
    r"|(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+"  # e-mail address
    r"|@\w+(?:[.@]\w+)*"  # handle
    rf"|\b[\w-]+(?:\.[\w-]+)+/{_IN_LINK}*"  # link without a scheme
)
LONGEST_CHUNK = 512
"""Characters without a space. A longer chunk is not prose, and the search for links in it takes quadratic time."""

CACHED_SETS = 10_000
_ASCII_BOUNDARIES = frozenset(character for character in map(chr, range(128)) if not is_word(character))
"""Next to one of these a word always ends: this test settles most hits."""

NO_FACETS: frozenset[int] = frozenset()
Hit = tuple[int, int, int]
"""A keyword found in a text: number of its pattern, start, end."""


class _Pattern(NamedTuple):
    """What the automaton searches, and what a candidate must also satisfy."""

    form: str
    """In the form of `match_form`."""
    kept: Differences = NO_DIFFERENCES
    """Differences that count: in the text's `match_form` with them must be *exact*."""
    exact: str = ""
    endings: tuple[str, ...] = ()
    """Words that may follow it within a hashtag."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """One brand: its name, and the context words that its terms require or exclude."""

    name: str
    require: frozenset[int]
    exclude: frozenset[int]

    def allows(self, seen: AbstractSet[int]) -> bool:
        return (not self.require or not self.require.isdisjoint(seen)) and self.exclude.isdisjoint(seen)


class BrandMatcher:
    """Finds brands in texts. Built once, never changed, safe to share between threads.

    Text and keywords are compared in normalized form (`normalize_text`): case, width, typographic quotes and hyphens,
    invisible characters and runs of white space make no difference.

    * A term counts as a whole word: no letter, digit or underscore touches it. It counts after a `#` (`#united`), but
      not inside a @handle, a link or an e-mail address; a bare `united.com` counts. Scripts without spaces between
      words (Chinese, Japanese, Thai, ...) and Korean have no such boundary, so a term counts inside longer runs of
      characters: `exclude` the longer words that mean something else.
    * A handle counts as `@handle` and nothing longer: not in `@handle2`, `@handle.bsky.social`, `@handle@an.instance`.
    * A hashtag counts as `#tag` and nothing longer.
    * A term written with @ or # is a handle or a hashtag.
    * Other spellings of a term count as its `Variants` say (`brandpulse.text.spellings`): joined, hyphenated, as a
      hashtag, with a prefix. Accents, vowel marks and lookalike letters make no difference (`match_form`).
    * `require` and `exclude` match like terms, and apply to terms and hashtags; a handle needs no context.
    * Keywords of *facets* match like terms.
    """

    def __init__(self, brands: Sequence[Brand], facets: Sequence[Facet] = ()) -> None:
        """Raises ConfigError for a keyword whose normalized form is empty (for example one zero-width joiner)."""
        self._patterns: dict[_Pattern, int] = {}
        self._by_handle: dict[int, list[int]] = {}
        self._by_keyword: dict[int, list[int]] = {}
        self._rules = [self._add(index, brand) for index, brand in enumerate(brands)]
        self._by_facet: dict[int, list[int]] = {}
        for number, facet in enumerate(facets):
            for keyword in facet.words:
                for pattern in self._of_term(f"facet {facet.name!r}", keyword, facet.variants):
                    self._by_facet.setdefault(pattern, []).append(number)
        self._index = {brand.name: index for index, brand in enumerate(brands)}
        self._cache: dict[frozenset[int], tuple[str, ...]] = {}
        """Recent sets of patterns -> the brands they name. Threads may clear or fill it: every entry is complete."""
        self._conditions = list(self._patterns)
        forms = self.patterns
        self._kinds = [form[0] if form[0] in "@#" else "" for form in forms]
        self._plain = [_is_plain(form) for form in forms]
        self._automaton = ahocorasick_rs.AhoCorasick(
            forms,
            store_patterns=False,
            # By default the library builds a DFA for few patterns: measured slower to build and no faster here.
            implementation=ahocorasick_rs.Implementation.ContiguousNFA,
        )

    def _add(self, index: int, brand: Brand) -> _Rule:
        owner, variants = f"brand {brand.name!r}", brand.variants
        for handle in brand.handles:
            self._by_handle.setdefault(self._pattern(owner, handle, "@", variants), []).append(index)
        for hashtag in brand.hashtags:
            self._by_keyword.setdefault(self._pattern(owner, hashtag, "#", variants), []).append(index)
        for term in brand.terms:
            table = self._by_handle if normalize_text(term).startswith("@") else self._by_keyword
            for pattern in self._of_term(owner, term, variants, endings=True):
                table.setdefault(pattern, []).append(index)
        return _Rule(
            name=brand.name,
            require=frozenset(p for keyword in brand.require for p in self._of_term(owner, keyword, variants)),
            exclude=frozenset(p for keyword in brand.exclude for p in self._of_term(owner, keyword, variants)),
        )

    def _of_term(self, owner: str, term: str, variants: Variants, *, endings: bool = False) -> Iterator[int]:
        """The patterns of *term*'s spellings."""
        normalized = normalize_text(term)
        if not normalized.strip("@#"):
            raise _no_characters(owner, term)
        goes_on = endings and variants.hashtags and takes_hashtag_endings(normalized)
        ends = _normalized_endings(tuple(variants.hashtag_endings)) if goes_on else ()
        for spelling in spellings(normalized, variants):
            yield self._pattern(owner, spelling, "", variants, ends if spelling[0] != "@" and term[0] != "#" else ())

    def _pattern(self, owner: str, keyword: str, sign: str, variants: Variants, endings: tuple[str, ...] = ()) -> int:
        normalized = sign + normalize_text(keyword)
        form = match_form(normalized)
        if not form.strip("@# "):
            raise _no_characters(owner, keyword)
        kept = NO_DIFFERENCES
        if variants is not USUAL_VARIANTS:
            kept = frozenset(name for name in ("accents", "lookalikes", "vowel_marks") if not getattr(variants, name))
        pattern = _Pattern(form, kept, match_form(normalized, kept) if kept else "", endings)
        return self._patterns.setdefault(pattern, len(self._patterns))

    @property
    def patterns(self) -> list[str]:
        """The keywords and their spellings in the form of `match_form`, by their numbers."""
        return [pattern.form for pattern in self._conditions]

    @property
    def kinds(self) -> list[str]:
        """Of each pattern its sign: `@`, `#`, or empty."""
        return self._kinds

    @property
    def plain(self) -> list[bool]:
        """Of each pattern whether, between two spaces, it cannot be part of anything longer."""
        return self._plain

    @property
    def in_ascii(self) -> list[bool | None]:
        """Of each pattern whether a candidate in an ASCII text is one. None: in any text."""
        return [pattern.form == pattern.exact if pattern.kept else None for pattern in self._conditions]

    @property
    def endings(self) -> tuple[list[tuple[str, ...]], list[int]]:
        """Lists of words that may follow a pattern within a hashtag, and of each pattern the number of its list."""
        numbers: dict[tuple[str, ...], int] = {}
        of_patterns = [numbers.setdefault(pattern.endings, len(numbers)) for pattern in self._conditions]
        return list(numbers), of_patterns

    def match_patterns(self, seen: frozenset[int]) -> tuple[tuple[str, ...], frozenset[int]]:
        """The brands and the facets of a text in which the patterns *seen* were found."""
        return self._match(seen), frozenset(number for pattern in seen for number in self._by_facet.get(pattern, ()))

    def match(self, text: str) -> tuple[str, ...]:
        """The names of the brands in *text*, in the order of the brands file, each once."""
        return self.brands_of(self.find_hits(normalize_text(text)))

    def match_with_facets(self, text: str) -> tuple[tuple[str, ...], frozenset[int]]:
        """`match` of *text*, and the facets that have a keyword in it."""
        hits = self.find_hits(normalize_text(text))
        return self.brands_of(hits), self.facets_of(hits)

    def find_hits(self, normalized: str) -> list[Hit]:
        """The keywords in *normalized*, a text in the form of `normalize_text`, that are not part of something longer.

        A keyword may occur several times, and hits may overlap.
        """
        text, origins = match_form_with_origins(normalized)
        candidates = self._automaton.find_matches_as_indexes(text, overlapping=True)
        if not candidates:
            return []
        # Padded: a keyword between two spaces needs no test of boundaries, links, handles, addresses.
        padded, plain, kinds, conditions = f" {text} ", self._plain, self._kinds, self._conditions
        has_links = "@" in text or "/" in text or "www." in text
        spans: dict[int, list[tuple[int, int]]] = {}
        hits: list[Hit] = []
        for pattern, start, end in candidates:
            if not (padded[start] == " " == padded[end + 1] and plain[pattern]) and not (
                _is_whole_word(padded, start + 1, end + 1, kind=kinds[pattern], endings=conditions[pattern].endings)
                and (not has_links or _is_outside_links(text, start, end, spans, kind=kinds[pattern]))
            ):
                continue
            first, after = (start, end) if origins is None else (origins[start], origins[end])
            kept = conditions[pattern].kept
            if not kept or match_form(normalized[first:after], kept) == conditions[pattern].exact:
                hits.append((pattern, first, after))
        return hits

    def brands_of(self, hits: Sequence[Hit]) -> tuple[str, ...]:
        """The names of the brands that *hits* name, in the order of the brands file, each once."""
        if not hits:
            return ()
        seen = frozenset(pattern for pattern, _, _ in hits)
        if (names := self._cache.get(seen)) is None:
            if len(self._cache) >= CACHED_SETS:
                self._cache.clear()
            names = self._cache[seen] = self._match(seen)
        return names

    def facets_of(self, hits: Sequence[Hit]) -> frozenset[int]:
        """Numbers, in the order of the brands file, of the facets that have a keyword among *hits*."""
        if not self._by_facet:
            return NO_FACETS
        return frozenset(number for pattern, _, _ in hits for number in self._by_facet.get(pattern, ()))

    def _match(self, seen: frozenset[int]) -> tuple[str, ...]:
        by_handle = {brand for pattern in seen for brand in self._by_handle.get(pattern, ())}
        by_keyword = {brand for pattern in seen for brand in self._by_keyword.get(pattern, ())} - by_handle
        found = by_handle | {brand for brand in by_keyword if self._rules[brand].allows(seen)}
        return tuple(self._rules[brand].name for brand in sorted(found))

    def locate(self, hits: Sequence[Hit], brands: Sequence[str]) -> list[tuple[int, int, int]]:
        """Where *hits* name each of *brands*: (start, end, index in *brands*).

        Terms of a brand that matched by its handle count only where its context words allow them.
        """
        wanted = {self._index[name]: number for number, name in enumerate(brands)}
        seen = {pattern for pattern, _, _ in hits}
        found: list[tuple[int, int, int]] = []
        for pattern, start, end in hits:
            for brand in self._by_handle.get(pattern, ()):
                if brand in wanted:
                    found.append((start, end, wanted[brand]))
            for brand in self._by_keyword.get(pattern, ()):
                if brand in wanted and self._rules[brand].allows(seen):
                    found.append((start, end, wanted[brand]))
        return found


def _is_plain(pattern: str) -> bool:
    """Whether *pattern*, between two spaces, cannot be part of a link, an address or a longer handle."""
    return (
        len(pattern) <= LONGEST_CHUNK
        and "/" not in pattern
        and "www." not in pattern
        and pattern.count("@") == (pattern[0] == "@")
    )


def _no_characters(owner: str, keyword: str) -> ConfigError:
    return ConfigError(f"{owner}: the word {keyword!r} has no characters to search for")


@cache
def _normalized_endings(endings: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({match_form(normalize_text(ending)) for ending in endings}))


def _is_whole_word(text: str, start: int, end: int, *, kind: str, endings: tuple[str, ...]) -> bool:
    """Whether a hit has word boundaries on both sides. *text* has a character before and after the hit.

    A hashtag may go on with one of *endings*.
    """
    before, after = text[start - 1], text[end]
    if before not in _ASCII_BOUNDARIES and _joins(before, text[start], kind=kind):
        return False
    if after in _ASCII_BOUNDARIES and kind != "@":
        return True
    if is_mark(after) or _joins(after, text[end - 1], kind=kind):
        if not endings or (kind != "#" and before != "#"):
            return False
        return any(text.startswith(ending, end) and not is_word(text[end + len(ending)]) for ending in endings)
    # `@united.com` and `@united@an.instance` are other accounts; `@united.` ends a sentence.
    return not (kind == "@" and after in ".@" and end + 1 < len(text) and is_word(text[end + 1]))


def _is_outside_links(text: str, start: int, end: int, spans: dict[int, list[tuple[int, int]]], *, kind: str) -> bool:
    """Whether a hit is prose, not part of a link, an address or another handle.

    *spans* caches the links of each chunk by the chunk's start: a chunk with many hits is searched once.
    """
    if kind != "@" and start > 0 and text[start - 1] == "@" and text[start].isalnum():
        return False  # the word of a handle, the usual case
    left = text.rfind(" ", 0, start) + 1
    right = text.find(" ", end)
    chunk = text[left:] if right < 0 else text[left:right]
    if len(chunk) > LONGEST_CHUNK:
        return False
    # Most chunks return here. The expression over the whole text took most of the time of a match.
    if "/" not in chunk and "www." not in chunk and chunk.count("@") == (kind == "@"):
        return True
    # A handle starts at the start of its own span; deeper inside a span, it is part of something longer.
    if left not in spans:
        spans[left] = [found.span() for found in _LINK_ADDRESS_OR_HANDLE.finditer(chunk)]
    at = start - left
    return not any(first <= at < last and (kind != "@" or first < at) for first, last in spans[left])


def _joins(neighbour: str, edge: str, *, kind: str) -> bool:
    """Whether *neighbour*, next to a hit, forms one word with the hit's outermost character *edge*."""
    if not is_word(neighbour):
        return False
    if kind == "@":
        # Handles are ASCII on the networks that matter, and Chinese or Japanese text may follow without a space.
        return not is_unspaced(neighbour)
    return not (is_unspaced(neighbour) or is_unspaced(edge))

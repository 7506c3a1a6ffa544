"""Which brands a post names: one pass over the text by an automaton, whatever the number of brands."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import ahocorasick_rs

from brandpulse.config.brands_file import Brand
from brandpulse.config.facets import Facet
from brandpulse.errors import ConfigError
from brandpulse.text.html_entities import unescape
from brandpulse.text.normalization import EMOJI, single_spaces

_BEFORE_NFKC = str.maketrans(
    {
        # NFKC would glue these to the word as "tm" and "sm", and the brand would not be found.
        **dict.fromkeys("™℠®©", " "),
        **dict.fromkeys("‘’ʼ", "'"),
        **dict.fromkeys("‐‑–", "-"),
        # Invisible: soft hyphen, zero-width (non-)joiner, word joiner, byte-order mark, variation selectors.
        **dict.fromkeys("\u00ad\u200c\u200d\u2060\ufeff\ufe0e\ufe0f", None),
    }
)
# A link has a scheme, www., or a path. A bare `acme.com` is none: who writes it names the brand.
# A link ends where the model's text ends it (`brandpulse.text.normalization`): at white space, an emoji, and what cannot be printed.
_ON = rf"[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff{EMOJI.pattern[1:-1]}]"
_UNREADABLE = re.compile(
    rf"(?:https?://|\bwww\.){_ON}+"  # link
    r"|(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+"  # e-mail address
    r"|@\w+(?:[.@]\w+)*"  # handle
    rf"|\b[\w-]+(?:\.[\w-]+)+/{_ON}*"  # link without a scheme
)
LONGEST_CHUNK = 512
"""Characters without a space. Nobody reads a longer one, and looking for links in it takes time by the square."""
# Scripts written without spaces, and Hangul, whose particles stick to the word: no whole words to be found there.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u318f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]"
)


KNOWN_SETS = 10_000
_ASCII_EDGES = frozenset(letter for letter in map(chr, range(128)) if not (letter.isalnum() or letter == "_"))
"""Beside one of these a word ends, whatever it is: most words are settled by this look."""

NO_FACETS: frozenset[int] = frozenset()
Hit = tuple[int, int, int]
"""A word found in a text: number of its pattern, start, end."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """One brand: the patterns that name it, and what a term needs or must not have around it."""

    name: str
    require: frozenset[int]
    exclude: frozenset[int]

    def allows(self, seen: AbstractSet[int]) -> bool:
        return (not self.require or not self.require.isdisjoint(seen)) and self.exclude.isdisjoint(seen)


class BrandMatcher:
    """Finds brands in texts; built once, never changed, safe to share between threads.

    Text and words are compared in one form (`fold`): case, width, typographic quotes and hyphens, invisible characters
    and runs of white space make no difference.

    * A term counts as a whole word: no letter, digit or underscore touches it. It counts after a `#` (`#united`), but
      not inside a @handle, a link or an e-mail address; a bare `united.com` counts. In scripts without spaces between
      words (Chinese, Japanese, Thai, ...) and in Korean there is no such edge, so a term counts inside longer runs of
      letters: `exclude` the longer words that are meant otherwise.
    * A handle counts as `@handle` and nothing longer: not in `@handle2`, `@handle.bsky.social`, `@handle@an.instance`.
    * A hashtag counts as `#tag` and nothing longer.
    * A term written with @ or # is a handle or a hashtag.
    * `require` and `exclude` stand like terms, and judge terms and hashtags; a handle needs no context.
    * Words of *facets* stand like terms.
    """

    def __init__(self, brands: Sequence[Brand], facets: Sequence[Facet] = ()) -> None:
        """Raises ConfigError for a word of which nothing is left to compare (say, one zero-width joiner)."""
        self._patterns: dict[str, int] = {}
        self._by_handle: dict[int, list[int]] = {}
        self._by_word: dict[int, list[int]] = {}
        self._rules = [self._add(index, brand) for index, brand in enumerate(brands)]
        self._by_facet: dict[int, list[int]] = {}
        for number, facet in enumerate(facets):
            for word in facet.words:
                pattern = self._pattern(f"facet {facet.name!r}", word)
                self._by_facet.setdefault(pattern, []).append(number)
        self._index = {brand.name: index for index, brand in enumerate(brands)}
        self._known: dict[frozenset[int], tuple[str, ...]] = {}
        """Sets of words met lately -> the brands that they name. Threads may clear or fill it: each answer is whole."""
        self._kinds = [pattern[0] if pattern[0] in "@#" else "" for pattern in self._patterns]
        self._plain = [_is_plain(pattern) for pattern in self._patterns]
        self._automaton = ahocorasick_rs.AhoCorasick(
            list(self._patterns),
            store_patterns=False,
            # Left to itself the library takes a DFA for few patterns; measured slower to build and no faster here.
            implementation=ahocorasick_rs.Implementation.ContiguousNFA,
        )

    def _add(self, index: int, brand: Brand) -> _Rule:
        owner = f"brand {brand.name!r}"
        for handle in brand.handles:
            self._by_handle.setdefault(self._pattern(owner, handle, "@"), []).append(index)
        for hashtag in brand.hashtags:
            self._by_word.setdefault(self._pattern(owner, hashtag, "#"), []).append(index)
        for term in brand.terms:
            pattern = self._pattern(owner, term)
            named = self._by_handle if fold(term).startswith("@") else self._by_word
            named.setdefault(pattern, []).append(index)
        return _Rule(
            name=brand.name,
            require=frozenset(self._pattern(owner, word) for word in brand.require),
            exclude=frozenset(self._pattern(owner, word) for word in brand.exclude),
        )

    def _pattern(self, owner: str, word: str, sign: str = "") -> int:
        folded = sign + fold(word)
        if not folded.strip("@#"):
            raise ConfigError(f"{owner}: nothing of the word {word!r} can be looked for in a text")
        return self._patterns.setdefault(folded, len(self._patterns))

    @property
    def patterns(self) -> list[str]:
        """The words that are looked for, in the form of `fold`, by their numbers."""
        return list(self._patterns)

    @property
    def kinds(self) -> list[str]:
        """Of each pattern `@`, `#`, or nothing: what it begins with."""
        return self._kinds

    @property
    def plain(self) -> list[bool]:
        """Of each pattern whether, between two spaces, it can be no piece of anything longer."""
        return self._plain

    def meaning(self, seen: frozenset[int]) -> tuple[tuple[str, ...], frozenset[int]]:
        """The brands that a text names in which the patterns *seen* stand, and the facets of which it has a word."""
        return self._named(seen), frozenset(number for pattern in seen for number in self._by_facet.get(pattern, ()))

    def match(self, text: str) -> tuple[str, ...]:
        """The names of the brands in *text*, in the order of the brands file, each once."""
        return self.named(self.standing(fold(text)))

    def match_many(self, texts: Iterable[str]) -> list[tuple[str, ...]]:
        """`match` of each text, in order."""
        return [self.match(text) for text in texts]

    def look(self, text: str) -> tuple[tuple[str, ...], frozenset[int]]:
        """`match` of *text*, and the facets of which it has a word."""
        standing = self.standing(fold(text))
        return self.named(standing), self.facets(standing)

    def standing(self, folded: str) -> list[Hit]:
        """The words that stand in *folded*, a text in the form of `fold`, as themselves: no piece of something longer.

        Also several times and overlapping.
        """
        hits = self._automaton.find_matches_as_indexes(folded, overlapping=True)
        if not hits:
            return []
        # Room at both ends: a word that stands between two spaces needs no look at edges, links, handles, addresses.
        spaced, plain, kinds = f" {folded} ", self._plain, self._kinds
        has_links = "@" in folded or "/" in folded or "www." in folded
        unreadable: dict[int, list[tuple[int, int]]] = {}
        found: list[Hit] = []
        for hit in hits:
            pattern, start, end = hit
            if (spaced[start] == " " == spaced[end + 1] and plain[pattern]) or (
                _stands_alone(spaced, start + 1, end + 1, kind=kinds[pattern])
                and (not has_links or _is_readable(folded, start, end, unreadable, kind=kinds[pattern]))
            ):
                found.append(hit)
        return found

    def named(self, standing: Sequence[Hit]) -> tuple[str, ...]:
        """The names of the brands that these words name, in the order of the brands file, each once."""
        if not standing:
            return ()
        seen = frozenset(pattern for pattern, _, _ in standing)
        if (names := self._known.get(seen)) is None:
            if len(self._known) >= KNOWN_SETS:
                self._known.clear()
            names = self._known[seen] = self._named(seen)
        return names

    def facets(self, standing: Sequence[Hit]) -> frozenset[int]:
        """Numbers, in the order of the brands file, of the facets of which one of these words is a word."""
        if not self._by_facet:
            return NO_FACETS
        return frozenset(number for pattern, _, _ in standing for number in self._by_facet.get(pattern, ()))

    def _named(self, seen: frozenset[int]) -> tuple[str, ...]:
        handled = {brand for pattern in seen for brand in self._by_handle.get(pattern, ())}
        worded = {brand for pattern in seen for brand in self._by_word.get(pattern, ())} - handled
        found = handled | {brand for brand in worded if self._rules[brand].allows(seen)}
        return tuple(self._rules[brand].name for brand in sorted(found))

    def places(self, standing: Sequence[Hit], brands: Sequence[str]) -> list[tuple[int, int, int]]:
        """Where *standing* words name each of *brands*: (start, end, number in *brands*).

        Words of a brand that matched by its handle count only where its context words allow them.
        """
        wanted = {self._index[name]: number for number, name in enumerate(brands)}
        seen = {pattern for pattern, _, _ in standing}
        found: list[tuple[int, int, int]] = []
        for pattern, start, end in standing:
            for brand in self._by_handle.get(pattern, ()):
                if brand in wanted:
                    found.append((start, end, wanted[brand]))
            for brand in self._by_word.get(pattern, ()):
                if brand in wanted and self._rules[brand].allows(seen):
                    found.append((start, end, wanted[brand]))
        return found


def fold(text: str) -> str:
    """*text* in the form in which texts and words are compared: NFKC, casefolded, single spaces.

    Not for showing: its length differs from the text's ("ß" is "ss"). Turkish dotted and dotless i are both "i",
    for capitals do not tell them apart.
    """
    if text.isascii() and "&" not in text:
        return single_spaces(text).casefold()
    return single_spaces(fold_characters(unescape(text)))


def fold_characters(text: str) -> str:
    """`fold` but for HTML and white space: each character by itself, but for marks that join their letter."""
    if text.isascii():
        return text.casefold()
    text = unicodedata.normalize("NFKC", text.translate(_BEFORE_NFKC))
    return text.casefold().replace("i\u0307", "i").replace("ı", "i").casefold()


def _is_plain(pattern: str) -> bool:
    """Whether *pattern*, between two spaces, can be no piece of a link, an address or a longer handle."""
    return (
        len(pattern) <= LONGEST_CHUNK
        and "/" not in pattern
        and "www." not in pattern
        and pattern.count("@") == (pattern[0] == "@")
    )


def _stands_alone(text: str, start: int, end: int, *, kind: str) -> bool:
    """Of a match that something lies before and after."""
    before, after = text[start - 1], text[end]
    if before not in _ASCII_EDGES and _joins(before, text[start], kind=kind):
        return False
    if after in _ASCII_EDGES and kind != "@":
        return True
    if _is_mark(after) or _joins(after, text[end - 1], kind=kind):
        return False
    # `@united.com` and `@united@an.instance` are other accounts; `@united.` ends a sentence.
    return not (kind == "@" and after in ".@" and end + 1 < len(text) and _is_word(text[end + 1]))


def _is_readable(text: str, start: int, end: int, unreadable: dict[int, list[tuple[int, int]]], *, kind: str) -> bool:
    """Whether the match is something a person reads, not a piece of a link, an address or somebody's handle.

    *unreadable* remembers, by the start of a chunk, the spans found in it: a chunk with many hits is searched once.
    """
    if kind != "@" and start > 0 and text[start - 1] == "@" and text[start].isalnum():
        return False  # a handle's own word, as most of these are
    left = text.rfind(" ", 0, start) + 1
    right = text.find(" ", end)
    chunk = text[left:] if right < 0 else text[left:right]
    if len(chunk) > LONGEST_CHUNK:
        return False
    # Nearly every chunk ends here; the expression over the whole text took most of the time of a match.
    if "/" not in chunk and "www." not in chunk and chunk.count("@") == (kind == "@"):
        return True
    # A handle lies at the very start of its own span; deeper inside one, it is a piece of that.
    if left not in unreadable:
        unreadable[left] = [found.span() for found in _UNREADABLE.finditer(chunk)]
    at = start - left
    return not any(first <= at < last and (kind != "@" or first < at) for first, last in unreadable[left])


def _joins(neighbour: str, edge: str, *, kind: str) -> bool:
    """Whether *neighbour*, just outside a match, makes one word with the match's own last character *edge*."""
    if not _is_word(neighbour):
        return False
    if kind == "@":
        # Handles are ASCII wherever they matter, and Chinese or Japanese text goes on right behind them.
        return not _is_unspaced(neighbour)
    return not (_is_unspaced(neighbour) or _is_unspaced(edge))


def _is_unspaced(character: str) -> bool:
    return character > "\u0dff" and _UNSPACED.match(character) is not None


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_" or _is_mark(character)


def _is_mark(character: str) -> bool:
    return character > "\x7f" and unicodedata.category(character)[0] == "M"

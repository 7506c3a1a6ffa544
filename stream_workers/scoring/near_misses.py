"""Finds near misses of brand keywords in posts that name no brand: joined, hyphenated, without accents. Pure.

A near miss does not match; an operator may add it to the brands file.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Container, Sequence, Sized
from typing import Protocol

import ahocorasick_rs
import numpy as np
import numpy.typing as npt

from brandpulse.config.brands_file import Brand
from brandpulse.schema.posts import WirePost
from brandpulse.state.outcomes.near_misses import LONGEST
from brandpulse.text.brand_matcher import BrandMatcher
from brandpulse.text.characters import normalize_text

SAMPLED, LARGE, SAMPLED_OF_LARGE = 8, 128, 2
"""Unmatched posts searched per partition's batch: fewer of a large one, because large batches arrive more often."""
FEWEST_LETTERS = 4
"""Shorter keywords are close to too many other words."""
MOST_WORDS = 4
MOST_CHARACTERS = 1_000
"""Of each post."""

_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
_SIGNS = re.compile(r"[\W_]+")
_JOINED_PREFIXES = ("وال", "بال", "لل", "ال", "و", "ب", "ل", "ف", "ك", "וה", "שה", "ה", "ב", "ל", "מ", "ש", "ו", "כ")
"""Arabic and Hebrew words that are written together with the next one."""


class PostBatch(Sized, Protocol):
    """The part of a decoded batch that is searched."""

    @property
    def unmatched(self) -> npt.NDArray[np.intp]: ...

    @property
    def dead(self) -> Container[int]: ...

    def post(self, row: int) -> WirePost: ...


class NearMissFinder:
    """Built once, never changed."""

    def __init__(self, brands: Sequence[Brand], matcher: BrandMatcher) -> None:
        self._matcher = matcher
        self._keywords: dict[str, str] = {}
        for brand in brands:
            for keyword in (*brand.terms, *brand.handles, *brand.hashtags):
                if len(bare := bare_form(keyword)) >= FEWEST_LETTERS:
                    self._keywords.setdefault(bare, keyword)
        self._automaton = ahocorasick_rs.AhoCorasick(list(self._keywords), store_patterns=False)
        self._by_number = list(self._keywords.values())

    def find_in_batch(self, batch: PostBatch) -> Counter[str]:
        """Near misses in a sample of the unmatched rows of *batch* -> posts."""
        found = Counter[str]()
        if not self._keywords:
            return found
        unmatched = batch.unmatched
        sample_size = SAMPLED if len(batch) < LARGE else SAMPLED_OF_LARGE
        for row in unmatched[:: max(1, len(unmatched) // sample_size)][:sample_size].tolist():
            if row not in batch.dead:
                found.update(self.find(batch.post(row).text))
        return found

    def find(self, text: str) -> set[str]:
        """`WRITTEN for KEYWORD` of each near miss in *text*."""
        if not self._automaton.find_matches_as_indexes(bare_form(text[:MOST_CHARACTERS])):
            return set()
        tokens = _TAG.sub(lambda tag: tag[0].split()[0].rstrip(">") + ">", text[:MOST_CHARACTERS]).split()
        bare = [bare_form(token) for token in tokens]
        found = set()
        for first in range(len(tokens)):
            joined = ""
            for last in range(first, min(first + MOST_WORDS, len(tokens))):
                joined += bare[last]
                keyword = self._keywords.get(joined)
                if keyword is None and first == last:
                    keyword = self._within_hashtag(tokens[first], joined) or self._after_prefix(joined)
                if keyword is None:
                    continue
                written = " ".join(tokens[first : last + 1])
                # A keyword that is in the post did not count because of `require` or `exclude`.
                if not self._matcher.find_hits(normalize_text(written)) and (shown := _printable(written)):
                    found.add(f"{shown} for {keyword}")
        return found

    def _within_hashtag(self, token: str, bare: str) -> str | None:
        """The keyword that a hashtag starts or ends with."""
        if not token.startswith("#"):
            return None
        hits = self._automaton.find_matches_as_indexes(bare, overlapping=True)
        return next((self._by_number[number] for number, start, end in hits if not start or end == len(bare)), None)

    def _after_prefix(self, bare: str) -> str | None:
        if bare.isascii():
            return None
        prefixes = [prefix for prefix in _JOINED_PREFIXES if bare.startswith(prefix)]
        return next((keyword for prefix in prefixes if (keyword := self._keywords.get(bare[len(prefix) :]))), None)


def bare_form(word: str) -> str:
    """The letters and digits of *word*, case-folded: no signs, accents, invisible characters or HTML tags."""
    if "<" in word:
        word = _TAG.sub("", word)
    if not word.isascii():
        word = unicodedata.normalize("NFKD", word).replace("\u0640", "")
        word = "".join(character for character in word if unicodedata.category(character)[0] != "M")
    return _SIGNS.sub("", word.casefold()).replace("ς", "σ")


def _printable(written: str) -> str:
    shown = "".join(one if one.isprintable() else f"<U+{ord(one):04X}>" for one in written)
    return shown if len(shown) <= LONGEST else ""

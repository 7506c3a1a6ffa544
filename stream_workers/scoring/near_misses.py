"""Finds words near a brand's in posts that name no brand: joined, hyphenated, without accents. Pure.

What it finds does not match; a person may add it to the brands file.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import ahocorasick_rs
import numpy as np

from brandpulse.config.brands_file import Brand
from brandpulse.state.outcomes.near_misses import LONGEST
from brandpulse.text.brand_matcher import fold
from stream_workers.decoding.decoded_batch import Rows

SAMPLED, LARGE, SAMPLED_OF_LARGE = 8, 128, 2
"""Unmatched posts of a partition's batch that are looked at: fewer of a large one, for more such come each second."""
FEWEST_LETTERS = 4
"""Shorter words are near too many others."""
MOST_WORDS = 4
MOST_CHARACTERS = 1_000
"""Of each post."""

_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
_SIGNS = re.compile(r"[\W_]+")
_JOINED = ("وال", "بال", "لل", "ال", "و", "ب", "ل", "ف", "ك", "וה", "שה", "ה", "ב", "ל", "מ", "ש", "ו", "כ")
"""Arabic and Hebrew words that are written together with the next one."""


class NearMissFinder:
    """Built once, never changed."""

    def __init__(self, brands: Sequence[Brand]) -> None:
        self._words: dict[str, str] = {}
        for brand in brands:
            for word in (*brand.terms, *brand.handles, *brand.hashtags):
                if len(bare := bare_form(word)) >= FEWEST_LETTERS:
                    self._words.setdefault(bare, word)
        self._automaton = ahocorasick_rs.AhoCorasick(list(self._words), store_patterns=False)
        self._known = {fold(word).lstrip("@#") for word in self._words.values()}

    def look(self, rows: Rows) -> Counter[str]:
        """Near misses in a sample of those of *rows* that name no brand -> posts."""
        found = Counter[str]()
        if not self._words:
            return found
        names = np.array([bool(meaning.brands) for meaning in rows.meanings])
        without = np.flatnonzero(~(names[rows.which] | rows.unread))
        most = SAMPLED if len(rows) < LARGE else SAMPLED_OF_LARGE
        for row in without[:: max(1, len(without) // most)][:most].tolist():
            if row not in rows.dead:
                found.update(self.near(rows.post(row).text))
        return found

    def near(self, text: str) -> set[str]:
        """`WRITTEN for WORD` of each word in *text* that is nearly one of a brand's."""
        if not self._automaton.find_matches_as_indexes(bare_form(text[:MOST_CHARACTERS])):
            return set()
        tokens = _TAG.sub(lambda tag: tag[0].split()[0].rstrip(">") + ">", text[:MOST_CHARACTERS]).split()
        bare = [bare_form(token) for token in tokens]
        found = set()
        for first in range(len(tokens)):
            joined = ""
            for last in range(first, min(first + MOST_WORDS, len(tokens))):
                joined += bare[last]
                if (word := self._words.get(joined) or (self._prefixed(joined) if first == last else None)) is None:
                    continue
                written = " ".join(tokens[first : last + 1])
                if fold(written).strip(".,:;!?…") not in self._known and (shown := _shown(written)):
                    found.add(f"{shown} for {word}")
        return found

    def _prefixed(self, bare: str) -> str | None:
        if bare.isascii():
            return None
        heads = [head for head in _JOINED if bare.startswith(head)]
        return next((word for head in heads if (word := self._words.get(bare[len(head) :]))), None)


def bare_form(word: str) -> str:
    """Letters and digits of *word* alone: no signs, accents, invisible characters or HTML tags; case folded."""
    if "<" in word:
        word = _TAG.sub("", word)
    if not word.isascii():
        word = unicodedata.normalize("NFKD", word).replace("\u0640", "")
        word = "".join(one for one in word if unicodedata.category(one)[0] != "M")
    return _SIGNS.sub("", word.casefold()).replace("ς", "σ")


def _shown(written: str) -> str:
    shown = "".join(one if one.isprintable() else f"<U+{ord(one):04X}>" for one in written)
    return shown if len(shown) <= LONGEST else ""

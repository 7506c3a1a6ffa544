"""The normalized form in which texts and keywords are compared, and the character classes of the matcher.

Native code asks this module about each character (`stream_workers/native/src/folding.rs`).
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from brandpulse.text.html_entities import unescape
from brandpulse.text.normalization import single_spaces
from brandpulse.text.readable_text import INVISIBLE

_BEFORE_NFKC = str.maketrans(
    {
        # NFKC would append "tm" or "sm" to the word, and the brand would not be found.
        **dict.fromkeys("™℠®©", " "),
        **dict.fromkeys("‘’ʼ´′ʻʽ՚׳\u02b9\u0374", "'"),
        **dict.fromkeys("‐‑–", "-"),
        # And joiners and variation selectors, which `readable_text` keeps where people see their effect.
        **dict.fromkeys(INVISIBLE + "\u200c\u200d\ufe0e\ufe0f", None),
    }
)
# Scripts written without spaces, and Hangul, whose particles attach to the word: these have no whole words to find.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u318f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_SEGMENT = re.compile(
    # A character and the marks that NFKC may join to it: Latin, Greek and Cyrillic accents, Japanese voicing, Hangul.
    "[\x00-\x7f]+(?![\u0300-\u036f])|.[\u0300-\u036f\u3099\u309a\u1161-\u1175\u11a8-\u11c2]*",
    re.DOTALL,
)


def normalize_text(text: str) -> str:
    """The form in which texts and keywords are compared: NFKC, case-folded, single spaces, HTML entities resolved.

    Not for display: its length differs from the text's ("ß" is "ss"). Turkish dotted and dotless i are both "i",
    because capitals do not distinguish them.
    """
    if text.isascii() and "&" not in text:
        return single_spaces(text).casefold()
    return single_spaces(normalize_characters(unescape(text)))


def normalize_characters(text: str) -> str:
    """`normalize_text` without HTML entities and white space: character by character, except marks that join one."""
    if text.isascii():
        return text.casefold()
    text = unicodedata.normalize("NFKC", text.translate(_BEFORE_NFKC))
    return text.casefold().replace("i\u0307", "i").replace("ı", "i").casefold()


def normalize_with_offsets(text: str) -> tuple[str, Sequence[int], Sequence[int]]:
    """The normalized *text* and, for each of its characters, the start and end of its origin in *text*.

    *text* holds no white space except single spaces.
    """
    if text.isascii():
        return text.casefold(), range(len(text)), range(1, len(text) + 1)
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for found in _SEGMENT.finditer(text):
        segment, (start, end) = found.group(), found.span()
        if segment.isascii():
            parts.append(segment.casefold())
            starts += range(start, end)
            ends += range(start + 1, end + 1)
            continue
        normalized = _normalize_segment(segment)
        if normalized.startswith(" ") and (not parts or parts[-1].endswith(" ")):
            normalized = normalized.removeprefix(" ")
        if normalized:
            parts.append(normalized)
            starts += [start] * len(normalized)
            ends += [end] * len(normalized)
    return "".join(parts), starts, ends


@lru_cache(maxsize=8_192)
def _normalize_segment(segment: str) -> str:
    # NFKC writes a lone diaeresis as a space and a mark: a run of white space becomes one space.
    return re.sub(r"\s+", " ", normalize_characters(segment))


def is_word(character: str) -> bool:
    """Whether *character* belongs to a word: a letter, digit, underscore or mark."""
    return character.isalnum() or character == "_" or is_mark(character)


def is_unspaced(character: str) -> bool:
    """Whether *character* is of a script without spaces between words, or Hangul."""
    return character > "\u0dff" and _UNSPACED.match(character) is not None


def is_mark(character: str) -> bool:
    """Whether *character* is a combining mark beyond ASCII."""
    return character > "\x7f" and unicodedata.category(character)[0] == "M"

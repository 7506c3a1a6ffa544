"""The form in which the matcher searches: a normalized text without accents, vowel marks and lookalike letters.

Native code asks `match_form` about each character (`stream_workers/native/src/folding.rs`).
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

from brandpulse.text.normalization import single_spaces

Differences = frozenset[str]
"""Names of `brandpulse.config.variants.Variants`: accents, lookalikes, vowel_marks."""
NO_DIFFERENCES: Differences = frozenset()

_ACCENTED = (range(0xC0, 0x250), range(0x300, 0x345), range(0x370, 0x530), range(0x1E00, 0x2000))
_OTHER_LETTERS = frozenset("йїўѓќӣӥӯѝ")
"""Cyrillic letters of their own, which Unicode composes with a mark."""
_WITHOUT_A_MARK = {"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ŧ": "t", "æ": "ae", "œ": "oe"}

_VOWEL_MARKS = {
    # Tatweel, Arabic vowel and Quran marks, Hebrew points and accents.
    **dict.fromkeys([0x640, *range(0x610, 0x61B), *range(0x64B, 0x660), 0x670, *range(0x6D6, 0x6DD)]),
    **dict.fromkeys(point for point in range(0x591, 0x5C8) if point not in (0x5BE, 0x5C0, 0x5C3, 0x5C6)),
    **{ord(letter): "ا" for letter in "أإآٱ"},
    **{ord(letter): "ي" for letter in "ىی"},
    **{ord("ة"): "ه", ord("ک"): "ك"},
}

_SMALL_CAPITALS = dict(zip(map(ord, "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢɑɡ"), "abcdefghijklmnoprstuvwyzag", strict=True))
"""Latin letters that occur in no usual word."""
_LIKE_LATIN = str.maketrans(
    "авекмнорстухіѕјһԁԛԝαβεζηικμνορτυχ",
    "abekmhopctyxisjhdqwabezhikmnoptyx",
)
"""Cyrillic and Greek letters that look like a Latin one, the small or the capital letter."""
_OTHER_SCRIPT = "\u0370-\u052f"
_MIXED = re.compile(rf"[a-z][{_OTHER_SCRIPT}]|[{_OTHER_SCRIPT}][a-z]")
_RUN = re.compile(rf"[a-z{_OTHER_SCRIPT}]+")


def match_form(normalized: str, kept: Differences = NO_DIFFERENCES) -> str:
    """*normalized*, a text in the form of `normalize_text`, as the matcher searches it.

    Differences that *kept* names stay. The form of each character depends on it alone, except in a word that mixes
    Latin letters with Greek or Cyrillic ones: their lookalikes become Latin letters.
    """
    if normalized.isascii():
        return normalized
    # A mark that was removed may have been alone between two spaces.
    return single_spaces(match_characters(normalized, kept))


def match_characters(normalized: str, kept: Differences = NO_DIFFERENCES) -> str:
    """`match_form` with all its white space."""
    form = normalized.translate(_table(kept))
    if "lookalikes" not in kept and _MIXED.search(form):
        form = _RUN.sub(lambda run: run[0].translate(_LIKE_LATIN) if _MIXED.search(run[0]) else run[0], form)
    return form


def match_form_with_origins(normalized: str) -> tuple[str, Sequence[int] | None]:
    """`match_form` of *normalized*, and for each of its characters the position in *normalized*, then its length.

    None instead of the positions: they are the same in both.
    """
    form = match_form(normalized)
    if form is normalized or not _resized().search(normalized):
        return form, None
    table = _table(NO_DIFFERENCES)
    origins: list[int] = []
    for at, character in enumerate(normalized):
        plain = character.translate(table)
        # The spaces that `single_spaces` removes.
        if plain == " " and (not origins or normalized[origins[-1]] == " "):
            continue
        origins += [at] * len(plain)
    return form, [*origins[: len(form)], len(normalized)]


def is_lookalike_script(character: str) -> bool:
    """Whether *character* is of a script whose letters `match_form` compares with Latin ones."""
    return "\u0370" <= character <= "\u052f"


@cache
def _table(kept: Differences) -> dict[int, str | None]:
    table: dict[int, str | None] = {}
    if "accents" not in kept:
        table |= _without_accents()
    if "vowel_marks" not in kept:
        table |= _VOWEL_MARKS
    if "lookalikes" not in kept:
        table |= _SMALL_CAPITALS
    return table


@cache
def _without_accents() -> dict[int, str]:
    table = {ord(letter): plain for letter, plain in _WITHOUT_A_MARK.items()}
    for character in (chr(point) for points in _ACCENTED for point in points):
        parts = unicodedata.normalize("NFD", character)
        plain = "".join(part for part in parts if not "\u0300" <= part <= "\u0344")
        if plain != character and character not in _OTHER_LETTERS:
            table[ord(character)] = plain.translate(_WITHOUT_A_MARK_TABLE)
    return table


_WITHOUT_A_MARK_TABLE = str.maketrans(_WITHOUT_A_MARK)


@cache
def _resized() -> re.Pattern[str]:
    """Characters whose form is not one character."""
    odd = (point for point, form in _table(NO_DIFFERENCES).items() if form is None or len(form) != 1)
    return re.compile("[" + "".join(re.escape(chr(point)) for point in odd) + "]")

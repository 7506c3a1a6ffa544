"""A text for the detectors: Unicode variants replaced by plain characters, with each position in the original."""

import re
import sys
import unicodedata
from collections.abc import Sequence

BLANK = "\0"
"""Replaces masked parts in a view: no pattern matches across it."""

_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff"
)
_HIDDEN = re.compile(f"[{_INVISIBLE}\U000e0000-\U000e007f]")
_ODD = re.compile(
    f"[{_INVISIBLE}\u00a0-\u036f\u0600-\u0dff\u0e50-\u0e59\u1040-\u1049\u17e0-\u17e9\u1810-\u1819\u1680\u2000-\u214f\u2212\u2460-\u24ff\u3000\ufe50-\uffef\U0001d400-\U0001d7ff\U000e0000-\U000e007f]"
)


def _plain_characters() -> dict[int, str]:
    """
    Variants of ASCII characters: full-width and mathematical forms, digits of all scripts,
    spaces, dashes.
    """
    table = {
        ord(c): " "
        for c in "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
    }
    table |= {ord(c): "-" for c in "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"}
    table |= {ord(c): "/" for c in "\u2044\u2215"}
    blocks = (
        (0x660, 0xDF0),
        (0xE50, 0xE5A),
        (0x1040, 0x104A),
        (0x17E0, 0x17EA),
        (0x1810, 0x181A),
        (0x2070, 0x214F),
        (0x2460, 0x24FF),
        (0xFE50, 0xFFF0),
        (0x1D400, 0x1D800),
    )
    for first, end in blocks:
        for code in range(first, end):
            if code in table:
                continue
            digit = unicodedata.digit(chr(code), None) if code < 0x2460 or code > 0x24FF else None
            if digit is not None:
                table[code] = str(digit)
                continue
            form = unicodedata.normalize("NFKC", chr(code))
            if len(form) == 1 and form.isascii():
                table[code] = form
    return table


_PLAIN = _plain_characters()
if sys.maxunicode < 0x10FFFF:  # pragma: no cover
    raise ImportError("wide characters are wanted")


class PlainView:
    """*text* for detectors; `text[begin:end]` of it is `original[place(begin) : place_after(end)]`."""

    def __init__(self, text: str) -> None:
        self._places: Sequence[int] | None = None
        if not text.isascii() and _ODD.search(text):
            if _HIDDEN.search(text):
                self._places = [at for at, c in enumerate(text) if not _HIDDEN.match(c)]
                text = _HIDDEN.sub("", text)
            text = text.translate(_PLAIN)
        self.text = text

    def span(self, begin: int, end: int) -> tuple[int, int]:
        """The range of the non-empty `text[begin:end]` in the original."""
        if self._places is None:
            return begin, end
        return self._places[begin], self._places[end - 1] + 1

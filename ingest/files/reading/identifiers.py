"""Ids as spreadsheets and data frames leave them: their dress taken off, and those that are no ids told apart.

An id that is none, such as `nan`, makes one post of all the rows that hold it; a dress, such as `="123"`, makes two
posts of one.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import cast

_INVISIBLE = dict.fromkeys(
    [*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065), 0xFEFF, 0xAD, 0x34F, 0x180E]
)
_FORMULA = re.compile(r'=\s*(?:T\()?\s*(?:"([^"]*)"|(\d+))\s*\)?')
_WHOLE_FLOAT = re.compile(r"([+-]?\d+)(?:\.0*|,0)")
_GROUPED = re.compile(r"\d{1,3}(?:([,' \u2019])\d{3})(?:\1\d{3})*")
_SCIENTIFIC = re.compile(r"[+-]?\d+(?:[.,]\d*[eE][+-]?\d+|[eE][+-]\d+|E1\d)")
"""As spreadsheets and programs write it; ids such as `12e4567` are none."""
_SHEET_ERROR = re.compile(r"#+|#[^\W\d_]{2,}[!?]|#DIV/0!|#N/A.*|#NV|#GETTING_DATA", re.IGNORECASE)
_NO_WORDS = (
    "nan none null nil nul na undefined unknown missing empty void nat true false yes no wahr falsch vrai faux "
    "inf infinity object id"
)
_NO_VALUES = (
    "n/a n.a. n/d <na> (null) <null> (none) <none> (empty) (blank) [null] {null} \\n -inf +inf -infinity [object] -1"
)
_NONE = frozenset([*_NO_WORDS.split(), *_NO_VALUES.split(), "[object object]", "(not set)", "not available"])
_EXACT = 2**53
"""Beyond this, a floating-point number does not hold every integer."""


def clean_id(value: object) -> object:
    """*value* without what spreadsheets, data frames and JSON writers put around an id; text where it is one."""
    if type(value) is int:
        return str(value)
    if type(value) is float:
        return str(int(value)) if math.isfinite(value) and value.is_integer() and abs(value) <= _EXACT else value
    if type(value) is not str:
        return value
    # Most ids are plain.
    if value.isalnum() and value.isascii():
        return value
    return _clean_text(value)


def _clean_text(text: str) -> str:
    if not text.isascii():
        text = text.translate(_INVISIBLE)
        text = "".join(unicodedata.normalize("NFKC", sign) if "！" <= sign <= "～" else sign for sign in text)
        text = "".join(" " if sign.isspace() else sign for sign in text)
    text = text.strip(" \t\r\n\f\v")
    for _ in range(3):
        before = text
        if text[:1] == "=" and (formula := _FORMULA.fullmatch(text)):
            text = (formula[1] or formula[2] or "").strip()
        elif len(text) > 2 and text[0] == text[-1] and text[0] in "\"'`":
            text = text[1:-1].strip()
        elif text[:1] == "'":
            # How a spreadsheet marks a number that is text.
            text = text[1:].strip()
        if text == before:
            break
    if (whole := _WHOLE_FLOAT.fullmatch(text)) and abs(int(whole[1])) <= _EXACT:
        text = whole[1]
    if grouped := _GROUPED.fullmatch(text):
        text = text.replace(grouped[1], "")
    return text


def id_flaw(value: object) -> str | None:  # noqa: PLR0911 - a list of cases
    """Why *value*, clean_id, is no id; None where it may be one."""
    if type(value) is not str:
        return _flaw_of_other(value)
    if value.isalnum():
        # Most ids are plain.
        if value.isdecimal():
            return None if value.strip("0") else _ZEROS
        if len(value) > 9:
            return None
    if not value:
        return "is missing: an empty id"
    known = " ".join(value.casefold().split())
    if known in _NONE or _SHEET_ERROR.fullmatch(value):
        return "is no id but stands for a missing value"
    if not any(sign.isalnum() for sign in value):
        return "is no id: it has no letter and no digit"
    if not value.strip("0-.,{}+"):
        return _ZEROS
    if _SCIENTIFIC.fullmatch(value):
        return f"is no id: a spreadsheet rounded it to scientific notation; {_WAY_OUT}"
    if value[0] == "=":
        return "is no id but a formula"
    if (whole := _WHOLE_FLOAT.fullmatch(value)) and abs(int(whole[1])) > _EXACT:
        return f"is no id: it was a floating-point number, which has lost its last digits; {_WAY_OUT}"
    return None


def _flaw_of_other(value: object) -> str:
    if isinstance(value, bool):
        return "is no id but true or false"
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return f"is no id: it was a floating-point number, which has lost its last digits; {_WAY_OUT}"
    return f"is no id but {'a number with a fraction' if isinstance(value, float) else 'a list or an object'}"


_ZEROS = "is no id: nothing but zeros"
_WAY_OUT = "format the column as text and export it again"
_SIGNIFICANT = (15, 17)
"""Decimal digits that a spreadsheet keeps, and that a floating-point number is written with."""
_LONGEST = 40
_REMEMBERED = 10_000
"""Ids that end in zero, each of which counts once as evidence."""
UNLIKELY = 1.5e-3


def clean_author(value: object) -> tuple[object, str | None]:
    """*value* clean_id, and why it is no author: people whose ids were rounded would become one person."""
    if type(value) is not str or not value.isascii() or not value.isalnum():
        value = clean_id(value)
    if type(value) is str and value[:1].isdigit() and not value.isdecimal() and _SCIENTIFIC.fullmatch(value):
        return value, f"is no author: a spreadsheet rounded it to scientific notation; {_WAY_OUT}"
    return value, None


class IdColumn:
    """What the first rows of a file's id column prove about the rest of it."""

    def __init__(self, sample: Sequence[object] = (), *, trust: bool = False, keep_rounded: bool = False) -> None:
        """*trust*: take ids that end in zeros as they are. *keep_rounded*: take rounded ids, which may still tell posts
        apart: `rounding_flaw` then says which of them are rounded."""
        texts = [clean_id(value) for value in sample]
        self._rounded = RoundedIds() if trust else RoundedIds(text for text in texts if isinstance(text, str))
        self._by_length = self._rounded.by_length
        self._trust = trust
        self._keep_rounded = keep_rounded
        # Rows numbered from zero have one zero. Further ones show up as repeats.
        self._counts_from_zero = texts.count("0") == 1 and "1" in texts and "2" in texts

    def read(self, value: object) -> tuple[object, str | None]:
        """*value* clean_id, and why it is no id of this column."""
        if type(value) is not str or not value.isascii() or not value.isalnum():
            value = clean_id(value)
        elif len(value) > _SIGNIFICANT[0] and value[-1] != "0":
            # Most ids are plain, and end in another digit.
            if value.isdecimal() and len(value) <= _LONGEST:
                self._by_length[len(value)] += 1
            return value, None
        flaw = id_flaw(value)
        if flaw is not None:
            return value, None if value == "0" and self._counts_from_zero else flaw
        if self._trust:
            return value, None
        rounded = self._rounded.flaw(cast("str", value))
        return value, None if self._keep_rounded else rounded

    def rounding_flaw(self, post_id: str) -> str | None:
        """Why *post_id* is no id, if a spreadsheet rounded it; None otherwise, and for ids that are trusted."""
        return None if self._trust else self._rounded.flaw(post_id)


class RoundedIds:
    """Finds the ids whose last digits a spreadsheet turned into zeros, such as 1899999999999990000.

    One id in 10,000 of 19 digits ends in four zeros by itself. So ids are called rounded only while at least half of
    the long ids of the column end so, and so many would do so by chance less than once in 700 columns.
    """

    def __init__(self, sample: Iterable[str] = ()) -> None:
        self.by_length = [0] * (_LONGEST + 1)
        """How many ids of so many digits were seen."""
        self._ending = dict.fromkeys(_SIGNIFICANT, 0)
        self._met: set[str] = set()
        for post_id in set(sample):
            if len(post_id) > _SIGNIFICANT[0] and post_id.isdecimal():
                self._add(post_id)

    def flaw(self, post_id: str) -> str | None:
        """Why *post_id* is no id, if it was rounded. Ids are remembered as evidence for those that follow."""
        if len(post_id) <= _SIGNIFICANT[0] or not post_id.isdecimal():
            return None
        self._add(post_id)
        for digits in _SIGNIFICANT:
            if self._ends(post_id, digits) and self._is_rounded(digits):
                return (
                    f"is no id: a spreadsheet rounded it to {digits} digits; {_WAY_OUT}, "
                    "or use --trust-ids if the ids are right"
                )
        return None

    @staticmethod
    def _ends(post_id: str, digits: int) -> bool:
        return digits < len(post_id) <= _LONGEST and post_id.endswith("0" * (len(post_id) - digits))

    def _add(self, post_id: str) -> None:
        if post_id[-1] == "0":
            if post_id in self._met:
                return
            if len(self._met) < _REMEMBERED:
                self._met.add(post_id)
            for digits in _SIGNIFICANT:
                self._ending[digits] += self._ends(post_id, digits)
        if len(post_id) <= _LONGEST:
            self.by_length[len(post_id)] += 1

    def _is_rounded(self, digits: int) -> bool:
        lengths = range(digits + 1, _LONGEST + 1)
        expected = sum(self.by_length[length] * 10.0 ** (digits - length) for length in lengths)
        ending = self._ending[digits]
        return ending * 2 >= sum(self.by_length[digits + 1 :]) and _at_least(ending, expected) < UNLIKELY


def _at_least(count: int, expected: float) -> float:
    """The probability of *count* or more where *expected* are usual (Poisson)."""
    if count > expected + 40:
        return 0.0
    term = math.exp(-expected)
    below = 0.0
    for number in range(count):
        below += term
        term *= expected / (number + 1)
    # Far out, what is left over from one is rounding error; the first term is the larger part of the tail.
    return max(1.0 - below, 0.0) if below < 1 - 1e-9 else term

"""Cleans ids from spreadsheets and data frames, and rejects values that are not ids.

A placeholder such as `nan` would turn all its rows into one post. A decorated id such as `="123"` would turn one post
into two.
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
"""As spreadsheets and programs write it; `12e4567` can be an id."""
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
"""Above this, a floating-point number cannot represent every integer."""


def clean_id(value: object) -> object:
    """*value* without the decoration of spreadsheets, data frames and JSON writers; as text if it is an id."""
    if type(value) is int:
        return str(value)
    if type(value) is float:
        return str(int(value)) if math.isfinite(value) and value.is_integer() and abs(value) <= _EXACT else value
    if type(value) is not str:
        return value
    # Fast path: most ids are plain.
    if value.isalnum() and value.isascii():
        return value
    return _clean_text(value)


def _clean_text(text: str) -> str:
    if not text.isascii():
        text = text.translate(_INVISIBLE)
        text = "".join(
            unicodedata.normalize("NFKC", character) if "！" <= character <= "～" else character for character in text
        )
        text = "".join(" " if character.isspace() else character for character in text)
    text = text.strip(" \t\r\n\f\v")
    for _ in range(3):
        before = text
        if text[:1] == "=" and (formula := _FORMULA.fullmatch(text)):
            text = (formula[1] or formula[2] or "").strip()
        elif len(text) > 2 and text[0] == text[-1] and text[0] in "\"'`":
            text = text[1:-1].strip()
        elif text[:1] == "'":
            # A spreadsheet marks a number stored as text like this.
            text = text[1:].strip()
        if text == before:
            break
    if (whole := _WHOLE_FLOAT.fullmatch(text)) and abs(int(whole[1])) <= _EXACT:
        text = whole[1]
    if grouped := _GROUPED.fullmatch(text):
        text = text.replace(grouped[1], "")
    return text


def id_flaw(value: object) -> str | None:  # noqa: PLR0911 - a list of cases
    """Why *value*, after `clean_id`, is not an id; None if it may be one."""
    if type(value) is not str:
        return _flaw_of_other(value)
    if value.isalnum():
        # Fast path: most ids are plain.
        if value.isdecimal():
            return None if value.strip("0") else _ZEROS
        if len(value) > 9:
            return None
    if not value:
        return "is missing: an empty id"
    known = " ".join(value.casefold().split())
    if known in _NONE or _SHEET_ERROR.fullmatch(value):
        return "is not an id but a placeholder for a missing value"
    if not any(character.isalnum() for character in value):
        return "is not an id: it has no letter or digit"
    if not value.strip("0-.,{}+"):
        return _ZEROS
    if _SCIENTIFIC.fullmatch(value):
        return f"is not an id: a spreadsheet rounded it to scientific notation; {_REMEDY}"
    if value[0] == "=":
        return "is not an id but a formula"
    if (whole := _WHOLE_FLOAT.fullmatch(value)) and abs(int(whole[1])) > _EXACT:
        return f"is not an id: it was a floating-point number and has lost its last digits; {_REMEDY}"
    return None


def _flaw_of_other(value: object) -> str:
    if isinstance(value, bool):
        return "is not an id but true or false"
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return f"is not an id: it was a floating-point number and has lost its last digits; {_REMEDY}"
    return f"is not an id but {'a number with a fraction' if isinstance(value, float) else 'a list or an object'}"


_ZEROS = "is not an id: only zeros"
_REMEDY = "format the column as text and export it again"
_SIGNIFICANT = (15, 17)
"""Decimal digits of a spreadsheet number, and of a printed floating-point number."""
_LONGEST = 40
_REMEMBERED = 10_000
"""Maximum number of remembered ids that end in zero; each counts once as evidence."""
UNLIKELY = 1.5e-3


def clean_author(value: object) -> tuple[object, str | None]:
    """*value* cleaned, and why it is not an author id: rounded ids would merge several people into one."""
    if type(value) is not str or not value.isascii() or not value.isalnum():
        value = clean_id(value)
    if type(value) is str and value[:1].isdigit() and not value.isdecimal() and _SCIENTIFIC.fullmatch(value):
        return value, f"is not an author id: a spreadsheet rounded it to scientific notation; {_REMEDY}"
    return value, None


class IdColumn:
    """The id column of a file, with rules learned from its first rows."""

    def __init__(self, sample: Sequence[object] = (), *, trust: bool = False, keep_rounded: bool = False) -> None:
        """*trust*: accept ids that end in zeros. *keep_rounded*: accept rounded ids, which may still be distinct;
        `rounding_flaw` then reports which of them are rounded."""
        texts = [clean_id(value) for value in sample]
        self._rounded = RoundedIds() if trust else RoundedIds(text for text in texts if isinstance(text, str))
        self._by_length = self._rounded.by_length
        self._trust = trust
        self._keep_rounded = keep_rounded
        # Rows numbered from zero have one zero. More zeros appear as duplicates.
        self._counts_from_zero = texts.count("0") == 1 and "1" in texts and "2" in texts

    def parse(self, value: object) -> tuple[object, str | None]:
        """*value* cleaned, and why it is not an id of this column."""
        if type(value) is not str or not value.isascii() or not value.isalnum():
            value = clean_id(value)
        elif len(value) > _SIGNIFICANT[0] and value[-1] != "0":
            # Fast path: most ids are plain and do not end in zero.
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
        """Why *post_id* is not an id, if a spreadsheet rounded it; None otherwise, and for trusted ids."""
        return None if self._trust else self._rounded.flaw(post_id)


class RoundedIds:
    """Finds ids whose last digits a spreadsheet replaced with zeros, such as 1899999999999990000.

    One of 10,000 ids with 19 digits ends in four zeros by chance. Ids count as rounded only while at least half of the
    long ids of the column end like this, and while so many would occur by chance in less than one of 700 columns.
    """

    def __init__(self, sample: Iterable[str] = ()) -> None:
        self.by_length = [0] * (_LONGEST + 1)
        """Number of ids by their number of digits."""
        self._ending = dict.fromkeys(_SIGNIFICANT, 0)
        self._counted_ids: set[str] = set()
        for post_id in set(sample):
            if len(post_id) > _SIGNIFICANT[0] and post_id.isdecimal():
                self._add(post_id)

    def flaw(self, post_id: str) -> str | None:
        """Why *post_id* is not an id, if it was rounded. Ids are remembered as evidence for later ones."""
        if len(post_id) <= _SIGNIFICANT[0] or not post_id.isdecimal():
            return None
        self._add(post_id)
        for digits in _SIGNIFICANT:
            if self._ends(post_id, digits) and self._is_rounded(digits):
                return (
                    f"is not an id: a spreadsheet rounded it to {digits} digits; {_REMEDY}, "
                    "or use --trust-ids if the ids are correct"
                )
        return None

    @staticmethod
    def _ends(post_id: str, digits: int) -> bool:
        return digits < len(post_id) <= _LONGEST and post_id.endswith("0" * (len(post_id) - digits))

    def _add(self, post_id: str) -> None:
        if post_id[-1] == "0":
            if post_id in self._counted_ids:
                return
            if len(self._counted_ids) < _REMEMBERED:
                self._counted_ids.add(post_id)
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
    """Probability of *count* or more if *expected* is the mean (Poisson)."""
    if count > expected + 40:
        return 0.0
    term = math.exp(-expected)
    below = 0.0
    for number in range(count):
        below += term
        term *= expected / (number + 1)
    # For extreme counts, 1 - below is only rounding error; then the first term is most of the tail.
    return max(1.0 - below, 0.0) if below < 1 - 1e-9 else term

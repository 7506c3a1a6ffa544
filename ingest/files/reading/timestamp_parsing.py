"""Reading the moments that people's files write down.

Every character of a value is read or the value is refused: a part that is skipped moves a post by hours without a
trace. RFC 3339 takes the short way through `datetime.fromisoformat`; the rest is cut into tokens, one kind each.
"""

import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from ingest.files.reading.timestamp_tokens import FIRST_YEAR, LAST_YEAR, NO_ZONE, UNREADABLE, TimestampTokens

_UNITS = (
    (10**8, 42 * 10**8, 10**6),
    (10**11, 42 * 10**11, 10**3),
    (10**14, 42 * 10**14, 1),
    (10**17, 42 * 10**17, 0),
)
"""1973 to 2103 in seconds, milliseconds, microseconds, nanoseconds, and the microseconds in one (0: divide by 1,000).
The ranges do not touch, and a day like 20150222 is in none of them."""
_DAY_NUMBERS = (20_000.0, 80_000.0)
"""1954 to 2119, as spreadsheets count days."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_CHARS = 100
_WIDEST_OFFSET = timedelta(hours=14)


def parse_timestamp(  # noqa: PLR0912 - fast paths
    value: object, *, assume_utc: bool = False, day_first: bool | None = None
) -> datetime:
    """*value* as an aware moment in UTC. Raises ValueError with the reason.

    Read are RFC 3339 and its neighbours, dates in English words, the dates of the Twitter API, of e-mail, RSS and
    JavaScript, dates in numbers, and numbers since 1970 in seconds, milliseconds, microseconds or nanoseconds. A time
    that nothing follows is read as UTC with *assume_utc* only. *day_first* says how 3/2/2026 is meant; without it, such
    a date is refused.
    """
    if type(value) is str:
        # The short way. `2026-03-02+01:00` is a date with a zone for others, a date with a time for fromisoformat.
        if value[10:11] in ("T", " ") and value[4:5] == "-" and len(value) > 15 and value[19:20] != ":":
            try:
                found = datetime.fromisoformat(value)
            except ValueError:
                pass
            else:
                if FIRST_YEAR < found.year < LAST_YEAR:
                    if found.tzinfo is UTC:
                        return found
                    offset = found.utcoffset()
                    if offset is None:
                        if not assume_utc:
                            raise ValueError(NO_ZONE)
                        return found.replace(tzinfo=UTC)
                    if -_WIDEST_OFFSET <= offset <= _WIDEST_OFFSET:
                        return found.astimezone(UTC)
        elif value[:3] in _DAYS and (quick := _MACHINE.fullmatch(value)) is not None:
            return _from_machine(quick)
        found = _from_text(value, assume_utc=assume_utc, day_first=day_first)
    elif type(value) is int:
        found = _from_number(value, 0)
    elif type(value) is float:
        found = _from_float(value)
    else:
        raise ValueError("is no time")
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise ValueError(f"lies outside the calendar of posts, {FIRST_YEAR} to {LAST_YEAR}")
    return found


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MACHINE = re.compile(
    rf"(?:({'|'.join(_DAYS)})\ ({'|'.join(_MONTH_NAMES)})\ ([0-3][0-9])|"
    rf"({'|'.join(_DAYS)}),\ ([0-3][0-9])\ ({'|'.join(_MONTH_NAMES)})\ ((?:19|20)[0-9][0-9]))"
    r"\ ([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])\ (?:GMT|UTC|\+0000)(?(7)|\ ((?:19|20)[0-9][0-9]))"
)
"""The dates of the Twitter API and of RSS in UTC: what the long way reads, ten times as fast."""


def _from_machine(match: re.Match[str]) -> datetime:
    twitter_day, twitter_month, twitter_date, day, date_, month, year, hour, minute, second, twitter_year = (
        match.groups()
    )
    try:
        found = datetime(
            int(year or twitter_year),
            _MONTH_NAMES.index(month or twitter_month) + 1,
            int(date_ or twitter_date),
            int(hour),
            int(minute),
            int(second),
            tzinfo=UTC,
        )
    except ValueError:
        raise ValueError(f"{UNREADABLE}: there is no such day") from None
    if found.weekday() != _DAYS.index(day or twitter_day):
        raise ValueError(f"has the wrong day of the week: {found.date()} is a {found:%A}")
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise ValueError(f"lies outside the calendar of posts, {FIRST_YEAR} to {LAST_YEAR}")
    return found


_WRITTEN_ALIKE = str.maketrans(
    dict.fromkeys("\u00a0\u2007\u2009\u202f\u3000\t", " ")
    | dict.fromkeys("\u200b\u200e\u200f\u2060\ufeff", "")
    | {"\u2212": "-", "\u2010": "-", "\u2011": "-", "\uff1a": ":"}
)
"""Chrome writes U+202F before PM, Windows U+200E before each part of a date."""
_DIGITS = re.compile(r"(\d+)(?:\.(\d*))?")
_SCIENTIFIC = re.compile(r"[+-]?\d+(?:[.,]\d+)?[eE][+-]?\d+")


def _from_text(value: str, *, assume_utc: bool, day_first: bool | None) -> datetime:
    text = value.translate(_WRITTEN_ALIKE).strip()
    if not text.isascii():
        # Full-width digits are digits; those of other scripts may belong to another calendar.
        text = "".join(unicodedata.normalize("NFKC", sign) if "！" <= sign <= "～" else sign for sign in text)
    if whole := _DIGITS.fullmatch(text):
        if not text.isascii():
            raise ValueError(UNREADABLE)
        return _from_number(int(whole[1]) if len(whole[1]) < 30 else 0, whole[2] or "")
    if _SCIENTIFIC.fullmatch(text):
        raise ValueError("is a number in scientific notation, which has lost its last digits")
    if len(text) > _MAX_CHARS:
        raise ValueError(UNREADABLE)
    return TimestampTokens(text, day_first).moment(assume_utc=assume_utc)


def _from_float(number: float) -> datetime:
    if not number == number or number in (float("inf"), float("-inf")) or number < 0:  # noqa: PLR0124 - nan
        raise ValueError("is no number of seconds or milliseconds since 1970")
    whole, _, fraction = f"{number:.6f}".partition(".")
    return _from_number(int(whole), fraction)


def _from_number(whole: int, fraction: str | int) -> datetime:
    for low, high, micros in _UNITS:
        if low <= whole < high:
            digits = str(fraction or "").ljust(6, "0")[:6]
            part = int(digits) * micros // 10**6
            return _EPOCH + timedelta(microseconds=(whole * micros if micros else whole // 1_000) + part)
    if _DAY_NUMBERS[0] <= whole < _DAY_NUMBERS[1]:
        raise ValueError(
            "is no number of seconds or milliseconds since 1970; it looks like a spreadsheet's day number: format the "
            "column as date and time with a zone, and export it again"
        )
    raise ValueError("is no number of seconds or milliseconds since 1970")


_ORDERED = re.compile(r"\D*?\b(\d{1,2})([-/])(\d{1,2})\2\d{4}(?!\d)")


def detect_day_order(values: Iterable[object]) -> bool | None:
    """Whether dates such as 3/2/2026 begin with the day, by those of *values* that can be read in one way only.

    None where none is such, or where they disagree.
    """
    found: set[bool] = set()
    for value in values:
        if isinstance(value, str) and (match := _ORDERED.match(value)):
            one, two = int(match[1]), int(match[3])
            if (one > 12) != (two > 12) and max(one, two) <= 31:
                found.add(one > 12)
    return found.pop() if len(found) == 1 else None


def needs_day_order(value: object) -> bool:
    """Whether *value* is a date such as 3/2/2026."""
    return isinstance(value, str) and _ORDERED.match(value) is not None


def looks_like_timestamp(value: object) -> bool:
    """Whether *value* was meant as a moment, readable or not: with digits, and as short as one."""
    if not isinstance(value, str):
        return False
    text = value.strip()
    digits = sum(map(str.isdigit, text))
    if digits < 4 or len(text) > _MAX_CHARS:
        return False
    try:
        parse_timestamp(text, assume_utc=True, day_first=True)
    except ValueError:
        # A time in words or in another language has more digits than most prose of its length.
        return digits * 4 >= len(text)
    return True

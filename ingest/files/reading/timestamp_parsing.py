"""Reading the moments that people's files write down.

Every character of a value is read or the value is refused: a part that is skipped moves a post by hours without a
trace. RFC 3339 takes the short way through `datetime.fromisoformat`; the rest is cut into tokens, one kind each.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from ingest.files.reading.time_zones import LONG_NAMES, Zone, ZoneError, check_comment, offset_zone, zone_named

_FIRST_YEAR, _LAST_YEAR = 1973, 2103
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
_UNREADABLE = "is no time I can read, such as 2015-02-22T22:39:18-08:00"
_NO_ZONE = "has no time zone; --assume-utc reads such times as UTC"
_WIDEST_OFFSET = timedelta(hours=14)


def moment(value: object, *, assume_utc: bool = False, day_first: bool | None = None) -> datetime:  # noqa: PLR0912 - short ways
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
                if _FIRST_YEAR < found.year < _LAST_YEAR:
                    if found.tzinfo is UTC:
                        return found
                    offset = found.utcoffset()
                    if offset is None:
                        if not assume_utc:
                            raise ValueError(_NO_ZONE)
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
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise ValueError(f"lies outside the calendar of posts, {_FIRST_YEAR} to {_LAST_YEAR}")
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
        raise ValueError(f"{_UNREADABLE}: there is no such day") from None
    if found.weekday() != _DAYS.index(day or twitter_day):
        raise ValueError(f"has the wrong day of the week: {found.date()} is a {found:%A}")
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise ValueError(f"lies outside the calendar of posts, {_FIRST_YEAR} to {_LAST_YEAR}")
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
            raise ValueError(_UNREADABLE)
        return _from_number(int(whole[1]) if len(whole[1]) < 30 else 0, whole[2] or "")
    if _SCIENTIFIC.fullmatch(text):
        raise ValueError("is a number in scientific notation, which has lost its last digits")
    if len(text) > _MAX_CHARS:
        raise ValueError(_UNREADABLE)
    return _Reading(text, day_first).moment(assume_utc=assume_utc)


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


_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january",
            "feb february",
            "mar march",
            "apr april",
            "may",
            "jun june",
            "jul july",
            "aug august",
            "sep sept september",
            "oct october",
            "nov november",
            "dec december",
        ),
        1,
    )
    for name in names.split()
}
_WEEKDAYS = {
    name: number
    for number, names in enumerate(
        (
            "mon monday",
            "tue tues tuesday",
            "wed weds wednesday",
            "thu thur thurs thursday",
            "fri friday",
            "sat saturday",
            "sun sunday",
        )
    )
    for name in names.split()
}
_MONTH = rf"(?:{'|'.join(sorted(_MONTHS, key=len, reverse=True))})"
_WEEKDAY = rf"(?:{'|'.join(sorted(_WEEKDAYS, key=len, reverse=True))})"
_END = r"(?![^\W_])"
_TOKEN = re.compile(
    rf"""
    (?P<space>[\s,;·]+|(?<=\s)[-–—|](?=\s)|(?:at|um|on)\b(?!/))
  | (?P<weekday>{_WEEKDAY}{_END}\.?)
  | (?P<iso>(?P<iso_year>\d{{4}})(?P<iso_sign>[-/.])(?P<iso_month>\d{{1,2}})(?P=iso_sign)(?P<iso_day>\d{{1,2}}))
      (?:t(?=\d)|(?!\w))
  | (?P<week>(?P<week_year>\d{{4}})-?w(?P<week_number>\d{{2}})-?(?P<week_day>[1-7]))(?:t(?=\d)|(?!\w))
  | (?P<basic>(?P<basic_year>\d{{4}})(?P<basic_month>\d\d)(?P<basic_day>\d\d)t(?P<basic_hour>\d\d)(?P<basic_minute>\d\d)
      (?P<basic_second>\d\d)?(?:[.,](?P<basic_fraction>\d+))?)(?!\d)
  | (?P<numbers>(?P<first>\d{{1,2}})(?P<sign>[-/.])(?P<second_number>\d{{1,2}})(?P=sign)(?P<numbers_year>\d{{4}}))
      (?:t(?=\d)|(?!\w))
  | (?P<day_month>(?P<dm_day>\d{{1,2}})(?:st|nd|rd|th)?[-/.\ ]*(?:of\ )?(?P<dm_month>{_MONTH}){_END}[-/.,\ ]+
      (?P<dm_year>\d{{4}}))(?!\w)(?![:.]\d)
  | (?P<short_year>\d{{1,2}}\ (?P<sy_month>{_MONTH})\ (?P<sy_year>\d\d))(?=\ \d\d:)
  | (?P<month_day>(?P<md_month>{_MONTH}){_END}[-/.\ ]*(?P<md_day>\d{{1,2}})(?:st|nd|rd|th)?
      (?:[-/.,\ ]+(?P<md_year>\d{{4}})(?![:.]?\d))?)(?![\w:])
  | (?P<clock>(?P<hour>\d{{1,2}})(?:[:.h](?P<minute>\d\d)(?:[:.](?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?)?
      (?:\ ?(?P<half>[ap]\.?\ ?m{_END}\.?)|\ ?(?:uhr|h|hrs){_END}|(?(minute)|(?!))))(?![:.]?\d)
  | (?P<year>(?:19|20|21)\d\d)(?!\w)
  | (?P<offset>[+-]\d{{1,2}}(?::?\d\d)?(?::?\d\d)?)(?![\w:])
  | (?P<comment>\([^()]*\)|\[[^\[\]]*\])
  | (?P<zone>[^\W\d_][\w.]*(?:/[\w+-]+)*(?:\ ?[+-]\d{{1,2}}(?::?\d\d)?)?)(?![\w:])
    """,
    re.VERBOSE | re.IGNORECASE,
)
_LONG_ZONE = re.compile(rf"\b(?:{'|'.join(sorted(LONG_NAMES, key=len, reverse=True))})$", re.IGNORECASE)


@dataclass(slots=True)
class _Reading:
    """The tokens of one text, each kind at most once."""

    text: str
    day_first: bool | None
    day: date | None = None
    year: int | None = None
    month_day: tuple[int, int] | None = None
    clock: tuple[int, int, int, int] | None = None
    weekday: int | None = None
    zones: list[Zone] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)

    def moment(self, *, assume_utc: bool) -> datetime:
        text = self.text
        if long := _LONG_ZONE.search(text):
            self.comments.append(long[0])
            text = text[: long.start()].rstrip()
        at = 0
        while at < len(text):
            token = _TOKEN.match(text, at)
            if token is None:
                raise self._unread(text[at:])
            try:
                self._take(token)
            except ZoneError:
                # Without a date and a time of day, a word is no zone but prose.
                if self.day is None and self.month_day is None:
                    raise self._unread(text[at:]) from None
                raise
            at = token.end()
        return self._whole(assume_utc=assume_utc)

    def _unread(self, rest: str) -> ValueError:
        if self.day is None and self.month_day is None:
            return ValueError(_UNREADABLE if len(self.text) > len("yesterday") else "is no date with a time of day")
        return ValueError(f"{_UNREADABLE}: {rest.strip()!r} is not understood")

    def _take(self, token: re.Match[str]) -> None:  # noqa: PLR0912 - one branch a kind
        part = token.groupdict()
        match token.lastgroup:
            case "space":
                pass
            case "weekday":
                self._once(self.weekday is None)
                self.weekday = _WEEKDAYS[part["weekday"].rstrip(".").casefold()]
            case "iso":
                self._set_day(part["iso_year"], part["iso_month"], part["iso_day"])
            case "week":
                self._once(self.day is None)
                self.day = _day(date.fromisocalendar, part["week_year"], part["week_number"], part["week_day"])
            case "basic":
                self._set_day(part["basic_year"], part["basic_month"], part["basic_day"])
                self._set_clock(part["basic_hour"], part["basic_minute"], part["basic_second"], part["basic_fraction"])
            case "numbers":
                self._set_numbers(part["first"], part["second_number"], part["sign"], part["numbers_year"])
            case "day_month":
                self._set_day(part["dm_year"], _MONTHS[part["dm_month"].casefold()], part["dm_day"])
            case "short_year":
                # RFC 822, where a weekday proves that no year stands first.
                self._once(self.weekday is not None)
                short = int(part["sy_year"])
                year = short + (2000 if short < 50 else 1900)
                self._set_day(year, _MONTHS[part["sy_month"].casefold()], part["short_year"].split()[0])
            case "month_day":
                month = _MONTHS[part["md_month"].casefold()]
                if part["md_year"] is not None:
                    self._set_day(part["md_year"], month, part["md_day"])
                else:
                    self._once(self.day is None and self.month_day is None)
                    self.month_day = month, int(part["md_day"])
            case "clock":
                self._set_clock(part["hour"], part["minute"], part["second"], part["fraction"], part["half"])
            case "year":
                self._once(self.year is None and self.day is None)
                self.year = int(part["year"])
            case "offset":
                self.zones.append(offset_zone(part["offset"]))
            case "comment":
                self.comments.append(part["comment"][1:-1].strip())
            case _:
                self.zones.append(zone_named(part["zone"]))

    def _once(self, free: bool) -> None:
        if not free:
            raise ValueError(_UNREADABLE)

    def _set_day(self, year: str | int, month: str | int, day: str | int) -> None:
        self._once(self.day is None and self.month_day is None)
        self.day = _day(date, year, month, day)

    def _set_numbers(self, first: str, second: str, sign: str, year: str) -> None:
        one, two = int(first), int(second)
        # With points, the day comes first wherever such dates are in use.
        day_first = True if sign == "." else self.day_first
        if day_first is None:
            if one <= 12 and two <= 12 and one != two:
                raise ValueError(
                    f"may be day {one} of month {two} or month {one}, day {two}; --dates day-first or "
                    "--dates month-first says which"
                )
            day_first = one > 12
        day, month = (one, two) if day_first else (two, one)
        if month > 12:
            raise ValueError(f"has no month {month}: the file's dates begin with the {'day' if day_first else 'month'}")
        self._set_day(year, month, day)

    def _set_clock(
        self, hour: str, minute: str | None, second: str | None, fraction: str | None, half: str | None = None
    ) -> None:
        self._once(self.clock is None)
        hours = int(hour)
        if half is not None:
            if not (1 <= hours <= 12 or (hours == 0 and half[0] in "aA")):
                raise ValueError(f"has no hour {hours} {half}")
            hours = hours % 12 + (12 if half[0] in "pP" else 0)
        minutes, seconds = int(minute or 0), int(second or 0)
        midnight_after = hours == 24 and minutes == seconds == 0
        leap_second = seconds == 60 and minutes == 59
        if hours > 24 or (hours == 24 and not midnight_after) or minutes > 59 or (seconds > 59 and not leap_second):
            raise ValueError(f"has no time of day {hours:02}:{minutes:02}:{seconds:02}")
        self.clock = hours, minutes, seconds, int((fraction or "").ljust(6, "0")[:6])

    def _whole(self, *, assume_utc: bool) -> datetime:
        day = self.day
        if self.month_day is not None and self.year is not None:
            day = _day(date, self.year, *self.month_day)
        elif self.year is not None or self.month_day is not None:
            raise ValueError("is no date with a year")
        if day is None:
            raise ValueError("is no date with a time of day")
        if self.clock is None:
            raise ValueError("is no date with a time of day")
        if self.weekday is not None and day.weekday() != self.weekday:
            raise ValueError(f"has the wrong day of the week: {day} is a {day:%A}")
        if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
            raise ValueError(f"lies outside the calendar of posts, {_FIRST_YEAR} to {_LAST_YEAR}")
        hours, minutes, seconds, micros = self.clock
        # 24:00 is the next day's midnight; a leap second counts as the second after it, as in Unix time.
        naive = datetime(day.year, day.month, day.day) + timedelta(  # noqa: DTZ001 - the zone comes next
            hours=hours, minutes=minutes, seconds=seconds, microseconds=micros
        )
        return self._in_utc(naive, assume_utc=assume_utc)

    def _in_utc(self, naive: datetime, *, assume_utc: bool) -> datetime:
        if not self.zones and not self.comments:
            if not assume_utc:
                raise ValueError(_NO_ZONE)
            return naive.replace(tzinfo=UTC)
        zones = list(self.zones)
        for comment in self.comments:
            if not zones:
                zones.append(zone_named(comment))
            else:
                check = check_comment(comment)
                if check is not None:
                    zones.append(check)
        # An offset decides over a name; what else is said must agree with it.
        zones.sort(key=lambda zone: not zone.is_offset)
        found = zones[0].utc(naive)
        for other in zones[1:]:
            if not other.agrees(naive, found):
                raise ValueError(f"has two time zones that differ, {zones[0].name!r} and {other.name!r}")
        return found


def _day(make: object, *parts: str | int) -> date:
    try:
        return make(*map(int, parts))  # type: ignore[operator, no-any-return]
    except ValueError:
        raise ValueError(f"{_UNREADABLE}: there is no such day") from None


_ORDERED = re.compile(r"\D*?\b(\d{1,2})([-/])(\d{1,2})\2\d{4}(?!\d)")


def day_order(values: Iterable[object]) -> bool | None:
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


def may_be_moment(value: object) -> bool:
    """Whether *value* was meant as a moment, readable or not: with digits, and as short as one."""
    if not isinstance(value, str):
        return False
    text = value.strip()
    digits = sum(map(str.isdigit, text))
    if digits < 4 or len(text) > _MAX_CHARS:
        return False
    try:
        moment(text, assume_utc=True, day_first=True)
    except ValueError:
        # A time in words or in another language has more digits than most prose of its length.
        return digits * 4 >= len(text)
    return True

"""Tokenizes dates and times in words and numbers; each kind of token may appear once."""

import re
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from ingest.files.reading.time_zones import LONG_NAMES, Zone, ZoneError, check_comment, offset_zone, zone_named

FIRST_YEAR, LAST_YEAR = 1973, 2103
UNREADABLE = "is not a supported time format; use for example 2015-02-22T22:39:18-08:00"
NO_ZONE = (
    "has no time zone; --time-zone Europe/Berlin reads such times as local times of that place, --assume-utc as UTC"
)

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
class TimestampTokens:
    """The tokens of one text, at most one of each kind."""

    text: str
    day_first: bool | None
    day: date | None = None
    year: int | None = None
    month_day: tuple[int, int] | None = None
    clock: tuple[int, int, int, int] | None = None
    weekday: int | None = None
    zones: list[Zone] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)

    def parse(self, *, zone: Zone | None) -> datetime:
        """The time in UTC. Raises ValueError with the reason."""
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
                # Before a date, an unknown word is prose, not a time zone.
                if self.day is None and self.month_day is None:
                    raise self._unread(text[at:]) from None
                raise
            at = token.end()
        return self._combined(zone=zone)

    def _unread(self, rest: str) -> ValueError:
        if self.day is None and self.month_day is None:
            return ValueError(UNREADABLE if len(self.text) > len("yesterday") else "is not a date with a time of day")
        return ValueError(f"{UNREADABLE}: {rest.strip()!r} is not supported")

    def _take(self, token: re.Match[str]) -> None:  # noqa: PLR0912 - one branch per kind
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
                # RFC 822: the weekday proves that the text does not start with the year.
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
            raise ValueError(UNREADABLE)

    def _set_day(self, year: str | int, month: str | int, day: str | int) -> None:
        self._once(self.day is None and self.month_day is None)
        self.day = _day(date, year, month, day)

    def _set_numbers(self, first: str, second: str, sign: str, year: str) -> None:
        one, two = int(first), int(second)
        # Dates with dots have the day first in all countries that use them.
        day_first = True if sign == "." else self.day_first
        if day_first is None:
            if one <= 12 and two <= 12 and one != two:
                raise ValueError(
                    f"may be day {one} of month {two} or month {one}, day {two}; set --dates day-first or "
                    "--dates month-first"
                )
            day_first = one > 12
        day, month = (one, two) if day_first else (two, one)
        if month > 12:
            raise ValueError(f"has no month {month}: the file's dates start with the {'day' if day_first else 'month'}")
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

    def _combined(self, *, zone: Zone | None) -> datetime:
        day = self.day
        if self.month_day is not None and self.year is not None:
            day = _day(date, self.year, *self.month_day)
        elif self.year is not None or self.month_day is not None:
            raise ValueError("is not a date with a year")
        if day is None:
            raise ValueError("is not a date with a time of day")
        if self.clock is None:
            raise ValueError("is not a date with a time of day")
        if self.weekday is not None and day.weekday() != self.weekday:
            raise ValueError(f"has the wrong day of the week: {day} is a {day:%A}")
        if not FIRST_YEAR <= day.year <= LAST_YEAR:
            raise ValueError(f"is outside the years {FIRST_YEAR} to {LAST_YEAR}")
        hours, minutes, seconds, micros = self.clock
        # 24:00 is midnight of the next day; a leap second becomes the second after it, as in Unix time.
        naive = datetime(day.year, day.month, day.day) + timedelta(  # noqa: DTZ001 - the zone comes next
            hours=hours, minutes=minutes, seconds=seconds, microseconds=micros
        )
        return self._in_utc(naive, zone=zone)

    def _in_utc(self, naive: datetime, *, zone: Zone | None) -> datetime:
        if not self.zones and not self.comments:
            if zone is None:
                raise ValueError(NO_ZONE)
            return zone.utc(naive)
        zones = list(self.zones)
        for comment in self.comments:
            if not zones:
                zones.append(zone_named(comment))
            else:
                check = check_comment(comment)
                if check is not None:
                    zones.append(check)
        # An offset has precedence over a name; all other zones must agree with it.
        zones.sort(key=lambda zone: not zone.is_offset)
        found = zones[0].utc(naive)
        for other in zones[1:]:
            if not other.agrees(naive, found):
                raise ValueError(f"has two different time zones, {zones[0].name!r} and {other.name!r}")
        return found


def _day(make: object, *parts: str | int) -> date:
    try:
        return make(*map(int, parts))  # type: ignore[operator, no-any-return]
    except ValueError:
        raise ValueError(f"{UNREADABLE}: there is no such day") from None

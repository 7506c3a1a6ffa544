"""Time zones in files: an offset, an abbreviation, an IANA name or a long English name."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class ZoneError(ValueError):
    """An unknown or ambiguous time zone."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone with the name from the file."""

    name: str
    rules: tzinfo
    is_offset: bool = False
    standard: timedelta | None = None
    """The offset at which the name is unambiguous, such as `Central European Time` in winter."""

    def utc(self, local: datetime) -> datetime:
        """*local*, a naive time in this zone, in UTC. Raises ZoneError if that time is skipped or ambiguous."""
        first = local.replace(tzinfo=self.rules)
        found = first.astimezone(UTC)
        if not self.is_offset:
            if found.astimezone(self.rules).replace(tzinfo=None) != local:
                raise ZoneError(f"does not exist in {self.name}: clocks were moved forward then")
            if first.replace(fold=1).utcoffset() != first.utcoffset():
                raise ZoneError(
                    f"is ambiguous in {self.name}: clocks were moved back then; write the offset, such as +01:00"
                )
            if self.standard is not None and first.utcoffset() != self.standard:
                raise ZoneError(f"has the time zone {self.name!r}, which is ambiguous in summer; write the offset")
        return found

    def agrees(self, local: datetime, moment: datetime) -> bool:
        """Whether *moment* has the local time *local* in this zone."""
        return moment.astimezone(self.rules).replace(tzinfo=None) == local


UTC_ZONE = Zone("UTC", UTC, is_offset=True)


def _offset(text: str) -> timedelta:
    hours, minutes = divmod(int(float(text) * 60), 60)
    return timedelta(hours=hours, minutes=minutes)


_FIXED = {
    name: _offset(hours)
    for hours, names in {
        "0": "utc gmt ut z zulu wet",
        "1": "cet west mez wat",
        "2": "cest eet mesz cat sast",
        "3": "eest msk eat trt",
        "3.5": "irst",
        "4": "msd",
        "5": "pkt",
        "5.75": "npt",
        "7": "wib ict",
        "8": "hkt sgt awst wita",
        "9": "jst kst wit",
        "9.5": "acst",
        "10": "aest chst",
        "10.5": "acdt",
        "11": "aedt",
        "12": "nzst",
        "13": "nzdt",
        "-2.5": "ndt",
        "-3": "brt art",
        "-3.5": "nst",
        "-4": "edt",
        "-5": "est cdt pet cot",
        "-6": "mdt",
        "-7": "mst pdt",
        "-8": "pst akdt",
        "-9": "akst",
        "-10": "hst",
    }.items()
    for name in names.split()
}
"""Abbreviations with one common meaning, including those of RFC 5322."""
_AMBIGUOUS = {
    "ist": "India +05:30, Ireland +01:00, Israel +02:00",
    "cst": "North America -06:00, China +08:00, Cuba -05:00",
    "bst": "Britain +01:00, Bangladesh +06:00",
    "ast": "Atlantic -04:00, Arabia +03:00",
    "adt": "Atlantic -03:00, Arabia +04:00",
    "gst": "Gulf +04:00, South Georgia -02:00",
    "sst": "Samoa -11:00, Singapore +08:00",
    "ect": "Ecuador -05:00, Eastern Caribbean -04:00",
    "amt": "Amazon -04:00, Armenia +04:00",
    "pht": "Philippines +08:00, or none",
    "et": "-05:00 or -04:00",
    "ct": "-06:00 or -05:00",
    "mt": "-07:00 or -06:00",
    "pt": "-08:00 or -07:00",
}
_LONG = {
    name: _offset(hours)
    for hours, names in {
        "0": "coordinated universal time|greenwich mean time|universal time|western european standard time",
        "1": "central european standard time|british summer time|irish standard time|western european summer time",
        "2": "central european summer time|central european daylight time|eastern european standard time"
        "|israel standard time|south africa standard time",
        "3": "eastern european summer time|moscow standard time|israel daylight time|arabian standard time",
        "5": "pakistan standard time",
        "5.5": "india standard time|indian standard time",
        "7": "indochina time|western indonesia time",
        "8": "china standard time|singapore standard time|hong kong standard time|australian western standard time",
        "9": "japan standard time|korean standard time|korea standard time",
        "9.5": "australian central standard time",
        "10": "australian eastern standard time",
        "11": "australian eastern daylight time",
        "12": "new zealand standard time",
        "13": "new zealand daylight time",
        "-3": "brasilia standard time|argentina standard time",
        "-4": "eastern daylight time|atlantic standard time",
        "-5": "eastern standard time|central daylight time",
        "-6": "central standard time|mountain daylight time",
        "-7": "mountain standard time|pacific daylight time",
        "-8": "pacific standard time|alaska daylight time",
        "-9": "alaska standard time",
        "-10": "hawaii-aleutian standard time",
    }.items()
    for name in names.split("|")
}
_SEASONAL = {
    "central european time": ("Europe/Berlin", "1"),
    "eastern european time": ("Europe/Helsinki", "2"),
    "western european time": ("Europe/Lisbon", "0"),
    "eastern time": ("America/New_York", "-5"),
    "pacific time": ("America/Los_Angeles", "-8"),
    "mountain time": ("America/Denver", "-7"),
}
"""Names without a season: the place's standard time; ambiguous during its summer time."""
LONG_NAMES = frozenset(_LONG) | frozenset(_SEASONAL)

_OFFSET = re.compile(r"([+-])(\d{1,2})(?::?(\d\d))?(?::?(\d\d))?")
_AHEAD = re.compile(r"(?:utc|gmt|ut)\s?([+-]\d{1,2}(?::?\d\d)?)", re.IGNORECASE)
_PLACE = re.compile(r"[A-Za-z_]+(?:/[A-Za-z0-9_+-]+){1,2}")
_REMEDY = "write an offset such as +01:00"


def offset_zone(text: str) -> Zone:
    """The zone of `+0100`, `-08:00` or `+1`. Raises ZoneError for an offset that does not exist."""
    match = _OFFSET.fullmatch(text)
    if match is None:
        raise ZoneError(f"has the time zone {text!r}, which is unknown; {_REMEDY}")
    ahead = timedelta(hours=int(match[2]), minutes=int(match[3] or 0), seconds=int(match[4] or 0))
    if ahead > timedelta(hours=14) or int(match[3] or 0) > 59:
        raise ZoneError(f"has the time zone {text!r}, which does not exist")
    return Zone(text, timezone(-ahead if match[1] == "-" else ahead), is_offset=True)


@lru_cache(maxsize=1_000)
def zone_named(name: str) -> Zone:
    """The zone with *name*. Raises ZoneError if it is unknown or ambiguous."""
    known = " ".join(name.casefold().split())
    bare = known.replace(".", "")
    if (ahead := _FIXED.get(bare, _LONG.get(known))) is not None:
        return Zone(name, timezone(ahead), is_offset=True)
    if known in _SEASONAL:
        place, hours = _SEASONAL[known]
        return Zone(name, ZoneInfo(place), standard=_offset(hours))
    if bare in _AMBIGUOUS:
        raise ZoneError(f"has the time zone {name!r}, which is ambiguous ({_AMBIGUOUS[bare]}); {_REMEDY}")
    if match := _AHEAD.fullmatch(name.strip()):
        zone = offset_zone(match[1])
        return Zone(name, zone.rules, is_offset=True)
    if _OFFSET.fullmatch(name.strip()):
        return offset_zone(name.strip())
    if _PLACE.fullmatch(name):
        try:
            return Zone(name, ZoneInfo(name))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise ZoneError(f"has the time zone {name!r}, which is unknown; {_REMEDY}")


def check_comment(comment: str) -> Zone | None:
    """The zone in a comment after an offset; None if it is prose, such as JavaScript's long names."""
    try:
        return zone_named(comment)
    except ZoneError:
        if _PLACE.fullmatch(comment) or any(map(str.isdigit, comment)):
            raise
        return None


def place_zone(name: str) -> Zone:
    """The zone of `Europe/Berlin`, `UTC` or `+01:00`, for times without one. Raises ZoneError."""
    try:
        return zone_named(name.strip())
    except ZoneError as error:
        reason = str(error).removeprefix("has the time zone ").partition(";")[0]
        raise ZoneError(reason.replace(", which is", " is", 1)) from None

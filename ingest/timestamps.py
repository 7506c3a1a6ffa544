"""Reading the moments that people's files write down."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SECONDS = (1e8, 4.2e9)
_MILLIS = (1e11, 4.2e12)
_MICROS = (1e14, 4.2e15)
"""1973 to 2103 in each unit. The ranges do not touch, and a day like 20150222 is in none of them."""


def moment(value: object, *, assume_utc: bool = False) -> datetime:
    """*value* as an aware moment in UTC. Raises ValueError with the reason.

    Read are RFC 3339 and its neighbours (`2015-02-22 22:39:18 -0800`), the dates of the Twitter API and of RSS, and
    numbers since 1970 in seconds, milliseconds or microseconds. One without a zone is read with *assume_utc* only.
    """
    try:
        if isinstance(value, str):
            found = _from_text(value.strip())
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found = _from_number(float(value))
        else:
            raise ValueError("is no time")  # noqa: TRY004 - one error for every bad cell
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("lies outside the calendar") from error
    if not assume_utc:
        raise ValueError("has no time zone; --assume-utc reads such times as UTC")
    return found.replace(tzinfo=UTC)


def _from_text(text: str) -> datetime:
    if text.replace(".", "", 1).isdecimal():
        return _from_number(float(text))
    if len(text) < len("2015-02-22 22:39"):
        raise ValueError("is no date with a time of day")
    # `2015-02-22 22:39:18 -0800` and `... UTC`: fromisoformat wants the zone without a space.
    head, _, zone = text.rpartition(" ")
    if head and "," not in head:
        if zone in ("UTC", "GMT", "Z"):
            text = head + "+00:00"
        elif zone[0] in "+-":
            text = head + zone
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return _from_words(text)


def _from_words(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%a %b %d %H:%M:%S %z %Y")  # Twitter API 1.1
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(text)  # RSS, e-mail
    except (ValueError, TypeError, IndexError):
        raise ValueError("is no time I can read, such as 2015-02-22T22:39:18-08:00") from None


def _from_number(number: float) -> datetime:
    for (low, high), unit in ((_SECONDS, 1), (_MILLIS, 1_000), (_MICROS, 1_000_000)):
        if low <= number < high:
            return datetime.fromtimestamp(number / unit, UTC)
    raise ValueError("is no number of seconds or milliseconds since 1970")

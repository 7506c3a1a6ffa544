"""The wall clock, and time as people read and type it."""

import re
import time
from datetime import UTC, datetime, timedelta

_DURATION = re.compile(r"(?:(\d{1,9})w)?(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?")


def wall_ms() -> int:
    """Milliseconds since 1970 on this machine's clock."""
    return time.time_ns() // 1_000_000


def rfc3339(ms: int) -> str:
    """*ms* since 1970 as RFC 3339 in UTC; "-" for a negative one, which means "no time"."""
    return "-" if ms < 0 else datetime.fromtimestamp(ms / 1_000, UTC).isoformat(timespec="milliseconds")


def parse_duration(text: str) -> timedelta | None:
    """`90s`, `90m`, `2h`, `1d12h`, `1w` as a duration; None if *text* is none, or is too long for a timedelta."""
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None or not text.strip():
        return None
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    try:
        return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        return None

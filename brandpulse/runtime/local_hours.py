"""Hours of the day and of the week on a time zone's clock, of hours and moments that are counted in UTC."""

from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

UTC = ZoneInfo("UTC")
HOUR_SECONDS = 3_600
DAY_HOURS = 24
WEEK_HOURS = 7 * DAY_HOURS
MONDAY = 3 * DAY_HOURS
"""Hour of the week of 1970-01-01 00:00, a Thursday."""
BLOCK_HOURS = 2_048
"""Hours in a block of cached offsets: 8 KiB, computed in 2 ms."""
BLOCKS = 2_048
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a clock without a zone: ZoneInfo.fromutc adds it
_EARLIEST, _LATEST = -17_000_000, 70_000_000
"""Hours of the years 31 and 9955: `datetime` can represent the local time of every hour between them."""

Hours = npt.NDArray[np.int64]


def offset_seconds(utc_hours: Hours, zone: ZoneInfo) -> Hours:
    """How far *zone*'s clock is ahead of UTC in the middle of each of *utc_hours* (since 1970)."""
    hours = np.clip(np.asarray(utc_hours, np.int64), _EARLIEST, _LATEST)
    if zone is UTC or not hours.size:
        return np.zeros(hours.shape, np.int64)
    blocks = hours // BLOCK_HOURS
    first, last = int(blocks.min()), int(blocks.max())
    if first == last:
        found: Hours = _block(zone, first)[hours - first * BLOCK_HOURS].astype(np.int64)
        return found
    found = np.empty(hours.shape, np.int64)
    for block in np.unique(blocks):
        inside = blocks == block
        found[inside] = _block(zone, int(block))[hours[inside] - block * BLOCK_HOURS]
    return found


def week_hours(utc_hours: Hours, zone: ZoneInfo) -> Hours:
    """The hour of the week on *zone*'s clock in the middle of each of *utc_hours* (since 1970): 0 is Monday's first.

    Where the clock differs from UTC by half an hour, a UTC hour lies in two local ones and counts as the later.
    """
    hours = np.asarray(utc_hours, np.int64)
    local: Hours = (hours * HOUR_SECONDS + HOUR_SECONDS // 2 + offset_seconds(hours, zone)) // HOUR_SECONDS
    return (local + MONDAY) % WEEK_HOURS


def hour_of_week(seconds: float, zone: ZoneInfo) -> int:
    """The hour of the week on *zone*'s clock at the moment *seconds* since 1970: 0 is Monday's first."""
    hour = int(seconds // HOUR_SECONDS)
    at = min(max(hour, _EARLIEST), _LATEST)
    offset = 0 if zone is UTC else int(_block(zone, at // BLOCK_HOURS)[at % BLOCK_HOURS])
    return (int((seconds + offset) // HOUR_SECONDS) + MONDAY) % WEEK_HOURS


def hour_of_day(seconds: float, zone: ZoneInfo) -> int:
    """The hour of the day on *zone*'s clock at the moment *seconds* since 1970."""
    return hour_of_week(seconds, zone) % DAY_HOURS


@lru_cache(maxsize=BLOCKS)
def _block(zone: ZoneInfo, block: int) -> npt.NDArray[np.int32]:
    first = min(max(block * BLOCK_HOURS, _EARLIEST), _LATEST)
    middles = (_EPOCH + timedelta(hours=min(first + hour, _LATEST), minutes=30) for hour in range(BLOCK_HOURS))
    seconds = [_offset(zone, middle) for middle in middles]
    offsets = np.array(seconds, np.int32)
    offsets.flags.writeable = False
    return offsets


def _offset(zone: ZoneInfo, utc: datetime) -> int:
    local = zone.fromutc(utc.replace(tzinfo=zone))
    offset = local.utcoffset()
    return 0 if offset is None else int(offset.total_seconds())

"""What is wrong with a file's times, said before its first post is sent."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from ingest.files.reading.row import InputError
from ingest.files.reading.row_reader import IsTime, RowFile
from ingest.files.reading.timestamp_parsing import needs_day_order
from ingest.files.times.time_scan import (
    FUTURE_TOLERANCE,
    SHOWN_ROWS,
    OutlierBounds,
    OutlierRow,
    Times,
    outlier_bounds,
    outlier_rows,
    scan_times,
)
from ingest.worker_states import StreamClock

HORIZON = timedelta(days=90)
"""A topic that also contains posts of today refuses posts older than this."""
NO_OUTLIERS = OutlierBounds()
OUTLIER_REASON = "lies far from the times of the other rows; --far-dates send sends it"


@dataclass(frozen=True, slots=True)
class Outliers:
    """Which times lie far from the rest of the file, or in the future."""

    far: OutlierBounds = NO_OUTLIERS
    latest: datetime | None = None
    """Posts of later moments are refused as `from_the_future`."""

    def contains(self, at: datetime) -> bool:
        return self.far.contains(at) or (self.latest is not None and at > self.latest)

    def refusal(self, at: datetime) -> str | None:
        """Why a post of that time becomes a reject, or None."""
        if self.latest is not None and at > self.latest:
            return "lies in the future; --far-dates send sends it"
        return OUTLIER_REASON if self.far.contains(at) else None


@dataclass(frozen=True, slots=True)
class TimeCheck:
    """The times of a file, and which of them become rejects."""

    times: Times
    rejected: Outliers | None = None

    @property
    def key(self) -> str:
        """Tells apart two runs of which one rejects other rows than the other."""
        return "" if self.rejected is None else f"{self.rejected.far.before}:{self.rejected.far.after}"


def check_times(
    file: RowFile,
    column: str,
    *,
    assume_utc: bool,
    far: Literal["ask", "send", "reject"],
    now: datetime | None,
    notify: Callable[[str], None],
    day_first: bool | None = None,
    is_time: IsTime | None = None,
) -> TimeCheck:
    """Look through the file's times. Raises InputError that names rows of a later time than the rest, with *far* "ask".

    A post of a later time moves the workers' clock: the posts after it are late, and refused if they lie 90 days back.
    One of an earlier time harms no other, so it is named and sent. *now*: None where times are moved to now.
    """
    times = scan_times(file, column, assume_utc=assume_utc, day_first=day_first, is_time=is_time)
    latest = None if now is None else now + FUTURE_TOLERANCE
    ahead = times.last is not None and latest is not None and times.last > latest
    found = Outliers(outlier_bounds(times.days), latest if ahead else None)
    if found == Outliers():
        return TimeCheck(times)
    rows = list(outlier_rows(file, column, found.contains, assume_utc=assume_utc, day_first=day_first, is_time=is_time))
    if far == "reject":
        notify(f"{_told(rows, times, found, day_first)}\nThey are put with the rejects.")
        return TimeCheck(times, found)
    if far == "ask" and (found.far.after is not None or ahead):
        raise InputError(
            f"{file.path}: {_told(rows, times, found, day_first)}\n"
            "A post of a later time moves the workers' clock: all posts before it count as late and are never alerted "
            "on, and those 90 days before it are refused; posts in the future are refused themselves. Nothing was "
            "sent. Correct these rows, or run the command again with --far-dates reject (they are put with the "
            "rejects) or --far-dates send (they are sent as they are)"
        )
    notify(
        f"{_told(rows, times, found, day_first)}\n"
        "They are sent as they are; --far-dates reject puts them with the rejects."
    )
    return TimeCheck(times)


def _told(rows: list[OutlierRow], times: Times, found: Outliers, day_first: bool | None) -> str:
    future = sum(found.latest is not None and row.at > found.latest for row in rows)
    lie = "lies" if len(rows) == 1 else "lie"
    what = f"{lie} far from the times of the rest" if future < len(rows) else f"{lie} in the future"
    if 0 < future < len(rows):
        what += f" ({future:,} of them in the future)"
    lines = [f"  line {row.line:,}: {row.written}" for row in rows[:SHOWN_ROWS]]
    if len(rows) > SHOWN_ROWS:
        lines.append(f"  and {len(rows) - SHOWN_ROWS:,} more")
    if day_first is not None and any(needs_day_order(row.written) for row in rows):
        first, other = ("day", "month") if day_first else ("month", "day")
        lines.append(f"  (dates are read with the {first} first; --dates {other}-first reads them the other way)")
    return f"{len(rows):,} of {times.rows:,} rows {what}:\n" + "\n".join(lines)


def late_warning(times: Times, *, first: datetime, clock: StreamClock) -> str | None:
    """What becomes of posts from *first* on in a topic that was counted up to *clock*; None: all is well. Pure."""
    known = times.before(int(first.timestamp() * 1_000))
    total = times.rows - known
    late = times.before(clock.watermark_ms) - known
    dead = times.before(clock.clock_ms - HORIZON // timedelta(milliseconds=1)) - known
    if total <= 0 or late * 2 <= total:
        return None
    to = datetime.fromtimestamp(clock.watermark_ms / 1_000, UTC)
    said = (
        f"about {late:,} of the {total:,} posts to send are late: the workers have counted posts up to "
        f"{to:%Y-%m-%d %H:%M} UTC. Late posts count, and are never alerted on"
    )
    if dead > 0:
        said += f"; about {dead:,} of them are {HORIZON.days} days older than that and are refused as too_old"
    return (
        f"{said}. To count and alert on a file of the past, give it a place of its own with BRANDPULSE_NAMESPACE and "
        "BRANDPULSE_POSTS_TOPIC, or move its times with --shift-to-now"
    )


def old_posts_warning(*, first: datetime, now: datetime) -> str | None:
    """The same where the workers' state is not known, by the time of today. Pure."""
    if first >= now - HORIZON:
        return None
    return (
        f"these posts begin on {first:%Y-%m-%d}. Workers that have counted posts of today refuse posts older than "
        f"{HORIZON.days} days: give such a file a place of its own with BRANDPULSE_NAMESPACE and "
        "BRANDPULSE_POSTS_TOPIC, or move its times with --shift-to-now"
    )

"""Checks the times of a file before its first post is sent."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from ingest.files.reading.row import InputError
from ingest.files.reading.row_reader import IsTime, RowFile
from ingest.files.reading.time_zones import Zone
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
"""Workers that have counted posts of today reject posts older than this."""
NO_OUTLIERS = OutlierBounds()
OUTLIER_REASON = "is far from the times of the other rows; --far-dates send sends it"


@dataclass(frozen=True, slots=True)
class Outliers:
    """Which times are far from the rest of the file, or in the future."""

    far: OutlierBounds = NO_OUTLIERS
    latest: datetime | None = None
    """Later posts are rejected as `from_the_future`."""

    def contains(self, at: datetime) -> bool:
        return self.far.contains(at) or (self.latest is not None and at > self.latest)

    def reject_reason(self, at: datetime) -> str | None:
        """Why a post of that time is rejected, or None."""
        if self.latest is not None and at > self.latest:
            return "is in the future; --far-dates send sends it"
        return OUTLIER_REASON if self.far.contains(at) else None


@dataclass(frozen=True, slots=True)
class TimeCheck:
    """The times of a file, and which of them are rejected."""

    times: Times
    rejected: Outliers | None = None

    @property
    def key(self) -> str:
        """Differs between runs that reject different rows."""
        return "" if self.rejected is None else f"{self.rejected.far.before}:{self.rejected.far.after}"


def check_times(
    file: RowFile,
    column: str,
    *,
    zone: Zone | None,
    far: Literal["ask", "send", "reject"],
    now: datetime | None,
    notify: Callable[[str], None],
    day_first: bool | None = None,
    is_time: IsTime | None = None,
) -> TimeCheck:
    """Scan the file's times. With *far* "ask", raises InputError that lists rows with later times than the rest.

    A post with a later time advances the workers' clock: the posts after it are late, and rejected if they are 90 days
    older. A post with an earlier time has no such effect, so it is listed and sent. *now*: None if times are moved to
    now.
    """
    times = scan_times(file, column, zone=zone, day_first=day_first, is_time=is_time)
    latest = None if now is None else now + FUTURE_TOLERANCE
    ahead = times.last is not None and latest is not None and times.last > latest
    found = Outliers(outlier_bounds(times.days), latest if ahead else None)
    if found == Outliers():
        return TimeCheck(times)
    rows = list(outlier_rows(file, column, found.contains, zone=zone, day_first=day_first, is_time=is_time))
    if far == "reject":
        notify(f"{_describe(rows, times, found, day_first)}\nThey are rejected.")
        return TimeCheck(times, found)
    if far == "ask" and (found.far.after is not None or ahead):
        raise InputError(
            f"{file.path}: {_describe(rows, times, found, day_first)}\n"
            "Nothing was sent. A post with a later time advances the workers' clock: all older posts count as late and "
            "are never alerted on, and posts 90 days older are rejected. Posts in the future are rejected too. Correct "
            "these rows, or run the command again with --far-dates reject (rejects them) or --far-dates send (sends "
            "them unchanged)"
        )
    notify(f"{_describe(rows, times, found, day_first)}\nThey are sent unchanged; --far-dates reject rejects them.")
    return TimeCheck(times)


def _describe(rows: list[OutlierRow], times: Times, found: Outliers, day_first: bool | None) -> str:
    future = sum(found.latest is not None and row.at > found.latest for row in rows)
    verb = "is" if len(rows) == 1 else "are"
    what = f"{verb} far from the times of the rest" if future < len(rows) else f"{verb} in the future"
    if 0 < future < len(rows):
        what += f" ({future:,} of them in the future)"
    lines = [f"  line {row.line:,}: {row.written}" for row in rows[:SHOWN_ROWS]]
    if len(rows) > SHOWN_ROWS:
        lines.append(f"  and {len(rows) - SHOWN_ROWS:,} more")
    if day_first is not None and any(needs_day_order(row.written) for row in rows):
        first, other = ("day", "month") if day_first else ("month", "day")
        lines.append(f"  (dates are read {first} first; --dates {other}-first reads them the other way)")
    return f"{len(rows):,} of {times.rows:,} rows {what}:\n" + "\n".join(lines)


def late_warning(times: Times, *, first: datetime, clock: StreamClock) -> str | None:
    """A warning if most posts from *first* on are late for workers at *clock*; otherwise None. Pure."""
    sent = times.before(int(first.timestamp() * 1_000))
    total = times.rows - sent
    late = times.before(clock.watermark_ms) - sent
    dead = times.before(clock.clock_ms - HORIZON // timedelta(milliseconds=1)) - sent
    if total <= 0 or late * 2 <= total:
        return None
    to = datetime.fromtimestamp(clock.watermark_ms / 1_000, UTC)
    warning = (
        f"about {late:,} of the {total:,} posts to send are late: the workers have counted posts up to "
        f"{to:%Y-%m-%d %H:%M} UTC. Late posts count, and are never alerted on"
    )
    if dead > 0:
        warning += f"; about {dead:,} of them are {HORIZON.days} days older than that and are rejected as too_old"
    return (
        f"{warning}. To count and alert on a file of old posts, set BRANDPULSE_NAMESPACE and BRANDPULSE_POSTS_TOPIC to "
        "separate names, or move its times with --shift-to-now"
    )


def old_posts_warning(*, first: datetime, now: datetime) -> str | None:
    """The same warning if the workers' state is unknown, relative to *now*. Pure."""
    if first >= now - HORIZON:
        return None
    return (
        f"these posts start on {first:%Y-%m-%d}. Workers that have counted posts of today reject posts older than "
        f"{HORIZON.days} days: set BRANDPULSE_NAMESPACE and BRANDPULSE_POSTS_TOPIC to separate names for such a file, "
        "or move its times with --shift-to-now"
    )

"""How far an X source has read: up to which moment it missed nothing, and the post that a search begins after."""

import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ingest.sources.events import Cursor, Event, NewPost

OVERLAP = timedelta(seconds=30)
"""The stream has no order, and delivers late by some seconds: a search begins so much earlier."""
SEARCHABLE = timedelta(days=6, hours=23)
"""The recent search refuses anything older than seven days."""
EPOCH_MS = 1_288_834_974_657
"""Numbers of posts hold their time: milliseconds since this one, above the low 22 bits."""
FIRST_TIMED_NUMBER = 10**15
SPENT = "budget"


def number_time(number: str) -> datetime | None:
    """When the post with *number* was written; None if the number holds no time."""
    if not number.isdecimal() or int(number) < FIRST_TIMED_NUMBER:
        return None
    try:
        return datetime.fromtimestamp(((int(number) >> 22) + EPOCH_MS) / 1_000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


@dataclass(slots=True)
class Place:
    """The cursor of this source."""

    until: datetime | None = None
    """All posts before it were read; None for a new source."""
    since_id: str = ""
    """The newest post that arrived at least `OVERLAP` before `until`."""
    reason: str = ""
    """`budget` if the reading ended there because the day's budget was used up."""
    _recent: deque[tuple[float, int]] = field(default_factory=deque)
    """(arrival on the monotonic clock, number) of the posts that arrived within `OVERLAP`."""

    @classmethod
    def of(cls, cursor: Cursor | None) -> "Place":
        until, since = (cursor or {}).get("until"), (cursor or {}).get("since_id")
        try:
            moment = datetime.fromisoformat(until) if isinstance(until, str) else None
        except ValueError:
            moment = None
        return cls(moment, since if isinstance(since, str) else "", str((cursor or {}).get("reason") or ""))

    def cursor(self) -> Cursor:
        until = self.until.isoformat() if self.until is not None else None
        return {"until": until, "since_id": self.since_id, **({"reason": self.reason} if self.reason else {})}

    def arrived(self, events: Iterable[Event]) -> None:
        """Notes posts of the stream."""
        now = time.monotonic()
        for event in events:
            # The address has the post's own number; the id of an edited post is that of its first version.
            number = event.url.rpartition("/")[2] if isinstance(event, NewPost) and event.url else ""
            if number.isdecimal():
                self._recent.append((now, int(number)))

    def searched(self, events: Iterable[Event]) -> None:
        """Notes posts of a search, which has all until its end: the next one begins after the newest."""
        self._recent.clear()
        self.arrived(events)
        newest = max((number for _, number in self._recent), default=0)
        if newest and (not self.since_id or newest > int(self.since_id)):
            self.since_id = str(newest)
        self._recent.clear()

    def read_until(self, moment: datetime) -> None:
        """All posts before *moment* were read."""
        self.until, self.reason = moment, ""
        before = time.monotonic() - OVERLAP.total_seconds()
        while self._recent and self._recent[0][0] < before:
            number = self._recent.popleft()[1]
            if not self.since_id or number > int(self.since_id):
                self.since_id = str(number)

    def window(self, *, begin: datetime, end: datetime, now: datetime) -> Mapping[str, str]:
        """The parameters of a search for the posts from *begin* (or the known post before it) to *end*."""
        written = number_time(self.since_id)
        # A number from long before would bring, and bill, posts that were read.
        if self.since_id and (written is None or begin - 2 * OVERLAP < written):
            return {"since_id": self.since_id, "end_time": rfc3339(end)}
        return {"start_time": rfc3339(max(begin - OVERLAP, now - SEARCHABLE)), "end_time": rfc3339(end)}


def rfc3339(moment: datetime) -> str:
    """*moment* in the only form that X reads, which has whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""When a source was not read, and when it has read again what it missed."""

from datetime import datetime

from brandpulse.state.live_sources import SHOWN_AFTER, Rereading, SourceRecord
from ingest.sources.events import Gap

NOT_RUNNING = "`brandpulse ingest run` was not running"


class Outages:
    """The interruptions of one source. Pure: every time is given.

    A source that resumes from its cursor gives all posts of an interruption, except for those of a `Gap`. So an
    interruption becomes a refilled gap once the source has caught up.
    """

    def __init__(self, before: SourceRecord | None, now: datetime) -> None:
        """*before*: what was stored about the source last."""
        self.away_since: datetime | None = now
        """None while the source is read."""
        self.rereading: Rereading | None = None
        self._reason = ""
        if before is not None:
            begin = before.rereading.begin if before.rereading is not None else before.updated_at
            self.away_since = min(begin, before.away_since or begin)
            self._reason = before.reason or NOT_RUNNING

    def interrupted(self, now: datetime, reason: str) -> None:
        """The source is not read from now on. The first reason of an interruption is kept."""
        if self.away_since is not None:
            self._reason = self._reason or reason
            return
        self.away_since, self._reason = now, reason
        if self.rereading is not None:
            # The period was read again in part only: it becomes part of the new interruption.
            self.away_since, self._reason, self.rereading = self.rereading.begin, self.rereading.reason, None

    def received(
        self, now: datetime, *, resumed: bool, lost: Gap | None, newest: datetime | None, caught_up: bool | None
    ) -> Gap | None:
        """A batch arrived; returns the refilled period if the source has caught up with it.

        *resumed*: the source began at a cursor. *lost* is the batch's own gap, *newest* the time of its newest post.
        """
        if self.away_since is not None:
            begin, self.away_since = self.away_since, None
            if resumed and now - begin >= SHOWN_AFTER:
                self.rereading = Rereading(begin, now, self._reason)
            self._reason = ""
        if lost is not None and self.rereading is not None:
            self._without(lost)
        again = self.rereading
        if again is None:
            return None
        if caught_up or (caught_up is None and newest is not None and newest >= again.end):
            self.rereading = None
            return Gap(again.begin, again.end, again.reason, refilled=True)
        return None

    def _without(self, lost: Gap) -> None:
        """Only the longer rest of the period before or after *lost* is read again."""
        again = self.rereading
        if again is None or lost.end <= again.begin or lost.begin >= again.end:
            return
        rests = [(again.begin, min(lost.begin, again.end)), (max(lost.end, again.begin), again.end)]
        begin, end = max(rests, key=lambda rest: rest[1] - rest[0])
        self.rereading = Rereading(begin, end, again.reason) if end - begin >= SHOWN_AFTER else None

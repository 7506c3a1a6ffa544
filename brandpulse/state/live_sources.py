"""The state of each live source as `ingest run` stores it, and the periods of which posts may be missing."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

import msgspec
import redis

from brandpulse.errors import StateError
from brandpulse.redis.error_hints import reaching_redis
from brandpulse.state.keys import SourceKeys

SHOWN_AFTER = timedelta(seconds=60)
"""A shorter interruption is not shown: it moves no count that a person reads."""
SILENT_AFTER = timedelta(seconds=60)
"""`ingest run` stores the states every few seconds. After this long without them it counts as gone."""
FORGOTTEN_AFTER = timedelta(days=7)
"""A source that nothing has run for so long is no longer in use."""

PeriodState = Literal["away", "rereading", "lost", "refilled"]
"""Not read now; read again now; never read; read again, completely."""

Stored = TypeVar("Stored")


class GapRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A period that a source could not read when it happened."""

    source: str
    begin: datetime
    end: datetime
    reason: str
    refilled: bool = False
    """The source read the period again later, completely."""
    noted_at: datetime | None = None


class Rereading(msgspec.Struct, frozen=True):
    """A period that a source reads again now."""

    begin: datetime
    end: datetime
    reason: str


class SourceRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a source does, as of *updated_at*."""

    kind: str
    status: str
    """starting, connecting, reading, waiting (after a fault), refused (wrong settings), or stopped."""
    updated_at: datetime
    reason: str = ""
    """The fault, for a person; empty while it reads."""
    away_since: datetime | None = None
    """Since when the source is not read; None while it is."""
    rereading: Rereading | None = None
    last_event: datetime | None = None
    """Time of the newest post that the platform gave."""
    lag_seconds: float | None = None
    """Age of the newest post when it arrived."""
    reconnects: int = 0
    """Since `ingest run` started, as the next two."""
    gaps: int = 0
    outcomes: dict[str, int] = {}
    """Outcome -> events: sent, no_brand, deleted, edited, or why a frame is no post."""

    def is_silent(self, now: datetime) -> bool:
        """Whether `ingest run` has stored nothing for some time."""
        return now - self.updated_at > SILENT_AFTER

    def shown_status(self, now: datetime) -> str:
        """The status now: `not running` if `ingest run` is gone."""
        return "not running" if self.status != "stopped" and self.is_silent(now) else self.status


class Period(msgspec.Struct, frozen=True):
    """A period of which posts of *source* may be missing, or were read later."""

    source: str
    begin: datetime
    end: datetime
    state: PeriodState
    reason: str


def read_sources(client: redis.Redis, namespace: str) -> dict[str, SourceRecord]:
    """The sources of the namespace by name. Raises TransientError, StateError."""
    with reaching_redis():
        found: Any = client.hgetall(SourceKeys(namespace).states)
    return {name.decode(): decode_stored(stored, SourceRecord, name.decode()) for name, stored in sorted(found.items())}


def read_gaps(client: redis.Redis, namespace: str) -> list[GapRecord]:
    """The gaps of all sources, newest first. Raises TransientError, StateError."""
    with reaching_redis():
        found: Any = client.lrange(SourceKeys(namespace).gaps, 0, -1)
    return [decode_stored(stored, GapRecord, "gaps") for stored in found]


def decode_stored(stored: bytes, kind: type[Stored], name: str) -> Stored:
    """Raises StateError."""
    try:
        return msgspec.json.decode(stored, type=kind)
    except msgspec.DecodeError as error:
        raise StateError(f"the stored {kind.__name__} of {name} cannot be read: {error}: {stored[:200]!r}") from error


def periods(sources: Mapping[str, SourceRecord], gaps: Sequence[GapRecord], *, now: datetime) -> list[Period]:
    """The periods of all sources, by begin; those that last until now end at *now*. Pure."""
    found = [Period(gap.source, gap.begin, gap.end, "refilled" if gap.refilled else "lost", gap.reason) for gap in gaps]
    for name, source in sources.items():
        if (away := _away(name, source, now)) is not None:
            found.append(away)
        if (again := source.rereading) is not None and (away is None or again.end <= away.begin):
            found.append(Period(name, again.begin, again.end, "rereading", again.reason))
    return sorted((one for one in found if one.end > one.begin), key=lambda one: (one.begin, one.source))


def _away(name: str, source: SourceRecord, now: datetime) -> Period | None:
    silent = source.shown_status(now) in ("not running", "stopped")
    begin = source.away_since or (source.updated_at if silent else None)
    if begin is None or now - begin < SHOWN_AFTER or now - source.updated_at > FORGOTTEN_AFTER:
        return None
    stopped = "was stopped" if source.status == "stopped" else "is not running"
    reason = source.reason or (f"`brandpulse ingest run` {stopped}" if silent else "it does not connect")
    return Period(name, begin, now, "away", reason)

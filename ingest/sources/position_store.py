"""Where each source is read up to, and the periods that could not be read: in Redis, beside the counts.

A position is saved after the broker has confirmed all posts before it. It is lost exactly when the counts are. If the
broker loses its records instead (the embedded one does at each stop), the source goes back to the newest position whose
posts the workers have counted.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
import redis

from brandpulse.redis.error_hints import reaching_redis
from brandpulse.state.applied_logs import AppliedLogs
from brandpulse.state.keys import SourceKeys
from brandpulse.state.live_sources import GapRecord, SourceRecord, decode_stored, read_gaps, read_sources
from ingest.sources.deletions import Deletion, queue_deletions
from ingest.sources.events import Cursor, Gap

HISTORY = 900
"""Earlier positions kept for each source: 15 minutes at one a second, some 150 bytes each."""
HISTORY_BYTES = 1_000_000
"""Fewer positions are kept if they are larger than usual: a feed's position names its items."""
GAPS = 1_000


class Position(msgspec.Struct, frozen=True, omit_defaults=True):
    """A source's position as it is stored."""

    cursor: dict[str, Any]
    saved_at: datetime
    topic_id: str
    """Id of the topic that received the posts before it."""
    next: dict[str, int] = {}
    """Partition -> offset after the last post sent before it."""
    last_event: datetime | None = None
    """Time of the newest post before it, as the platform gives it."""


class PositionStore(Protocol):
    """Every method raises TransientError if the store does not answer."""

    def load(self, source: str) -> Sequence[Position]:
        """The newest position and those before it, newest first; empty for a new source. Raises StateError."""
        ...

    def save(self, source: str, position: Position, gaps: Sequence[Gap] = ()) -> None:
        """Store *position* and *gaps* together, or neither."""
        ...

    def queue_deletions(self, deletions: Sequence[Deletion]) -> None:
        """Store *deletions* for the sweeper; before the position after them."""
        ...

    def gaps(self) -> Sequence[GapRecord]:
        """The gaps of all sources, newest first."""
        ...

    def positions(self) -> Mapping[str, Position]:
        """The newest position of every source that ever had one."""
        ...

    def save_states(self, states: Mapping[str, SourceRecord], gone: Collection[str] = ()) -> None:
        """Store what the sources do now; sources in *gone* are removed."""
        ...

    def states(self) -> Mapping[str, SourceRecord]:
        """What the sources did last. Raises StateError."""
        ...


def resumable(
    positions: Sequence[Position], *, topic_id: str, applied: AppliedLogs
) -> tuple[Position | None, Gap | None]:
    """Where to resume after the broker may have lost its records, and the gap if it lies before all *positions*.

    *positions* are newest first, *topic_id* is the topic's now.
    """
    for position in positions:
        if position.topic_id == topic_id or all(
            applied.applied(position.topic_id, int(partition)) >= offset for partition, offset in position.next.items()
        ):
            return position, None
    if not positions:
        return None, None
    oldest = positions[-1]
    begin = oldest.last_event or oldest.saved_at
    reason = "the broker lost records that were not counted yet"
    return oldest, Gap(begin, max(begin, oldest.saved_at), reason)


class RedisPositionStore:
    """In Redis. Key layout: `brandpulse/state/keys.py`."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._keys = SourceKeys(namespace)

    def load(self, source: str) -> Sequence[Position]:
        with reaching_redis():
            found: Any = self._client.lrange(self._keys.history(source), 0, -1)
        return [decode_stored(stored, Position, source) for stored in found]

    def save(self, source: str, position: Position, gaps: Sequence[Gap] = ()) -> None:
        stored = msgspec.json.encode(position)
        records = [msgspec.json.encode(_record(source, gap)) for gap in gaps]
        with reaching_redis():
            pipeline = self._client.pipeline(transaction=True)
            pipeline.hset(self._keys.positions, source, stored)
            pipeline.lpush(self._keys.history(source), stored)
            pipeline.ltrim(self._keys.history(source), 0, min(HISTORY, HISTORY_BYTES // len(stored) + 10) - 1)
            if records:
                pipeline.lpush(self._keys.gaps, *records)
                pipeline.ltrim(self._keys.gaps, 0, GAPS - 1)
            pipeline.execute()

    def queue_deletions(self, deletions: Sequence[Deletion]) -> None:
        queue_deletions(self._client, self._namespace, deletions, now=time.time())

    def gaps(self) -> Sequence[GapRecord]:
        return read_gaps(self._client, self._namespace)

    def positions(self) -> Mapping[str, Position]:
        with reaching_redis():
            found: Any = self._client.hgetall(self._keys.positions)
        return {name.decode(): decode_stored(stored, Position, name.decode()) for name, stored in found.items()}

    def save_states(self, states: Mapping[str, SourceRecord], gone: Collection[str] = ()) -> None:
        with reaching_redis():
            pipeline = self._client.pipeline(transaction=False)
            if states:
                pipeline.hset(
                    self._keys.states, mapping={name: msgspec.json.encode(one) for name, one in states.items()}
                )
            if gone:
                pipeline.hdel(self._keys.states, *gone)
            pipeline.execute()

    def states(self) -> Mapping[str, SourceRecord]:
        return read_sources(self._client, self._namespace)


class MemoryPositionStore:
    """In-memory implementation for tests."""

    def __init__(self) -> None:
        self._history: dict[str, list[Position]] = {}
        self._gaps: list[GapRecord] = []
        self._states: dict[str, SourceRecord] = {}
        self.deletions: list[Deletion] = []

    def load(self, source: str) -> Sequence[Position]:
        return list(self._history.get(source, ()))

    def save(self, source: str, position: Position, gaps: Sequence[Gap] = ()) -> None:
        # Through JSON, so that what Redis cannot hold fails here too.
        stored = decode_stored(msgspec.json.encode(position), Position, source)
        self._history[source] = [stored, *self._history.get(source, ())][:HISTORY]
        self._gaps = [*(_record(source, gap) for gap in reversed(gaps)), *self._gaps][:GAPS]

    def queue_deletions(self, deletions: Sequence[Deletion]) -> None:
        self.deletions += deletions

    def gaps(self) -> Sequence[GapRecord]:
        return list(self._gaps)

    def positions(self) -> Mapping[str, Position]:
        return {name: history[0] for name, history in self._history.items()}

    def save_states(self, states: Mapping[str, SourceRecord], gone: Collection[str] = ()) -> None:
        self._states = {name: one for name, one in {**self._states, **states}.items() if name not in gone}

    def states(self) -> Mapping[str, SourceRecord]:
        return dict(self._states)


def new_position(cursor: Cursor, *, topic_id: str, sent: Mapping[int, int], last_event: datetime | None) -> Position:
    """The position *cursor* after posts up to the offsets *sent* of each partition."""
    return Position(
        dict(cursor), datetime.now(UTC), topic_id, {str(p): offset for p, offset in sent.items()}, last_event
    )


def _record(source: str, gap: Gap) -> GapRecord:
    return GapRecord(source, gap.begin, gap.end, gap.reason, gap.refilled, datetime.now(UTC))

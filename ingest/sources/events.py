"""What a source yields: events that its decoder makes of frames, and the position after them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from brandpulse.schema.dead_letters import RecordId

Cursor = Mapping[str, Any]
"""The position of a source, as JSON. Its connector alone knows the keys."""


@dataclass(frozen=True, slots=True)
class NewPost:
    """A post as the platform delivers it."""

    id: str
    """Unique within the source's name."""
    text: str
    created_at: datetime
    """With a zone. Platforms whose authors declare the time may be wrong: see `event_time`."""
    author_id: str
    lang: str | None = None
    url: str | None = None
    time_replaced: bool = False
    """`created_at` is the platform's time, because the author's is absent or implausible."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A new version of a post. The first version stays counted; its text is no longer shown (`deletions`)."""

    id: str


@dataclass(frozen=True, slots=True)
class Delete:
    """The platform removed a post, or all posts of an author."""

    id: str | None = None
    author_id: str | None = None


@dataclass(frozen=True, slots=True)
class Skip:
    """A frame that is no post for us."""

    reason: str
    """One of few snake_case words: it labels a metric."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A record of a Kafka topic that gives no post: counted by its reason, and sent to the dead letters."""

    reason: str
    """One of few snake_case words: it labels a metric."""
    error: str
    origin: RecordId
    topic: str
    record_ms: int
    key: bytes | None
    value: bytes | None


Event = NewPost | Edit | Delete | Skip | Reject


@dataclass(frozen=True, slots=True)
class Gap:
    """A period of which posts may be missing."""

    begin: datetime
    end: datetime
    reason: str
    """A sentence part for a person, such as `the server keeps 36 hours`."""
    refilled: bool = False
    """The source read the period again from another place, completely."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive events of a source."""

    events: Sequence[Event]
    cursor: Cursor
    """The position after these events: a later run that starts there repeats none and misses none."""
    gap: Gap | None = None
    """A period before these events that cannot be read any more."""
    caught_up: bool | None = None
    """Whether everything up to now has been read, also what was missed before. None: the newest post's time decides,
    which is right for a source that gives posts in the order of time."""

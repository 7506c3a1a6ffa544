"""The alerter's state: lease and fence, episodes, outbox and `evaluated_until`. The contract.

Every write carries the fencing token that `acquire` gave and changes nothing once another alerter has taken over;
`commit` is a compare-and-set on `evaluated_until`. Blocking: call it from a thread. The real one: `redis_store.py`; its
twin: `memory_store.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from alerting.episodes.episode_spans import PastSpan
from alerting.episodes.lifecycle import OpenEpisode
from alerting.notifications.delivery import Delivery
from brandpulse.errors import BrandpulseError
from brandpulse.schema.episodes import Episode
from brandpulse.schema.silences import Acknowledgement, OperatorRequests
from brandpulse.state.watched_facets import WatchedFacets


class LostLeadershipError(BrandpulseError):
    """Another alerter leads now: discard all state in memory and ask for the lease again."""


MAX_CLOSED = 500
MAX_DELIVERED = 500


@dataclass(frozen=True, slots=True)
class AlerterState:
    """What a leader starts from."""

    evaluated_until_ms: int | None = None
    open: Mapping[str, OpenEpisode] = field(default_factory=dict)
    closed: Sequence[Episode] = ()
    """Newest first, at most 500: what people are shown."""
    spans: Sequence[PastSpan] = ()
    """Of all that closed within the days that a baseline may look back, oldest end first. Stores of versions before
    had none: there `closed` knows more."""


@dataclass(frozen=True, slots=True)
class Commit:
    """What a stretch of minutes decided, to be made true at once or not at all."""

    expected_ms: int | None
    """`evaluated_until` as it was read."""
    until_ms: int | None
    """`evaluated_until` afterwards; not below *expected_ms*."""
    open: Mapping[str, OpenEpisode] = field(default_factory=dict)
    """Episodes that are open afterwards and were touched."""
    closed: Sequence[Episode] = ()
    """In the order in which they closed."""
    deliveries: Sequence[Delivery] = ()
    """In the order in which they must go out. One whose id is in the outbox already is left alone."""
    suppressed: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(receiver, why) -> notifications that were decided and not sent."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Where all notifications are that were ever decided; read at one moment.

    For each receiver: accepted = delivered + quarantined + what waits for it; and in all, `waiting` and `set_aside`
    are what lies in outbox and quarantine.
    """

    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(receiver, fate): fate is accepted, delivered, quarantined, or why it was suppressed."""
    waiting: int = 0
    set_aside: int = 0
    erased: bool = False
    """Whether a text was erased since `pending` was read: what was read then may still hold it."""

    def total(self, fate: str) -> int:
        return sum(number for (_, one), number in self.counts.items() if one == fate)


CommitResult = Literal["applied", "moved", "fenced"]
"""moved: `evaluated_until` is not what was read, load again. fenced: another alerter leads."""
Durability = Literal["durable", "not yet", "unknown"]
"""unknown: the server has no WAITAOF, or no append-only file."""


class AlertStore(Protocol):
    """What the alerter needs of its store. All but `acquire` and the reads answer False, or "fenced", to an old token.

    Raises TransientError when the store is unreachable; whether a write then happened is unknown.
    """

    def acquire(self, holder: str, *, lease_ms: int) -> int | None:
        """The fencing token if *holder* leads now, else None. *holder* is unique to a process's life."""

    def renew(self, holder: str, *, lease_ms: int) -> bool:
        """Hold the lease for another *lease_ms*. False if it is another's, or ran out."""

    def release(self, holder: str) -> None:
        """Give the lease up, if it is ours."""

    def load(self) -> AlerterState: ...

    def commit(self, commit: Commit, *, token: int) -> CommitResult: ...

    def make_durable(self, *, timeout_ms: int) -> Durability:
        """Wait until everything written so far is on the server's disk."""

    def enqueue(self, deliveries: Sequence[Delivery], *, token: int) -> bool:
        """Put *deliveries* at the outbox's end; ids that wait there already are left alone."""

    def pending(self) -> list[Delivery]:
        """What is not handed over, oldest first."""

    def mark_delivered(self, delivery: Delivery, *, token: int) -> bool:
        """Take it out of the outbox; *delivery* as it shall be remembered."""

    def mark_retry(self, delivery: Delivery, *, token: int) -> bool:
        """Keep it in its place; *delivery* with its new attempts and next attempt."""

    def quarantine(self, delivery: Delivery, *, token: int) -> bool:
        """Take it out of the outbox and set it aside for a person."""

    def quarantined(self) -> list[Delivery]: ...

    def delivered(self) -> list[Delivery]:
        """Newest first, at most 500."""

    def tally(self) -> Tally: ...

    def operator_requests(self, now: datetime) -> OperatorRequests:
        """Silences and acknowledgements."""

    def forget_acknowledgements(self, acknowledgements: Sequence[Acknowledgement]) -> None:
        """They are in the episodes now."""

    def report_late(self, delivery: Delivery) -> None:
        """By one who led no longer when this was sent: it may have opened an incident anew. Needs no token."""

    def late_deliveries(self) -> list[Delivery]:
        """What was reported so."""

    def forget_late(self, deliveries: Sequence[Delivery]) -> None:
        """They are seen to."""

    def save_delays(self, seconds: Mapping[str, float]) -> None:
        """How long a rise goes untold, by brand, for `brandpulse stats`: a hint, so it needs no token."""

    def save_watched_facets(self, facets: WatchedFacets) -> None:
        """Which facets rules watch, for the live page: a hint, likewise."""

    def requeue(self, delivery_id: str) -> bool:
        """A person's wish: from quarantine to the front of the outbox, attempts at zero. False if not there."""

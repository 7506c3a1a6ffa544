"""The interface to the alerter's state: lease and fence, episodes, outbox and `evaluated_until`.

Every write carries the fencing token of `acquire` and changes nothing after another alerter has taken over. `commit` is
a compare-and-set on `evaluated_until`. Blocking: call it from a thread. Implementations: `redis_store.py`, and
`memory_store.py` for tests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from alerting.detection.vote_review import SeriesHour, UncountedHours
from alerting.detection.votes.copied_votes import Uncounted
from alerting.episodes.episode_spans import PastSpan
from alerting.episodes.lifecycle import OpenEpisode
from alerting.notifications.delivery import Delivery
from brandpulse.errors import BrandpulseError
from brandpulse.schema.episodes import Episode
from brandpulse.schema.silences import Acknowledgement, OperatorRequests
from brandpulse.state.watched_facets import WatchedFacets


class LostLeadershipError(BrandpulseError):
    """Another alerter leads now: discard all state in memory and request the lease again."""


MAX_CLOSED = 500
MAX_DELIVERED = 500


@dataclass(frozen=True, slots=True)
class AlerterState:
    """The state from which a leader starts."""

    evaluated_until_ms: int | None = None
    open: Mapping[str, OpenEpisode] = field(default_factory=dict)
    closed: Sequence[Episode] = ()
    """Newest first, at most 500: the history that people see."""
    spans: Sequence[PastSpan] = ()
    """All episodes that closed within the longest baseline, oldest end first. Stores of earlier versions have none;
    then `closed` is the only history."""


@dataclass(frozen=True, slots=True)
class Commit:
    """The decisions of a batch of minutes, applied atomically."""

    expected_ms: int | None
    """`evaluated_until` as read."""
    until_ms: int | None
    """The new `evaluated_until`; not below *expected_ms*."""
    open: Mapping[str, OpenEpisode] = field(default_factory=dict)
    """The changed episodes that are open afterwards."""
    closed: Sequence[Episode] = ()
    """In the order in which they closed."""
    deliveries: Sequence[Delivery] = ()
    """In the order in which they must be sent. Ids that are already in the outbox are ignored."""
    suppressed: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(receiver, reason): number of notifications that were decided and not sent."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The state of all notifications ever decided, read at one moment.

    For each receiver: accepted = delivered + quarantined + waiting. `waiting` and `quarantined` are the totals of
    outbox and quarantine.
    """

    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(receiver, state): accepted, delivered, quarantined, or the reason why it was suppressed."""
    waiting: int = 0
    quarantined: int = 0
    erased: bool = False
    """Whether text was erased since the last `pending`, whose result may still contain it."""

    def total(self, fate: str) -> int:
        return sum(number for (_, one), number in self.counts.items() if one == fate)


CommitResult = Literal["applied", "moved", "fenced"]
"""moved: `evaluated_until` has changed since it was read; load again. fenced: another alerter leads."""
Durability = Literal["durable", "not yet", "unknown"]
"""unknown: the server has no WAITAOF or no append-only file."""


class AlertStore(Protocol):
    """The alerter's store. With an old token, writes return False or "fenced" and change nothing.

    Raises TransientError if the store is unreachable; a write may then have happened or not.
    """

    def acquire(self, holder: str, *, lease_ms: int) -> int | None:
        """The fencing token if *holder* leads now, else None. *holder* is unique to one run of a process."""

    def renew(self, holder: str, *, lease_ms: int) -> bool:
        """Extend the lease by *lease_ms*. False if it expired, or belongs to another alerter."""

    def release(self, holder: str) -> None:
        """Give up the lease if *holder* has it."""

    def load(self) -> AlerterState: ...

    def commit(self, commit: Commit, *, token: int) -> CommitResult: ...

    def make_durable(self, *, timeout_ms: int) -> Durability:
        """Wait until all writes so far are on the server's disk."""

    def enqueue(self, deliveries: Sequence[Delivery], *, token: int) -> bool:
        """Append *deliveries* to the outbox. Ids that are already in it are ignored."""

    def pending(self) -> list[Delivery]:
        """Undelivered notifications, oldest first."""

    def mark_delivered(self, delivery: Delivery, *, token: int) -> bool:
        """Move it from the outbox to the delivered ones. *delivery* is stored as given."""

    def mark_retry(self, delivery: Delivery, *, token: int) -> bool:
        """Keep its position in the outbox. *delivery* has the new attempts and next attempt."""

    def quarantine(self, delivery: Delivery, *, token: int) -> bool:
        """Move it from the outbox to the quarantine."""

    def quarantined(self) -> list[Delivery]: ...

    def delivered(self) -> list[Delivery]:
        """Newest first, at most 500."""

    def tally(self) -> Tally: ...

    def operator_requests(self, now: datetime) -> OperatorRequests:
        """Silences and acknowledgements."""

    def forget_acknowledgements(self, acknowledgements: Sequence[Acknowledgement]) -> None:
        """Delete *acknowledgements*, which the episodes contain now."""

    def report_late(self, delivery: Delivery) -> None:
        """Report that *delivery* was sent after the lease was lost: it may have reopened an incident. Needs no
        token."""

    def late_deliveries(self) -> list[Delivery]:
        """The reported deliveries."""

    def forget_late(self, deliveries: Sequence[Delivery]) -> None:
        """Delete reports that are dealt with."""

    def save_delays(self, seconds: Mapping[str, float]) -> None:
        """Save the detection delay by brand, for `brandpulse stats`. Informational, so it needs no token."""

    def save_watched_facets(self, facets: WatchedFacets) -> None:
        """Save which facets rules watch, for the live page. Informational, so it needs no token."""

    def uncounted_votes(self) -> dict[SeriesHour, Uncounted]:
        """People of past hours who have no vote, as `save_uncounted_votes` saved them."""

    def save_uncounted_votes(self, found: UncountedHours, *, expired: Sequence[SeriesHour]) -> None:
        """Save *found* and delete the hours *expired*. Values are absolute, so another alerter saves the same: it
        needs no token."""

    def requeue(self, delivery_id: str) -> bool:
        """For operators: move it from quarantine to the front of the outbox, with zero attempts. False if it is not
        there."""

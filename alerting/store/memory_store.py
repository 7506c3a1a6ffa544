"""An `AlertStore` in memory, for tests and dry runs. Nothing is persisted."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from alerting.detection.vote_review import SeriesHour, UncountedHours
from alerting.detection.votes.copied_votes import Uncounted
from alerting.episodes.episode_spans import add_closed
from alerting.notifications.delivery import Delivery
from alerting.store.alert_store import (
    MAX_CLOSED,
    MAX_DELIVERED,
    AlerterState,
    Commit,
    CommitResult,
    Durability,
    Tally,
)
from brandpulse.schema.silences import Acknowledgement, OperatorRequests, Silence
from brandpulse.state.watched_facets import WatchedFacets


class MemoryAlertStore:
    """The store of one alerter."""

    def __init__(self) -> None:
        self._state = AlerterState()
        self._holder: str | None = None
        self._token = 0
        self._outbox: dict[str, Delivery] = {}
        self._quarantine: dict[str, Delivery] = {}
        self._delivered: list[Delivery] = []
        self._late: dict[str, Delivery] = {}
        self.delays: dict[str, float] = {}
        self._uncounted: dict[SeriesHour, Uncounted] = {}
        self.facets: WatchedFacets = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self.silences: dict[str, Silence] = {}
        self.acknowledgements: dict[str, Acknowledgement] = {}

    def expire_lease(self) -> None:
        """End the lease, as its time limit does."""
        self._holder = None

    def acquire(self, holder: str, *, lease_ms: int) -> int | None:
        if self._holder is None:
            self._holder = holder
            self._token += 1
        return self._token if self._holder == holder else None

    def renew(self, holder: str, *, lease_ms: int) -> bool:
        return self._holder == holder

    def release(self, holder: str) -> None:
        if self._holder == holder:
            self._holder = None

    def load(self) -> AlerterState:
        return self._state

    def commit(self, commit: Commit, *, token: int) -> CommitResult:
        if token != self._token:
            return "fenced"
        if commit.expected_ms != self._state.evaluated_until_ms:
            return "moved"
        closed_keys = {episode.key for episode in commit.closed}
        self._state = AlerterState(
            evaluated_until_ms=commit.until_ms,
            open={key: value for key, value in {**self._state.open, **commit.open}.items() if key not in closed_keys},
            closed=[*reversed(commit.closed), *self._state.closed][:MAX_CLOSED],
            spans=add_closed(self._state.spans, commit.closed),
        )
        self._add(commit.deliveries)
        self._counts.update(commit.suppressed)
        return "applied"

    def make_durable(self, *, timeout_ms: int) -> Durability:
        return "durable"

    def enqueue(self, deliveries: Sequence[Delivery], *, token: int) -> bool:
        if token != self._token:
            return False
        self._add(deliveries)
        return True

    def _add(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            if delivery.id not in self._outbox:
                self._outbox[delivery.id] = delivery
                self._counts[delivery.notification.receiver, "accepted"] += 1

    def pending(self) -> list[Delivery]:
        return list(self._outbox.values())

    def mark_delivered(self, delivery: Delivery, *, token: int) -> bool:
        if token != self._token or self._outbox.pop(delivery.id, None) is None:
            return False
        self._counts[delivery.notification.receiver, "delivered"] += 1
        self._delivered = [delivery, *self._delivered][:MAX_DELIVERED]
        return True

    def mark_retry(self, delivery: Delivery, *, token: int) -> bool:
        if token != self._token or delivery.id not in self._outbox:
            return False
        self._outbox[delivery.id] = delivery
        return True

    def quarantine(self, delivery: Delivery, *, token: int) -> bool:
        if token != self._token or self._outbox.pop(delivery.id, None) is None:
            return False
        self._quarantine[delivery.id] = delivery
        self._counts[delivery.notification.receiver, "quarantined"] += 1
        return True

    def quarantined(self) -> list[Delivery]:
        return sorted(self._quarantine.values(), key=lambda delivery: delivery.decided_ms)

    def delivered(self) -> list[Delivery]:
        return list(self._delivered)

    def requeue(self, delivery_id: str) -> bool:
        delivery = self._quarantine.pop(delivery_id, None)
        if delivery is None:
            return False
        fresh = delivery.model_copy(update={"attempts": 0, "next_attempt_ms": 0})
        self._outbox = {delivery_id: fresh, **self._outbox}
        self._counts[delivery.notification.receiver, "quarantined"] -= 1
        return True

    def report_late(self, delivery: Delivery) -> None:
        self._late[delivery.id] = delivery

    def late_deliveries(self) -> list[Delivery]:
        return list(self._late.values())

    def forget_late(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self._late.pop(delivery.id, None)

    def uncounted_votes(self) -> dict[SeriesHour, Uncounted]:
        return dict(self._uncounted)

    def save_uncounted_votes(self, found: UncountedHours, *, expired: Sequence[SeriesHour]) -> None:
        self._uncounted.update(found)
        for place in expired:
            self._uncounted.pop(place, None)

    def save_delays(self, seconds: Mapping[str, float]) -> None:
        self.delays.update(seconds)

    def save_watched_facets(self, facets: WatchedFacets) -> None:
        self.facets = facets

    def tally(self) -> Tally:
        return Tally(dict(self._counts), len(self._outbox), len(self._quarantine))

    def operator_requests(self, now: datetime) -> OperatorRequests:
        return OperatorRequests(list(self.silences.values()), list(self.acknowledgements.values()))

    def forget_acknowledgements(self, acknowledgements: Sequence[Acknowledgement]) -> None:
        for one in acknowledgements:
            self.acknowledgements.pop(one.key, None)

"""Decides when a worker without partitions rejoins its consumer group.

A group assigns the partitions that its leader saw when the group formed. A broker that came back empty has no topic for
a while, and a group that formed then reads nothing: librdkafka refreshes after five minutes, and the embedded broker
repeats the old assignment to a member it knows. A worker that joins as a new member gets its share.
"""

import logging
from collections.abc import Callable, Mapping

from brandpulse.errors import TransientError

log = logging.getLogger(__name__)

LOG_INTERVAL_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 600.0
"""Between two attempts. Each makes the whole group rebalance; a partition that no worker can read is not worth more."""


class GroupRejoinPolicy:
    """Checks at intervals whether any partition has no reader. Times are monotonic seconds."""

    def __init__(self, last_seen: Callable[[], Mapping[int, int]], *, patience_seconds: float) -> None:
        """*last_seen*: each partition's heartbeat in the store, 0 if it has none; may raise TransientError.

        A heartbeat that does not change for *patience_seconds*, longer than a rebalance, means that no worker reads.
        """
        self._last_seen = last_seen
        self._patience_seconds = patience_seconds
        self._seen: Mapping[int, int] | None = None
        self._seen_at = 0.0
        self._wait_seconds = patience_seconds
        self._not_before = 0.0
        self._logged_at: float | None = None

    def on_assigned(self, now: float) -> None:
        """The worker has partitions: waiting starts again from here."""
        self._seen = None
        self._wait_seconds = self._patience_seconds
        self._not_before = self._logged_at = now

    def unread_partitions(self, now: float) -> list[int]:
        """Partitions without a reader, for which the worker must rejoin now. Queries store and Kafka at intervals."""
        if self._seen is not None and now - self._seen_at < self._patience_seconds:
            return []
        before = self._seen
        try:
            self._seen, self._seen_at = self._last_seen(), now
        except TransientError as error:
            self._seen = None
            self._log(now, "no partition assigned, readers of the topic unknown", reason=str(error))
            return []
        unread = (
            [] if before is None else [partition for partition, at in self._seen.items() if before.get(partition) == at]
        )
        if not unread:
            if before is not None:
                self._log(
                    now,
                    "no partition assigned: there are more workers than partitions",
                    remedy="none needed: it takes over when another worker ends",
                )
            return []
        if now < self._not_before:
            return []
        self._not_before = now + self._wait_seconds
        self._wait_seconds = min(2 * self._wait_seconds, LONGEST_WAIT_SECONDS)
        self._seen = None
        log.warning("no partition assigned, but some have no reader: rejoining the group", extra={"partitions": unread})
        return unread

    def _log(self, now: float, event: str, **fields: str) -> None:
        if self._logged_at is None:
            self._logged_at = now
        if now - self._logged_at >= LOG_INTERVAL_SECONDS:
            self._logged_at = now
            log.warning(event, extra=fields)

"""A worker that was given no partition: one too many, or forgotten by its group.

A group shares what its leader saw of the topic when the group met. A broker that came back empty has no topic for a
while, and a group that met then reads nothing: librdkafka looks again after five minutes, and the embedded broker
gives a member that it knows the old assignment once more. Who joins as a new member is given its share.
"""

import logging
from collections.abc import Callable, Mapping

from brandpulse.errors import TransientError

log = logging.getLogger(__name__)

TELL_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 600.0
"""Between two attempts. Each makes the whole group share anew; a partition that nobody can read is not worth that."""


class Unassigned:
    """Looks every so often whether partitions lie there that nobody reads. Moments are monotonic seconds."""

    def __init__(self, signs: Callable[[], Mapping[int, int]], *, patience_seconds: float) -> None:
        """*signs*: each partition's last sign of life in the store, 0 where it has none; may raise TransientError.
        One that has not moved for *patience_seconds*, longer than a group takes to share, is read by nobody."""
        self._signs = signs
        self._patience_seconds = patience_seconds
        self._seen: Mapping[int, int] | None = None
        self._seen_at = 0.0
        self._wait_seconds = patience_seconds
        self._not_before = 0.0
        self._told_at: float | None = None

    def assigned(self, now: float) -> None:
        self._seen = None
        self._wait_seconds = self._patience_seconds
        self._not_before = self._told_at = now

    def look(self, now: float) -> list[int]:
        """Partitions for whose sake to join the group anew: they are read by nobody. Asks store and Kafka at times."""
        if self._seen is not None and now - self._seen_at < self._patience_seconds:
            return []
        before = self._seen
        try:
            self._seen, self._seen_at = self._signs(), now
        except TransientError as error:
            self._seen = None
            self._tell(now, "no partition assigned, and who reads the topic is not known", reason=str(error))
            return []
        unread = [] if before is None else [one for one, at in self._seen.items() if before.get(one) == at]
        if not unread:
            if before is not None:
                self._tell(
                    now,
                    "no partition assigned: there are more workers than partitions",
                    remedy="none is needed: it takes over when another worker ends",
                )
            return []
        if now < self._not_before:
            return []
        self._not_before = now + self._wait_seconds
        self._wait_seconds = min(2 * self._wait_seconds, LONGEST_WAIT_SECONDS)
        self._seen = None
        log.warning("no partition assigned though some are read by nobody: joins anew", extra={"partitions": unread})
        return unread

    def _tell(self, now: float, what: str, **why: str) -> None:
        if self._told_at is None:
            self._told_at = now
        if now - self._told_at >= TELL_SECONDS:
            self._told_at = now
            log.warning(what, extra=why)

"""Whose turn it is to write topic posts.scored: the workers of the namespace that readers are shown.

At a swap the two namespaces stand at different offsets, and a batch may be under way. So who was live goes on for some
seconds, then looks where the other stands by now, and ends each partition there: some posts are written twice, none is
left out. A shadow that was never live writes nothing, and neither does a worker that was started after its namespace's
time.
"""

import logging
from collections.abc import Callable

import redis

from brandpulse.redis.error_hints import reaching_redis
from brandpulse.state.keys import PartitionKeys
from brandpulse.state.namespaces import live_namespace

log = logging.getLogger(__name__)

ASK_SECONDS = 1.0
OVERLAP_SECONDS = 10.0
"""Longer than a worker takes to notice that it is live, and to write the batch that it had begun before."""
NOTHING, ALL = 0, 2**63


class Turn:
    """Asked by the thread that writes, batch by batch: *client* is its own."""

    def __init__(
        self, client: redis.Redis, namespace: str, parent: str, topic: str, *, monotonic: Callable[[], float]
    ) -> None:
        """*parent*: whose readers are shown the one or the other; the namespace itself, unless it is a shadow."""
        self._client = client
        self._namespace = namespace
        self._parent = parent
        self._topic = topic
        self._monotonic = monotonic
        self._live = ""
        self._asked = -ASK_SECONDS
        self._ended: float | None = None
        """When we noticed that it is another's turn; None while it is ours."""
        self._was_live = False
        self._ends: dict[int, int] = {}
        """Partition -> offset from which on the other writes."""

    def until(self, partition: int) -> int:
        """Scored posts of *partition* below that offset are ours to write. Raises TransientError."""
        now = self._monotonic()
        if now - self._asked >= ASK_SECONDS:
            self._live = live_namespace(self._client, self._parent)
            self._asked = now
        if self._live == self._namespace:
            self._was_live, self._ended = True, None
            self._ends.clear()
            return ALL
        if not self._was_live:
            return NOTHING
        if self._ended is None:
            self._ended = now
        if now - self._ended < OVERLAP_SECONDS:
            return ALL
        if partition not in self._ends:
            self._ends[partition] = self._stands_at(partition)
        return self._ends[partition]

    def _stands_at(self, partition: int) -> int:
        """Where the live namespace reads; a partition that it does not count yet is left to us."""
        with reaching_redis():
            try:
                stored = self._client.hget(PartitionKeys(self._live, self._topic, partition).state, "next")
            except redis.exceptions.NoPermissionError as error:
                # Counting must not wait for a right that only scored posts need.
                log.warning("writes no more scored posts", extra={"partition": partition, "reason": str(error)})
                return NOTHING
        return ALL if stored is None else int(stored)

"""Decides which workers write topic posts.scored: those of the live namespace, which readers see.

At a switch the two namespaces are at different offsets, and a batch may be in flight. So the namespace that was live
continues for some seconds, then reads the other's offsets, and stops each partition there: some posts are written
twice, none is left out. A shadow namespace that was never live writes nothing; neither does a worker that starts after
its namespace was replaced.
"""

import logging
from collections.abc import Callable

import redis

from brandpulse.redis.error_hints import reaching_redis
from brandpulse.state.keys import PartitionKeys
from brandpulse.state.namespaces import live_namespace

log = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
OVERLAP_SECONDS = 10.0
"""Longer than a worker takes to notice that it is live and to write the batch that it started before."""
NOTHING, ALL = 0, 2**63


class ScoredTopicGate:
    """Called by the writing thread for each batch. *client* belongs to that thread."""

    def __init__(
        self, client: redis.Redis, namespace: str, parent: str, topic: str, *, monotonic: Callable[[], float]
    ) -> None:
        """*parent*: the namespace that readers address; *namespace* itself unless it is a shadow."""
        self._client = client
        self._namespace = namespace
        self._parent = parent
        self._topic = topic
        self._monotonic = monotonic
        self._live = ""
        self._checked = -CHECK_SECONDS
        self._replaced_at: float | None = None
        """When this worker noticed that another namespace is live; None while its own is."""
        self._was_live = False
        self._end_offsets: dict[int, int] = {}
        """Partition -> offset from which the other namespace writes."""

    def end_offset(self, partition: int) -> int:
        """This worker writes the scored posts of *partition* below this offset. Raises TransientError."""
        now = self._monotonic()
        if now - self._checked >= CHECK_SECONDS:
            self._live = live_namespace(self._client, self._parent)
            self._checked = now
        if self._live == self._namespace:
            self._was_live, self._replaced_at = True, None
            self._end_offsets.clear()
            return ALL
        if not self._was_live:
            return NOTHING
        if self._replaced_at is None:
            self._replaced_at = now
        if now - self._replaced_at < OVERLAP_SECONDS:
            return ALL
        if partition not in self._end_offsets:
            self._end_offsets[partition] = self._live_offset(partition)
        return self._end_offsets[partition]

    def _live_offset(self, partition: int) -> int:
        """The offset of the live namespace; a partition that it does not count yet stays with this worker."""
        with reaching_redis():
            try:
                stored = self._client.hget(PartitionKeys(self._live, self._topic, partition).state, "next")
            except redis.exceptions.NoPermissionError as error:
                # Counting must not wait for a permission that only scored posts need.
                log.warning("scored posts stopped", extra={"partition": partition, "reason": str(error)})
                return NOTHING
        return ALL if stored is None else int(stored)

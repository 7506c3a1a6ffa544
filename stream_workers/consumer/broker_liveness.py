"""Detects partitions whose leader in Kafka does not respond.

librdkafka does not report it: for a partition without new records it returns nothing, with or without a broker, and the
cached end of the log stays the same. So the leaders are asked for the end of the log, without waiting for the reply.
For the reading thread only, except `is_silent`. Takes the time as an argument.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future

from confluent_kafka import KafkaException
from confluent_kafka.admin import ListOffsetsResultInfo

log = logging.getLogger(__name__)

REQUEST_INTERVAL_SECONDS = 5.0
REQUEST_TIMEOUT_SECONDS = 10.0
"""A leader that takes longer has not replied. One request at a time is open."""
SILENT_AFTER_SECONDS = 15.0
"""After this time without a reply a leader counts as silent: two requests in a row."""

RequestLogEnds = Callable[[Collection[int], float], Mapping[int, "Future[ListOffsetsResultInfo]"]]
"""Requests each partition's log end from its leader, with a timeout. Returns at once; raises KafkaException."""


class BrokerLiveness:
    """Times are monotonic seconds. A partition is tracked from the first call that names it until it is forgotten."""

    def __init__(self, request_log_ends: RequestLogEnds) -> None:
        self._request_log_ends = request_log_ends
        self._now = 0.0
        self._replied_at: dict[int, float] = {}
        self._positions: dict[int, int] = {}
        self.log_ends: dict[int, int] = {}
        """Offset after the last committed record of each log, as its leader last reported it."""
        self._open: dict[int, Future[ListOffsetsResultInfo]] = {}
        self._requested_at = -REQUEST_INTERVAL_SECONDS
        self._silent: set[int] = set()
        """Partitions reported to the log as silent."""

    def update(self, positions: Mapping[int, int], now: float) -> None:
        """Take the replies that arrived, and send a request if one is due.

        *positions*: offset after the last record read, by partition. A position that moved counts as a reply.
        """
        self._now = now
        for partition, offset in positions.items():
            if self._positions.get(partition) != offset:
                self._positions[partition] = offset
                self._replied_at[partition] = now
        self._take_replies()
        due = self._requested_at + (REQUEST_TIMEOUT_SECONDS if self._open else REQUEST_INTERVAL_SECONDS)
        if self._replied_at and now >= due:
            self._requested_at = now
            try:
                self._open = dict(self._request_log_ends(self._replied_at.keys(), REQUEST_TIMEOUT_SECONDS))
            except KafkaException as error:
                log.info("liveness request failed", extra={"reason": str(error)})
        self._report()

    def silent_seconds(self, partition: int) -> float:
        """Seconds since its leader last replied, as of the last update; 0.0 while it does not count as silent.

        Starts to track the partition: its start offset was just resolved, so its leader replied.
        """
        silent = self._now - self._replied_at.setdefault(partition, self._now)
        return silent if silent >= SILENT_AFTER_SECONDS else 0.0

    def is_silent(self, partition: int) -> bool:
        """Whether its leader counted as silent at the last update. May be called from any thread."""
        return partition in self._silent

    def forget(self, partition: int) -> None:
        for table in (self._replied_at, self._positions, self.log_ends, self._open):
            table.pop(partition, None)
        self._silent.discard(partition)

    def _take_replies(self) -> None:
        for partition, reply in list(self._open.items()):
            if reply.done():
                del self._open[partition]
                # For a stopped broker librdkafka 2.16 reports, after some seconds, a log end of -1001.
                if not reply.cancelled() and reply.exception() is None and (end := reply.result().offset) >= 0:
                    self._replied_at[partition], self.log_ends[partition] = self._now, end

    def _report(self) -> None:
        silent = {partition for partition in self._replied_at if self.silent_seconds(partition)}
        if new := silent - self._silent:
            log.warning("kafka not responding", extra={"partitions": sorted(new), "seconds": SILENT_AFTER_SECONDS})
        if back := self._silent - silent:
            log.info("kafka responding again", extra={"partitions": sorted(back)})
        self._silent = silent

"""Whether Kafka answers: when the leader of each partition last did.

What librdkafka hands over does not tell: of a partition where nothing happens it says nothing, broker or no broker, and
the log's end that it remembers stays as it was. So the leaders are asked for it, and nobody waits for what they say.
For the reading thread alone; does not know the clock.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future

from confluent_kafka import KafkaException
from confluent_kafka.admin import ListOffsetsResultInfo

log = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
LONGEST_SECONDS = 10.0
"""A leader that takes longer has not answered. One question at a time is open."""
SILENT_SECONDS = 15.0
"""From then on a leader that has not answered is taken to be gone: two questions in a row."""

Ask = Callable[[Collection[int], float], Mapping[int, "Future[ListOffsetsResultInfo]"]]
"""Asks the leader of each partition for its log's end, which has so many seconds. Returns at once; KafkaException."""


class Answers:
    """Moments are monotonic seconds. A partition is followed from the first look at it until it is forgotten."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._now = 0.0
        self._heard: dict[int, float] = {}
        self._read_to: dict[int, int] = {}
        self.ends: dict[int, int] = {}
        """Offset after the last committed record of each log, as its leader said it lately."""
        self._open: dict[int, Future[ListOffsetsResultInfo]] = {}
        self._asked_at = -EVERY_SECONDS
        self._silent: set[int] = set()
        """What the log was told of."""

    def look(self, read_to: Mapping[int, int], now: float) -> None:
        """Take the answers that came, and ask again when it is time.

        *read_to*: offset after the last record that was read, by partition. Where it moved a leader has answered, too.
        """
        self._now = now
        for partition, offset in read_to.items():
            if self._read_to.get(partition) != offset:
                self._read_to[partition] = offset
                self._heard[partition] = now
        self._take()
        due = self._asked_at + (LONGEST_SECONDS if self._open else EVERY_SECONDS)
        if self._heard and now >= due:
            self._asked_at = now
            try:
                self._open = dict(self._ask(self._heard.keys(), LONGEST_SECONDS))
            except KafkaException as error:
                log.info("Kafka is not asked whether it is there", extra={"reason": str(error)})
        self._tell()

    def silent_seconds(self, partition: int) -> float:
        """For how long its leader has not answered, as of the last look; 0.0 while it may be taken to be there.

        Follows the partition from now on: its place in the log was just found, so its leader was there.
        """
        silent = self._now - self._heard.setdefault(partition, self._now)
        return silent if silent >= SILENT_SECONDS else 0.0

    def is_silent(self, partition: int) -> bool:
        """Whether its leader was taken to be gone at the last look. May be asked from any thread."""
        return partition in self._silent

    def forget(self, partition: int) -> None:
        for known in (self._heard, self._read_to, self.ends, self._open):
            known.pop(partition, None)
        self._silent.discard(partition)

    def _take(self) -> None:
        for partition, answer in list(self._open.items()):
            if answer.done():
                del self._open[partition]
                # Of a broker that is stopped librdkafka 2.16 says after some seconds that its log ends at -1001.
                if not answer.cancelled() and answer.exception() is None and (end := answer.result().offset) >= 0:
                    self._heard[partition], self.ends[partition] = self._now, end

    def _tell(self) -> None:
        silent = {partition for partition in self._heard if self.silent_seconds(partition)}
        if new := silent - self._silent:
            log.warning("Kafka does not answer", extra={"partitions": sorted(new), "seconds": SILENT_SECONDS})
        if back := self._silent - silent:
            log.info("Kafka answers again", extra={"partitions": sorted(back)})
        self._silent = silent

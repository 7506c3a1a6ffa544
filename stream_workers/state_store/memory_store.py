"""The partition store in memory, under the same contract tests as the Redis one."""

from collections.abc import Sequence
from dataclasses import replace

from brandpulse.state.applied_logs import KEPT_LOGS, LeftLog
from brandpulse.state.panes import Pane
from brandpulse.state.partition_state import PartitionStatus
from brandpulse.state.stored_posts import HourPost, SampledPost
from stream_workers.aggregation.hour_posts import with_offered
from stream_workers.aggregation.post_sample import with_sampled
from stream_workers.aggregation.types import Cell, Change, OfferedPost, PostHour, Sampled, SampleDay, Stored
from stream_workers.state_store.partition_store import Applied, Failed, ReadRequest, Refused, left_log


def _version(status: PartitionStatus) -> tuple[int, str, str]:
    return status.next, status.life, status.writer


class MemoryPartitionStore:
    """Loads, reads and applies like `RedisPartitionStore`; nothing outlives the process."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, int], PartitionStatus] = {}
        self._panes: dict[tuple[str, int], dict[Cell, Pane]] = {}
        self._authors: dict[tuple[str, int], dict[Cell, bytes]] = {}
        self._ids: dict[tuple[str, int], dict[int, set[bytes]]] = {}
        self._logs: dict[tuple[str, int], list[LeftLog]] = {}
        self._origins: dict[str, tuple[int, ...]] = {}
        self._redriven: dict[tuple[str, int], set[bytes]] = {}
        self._samples: dict[tuple[str, int], dict[SampleDay, list[Sampled]]] = {}
        self._hour_posts: dict[tuple[str, int], dict[PostHour, list[OfferedPost]]] = {}

    def load(self, topic: str, partition: int) -> PartitionStatus | None:
        return self._states.get((topic, partition))

    def rebase(self, stored: PartitionStatus | None, wanted: PartitionStatus) -> bool:
        key = (wanted.topic, wanted.partition)
        now = self._states.get(key)
        if (now and (now.next, now.topic_id)) != (stored and (stored.next, stored.topic_id)):
            return False
        left = left_log(stored, wanted)
        if left is not None:
            self._logs[key] = [*self._logs.get(key, ()), left][-KEPT_LOGS:]
        self._states[key] = wanted
        return True

    def left_logs(self, topic: str, partition: int) -> list[LeftLog]:
        return list(self._logs.get((topic, partition), ()))

    def origins(self, topic_id: str) -> tuple[int, ...] | None:
        return self._origins.get(topic_id)

    def set_origins(self, topic_id: str, offsets: Sequence[int]) -> tuple[int, ...]:
        return self._origins.setdefault(topic_id, tuple(offsets))

    def read(self, requests: Sequence[ReadRequest]) -> list[Stored]:
        found = []
        for request in requests:
            key = (request.status.topic, request.status.partition)
            ids = self._ids.get(key, {})
            duplicates = {
                digest: generation.number
                for generations, digests in request.id_lookups
                for generation in generations
                for digest in digests
                if digest in ids.get(generation.number, ())
            }
            panes, authors = self._panes.get(key, {}), self._authors.get(key, {})
            now, status = self._states.get(key), request.status
            found.append(
                Stored(
                    duplicates,
                    {cell: panes[cell] for cell in request.cells if cell in panes},
                    {cell: authors[cell] for cell in request.cells if cell in authors},
                    self._redriven.get(key, set()).intersection(request.redriven_ids),
                    -1 if now is None else (None if _version(now) == _version(status) else now.next),
                )
            )
        return found

    def apply(self, changes: Sequence[Change]) -> list[Applied | Refused | Failed]:
        return [self._apply_one(change) for change in changes]

    def touch(self, status: PartitionStatus) -> bool:
        key = (status.topic, status.partition)
        now = self._states.get(key)
        if now is None or now.next != status.next:
            return False
        self._states[key] = replace(
            now,
            owner=status.owner,
            seen_wall_ms=status.seen_wall_ms,
            caught_up=status.caught_up,
            lag=status.lag,
            paused=status.paused,
        )
        return True

    def samples(self, topic: str, partition: int) -> dict[SampleDay, list[SampledPost]]:
        """What a reader finds, in no particular order."""
        return {day: [one.post for one in found] for day, found in self._samples.get((topic, partition), {}).items()}

    def hour_posts(self, topic: str, partition: int) -> dict[PostHour, list[HourPost]]:
        """What a reader finds, in no particular order."""
        return {
            hour: [one.post for one in found] for hour, found in self._hour_posts.get((topic, partition), {}).items()
        }

    def _apply_one(self, change: Change) -> Applied | Refused:
        key = (change.status.topic, change.status.partition)
        now = self._states.get(key)
        if now is None:
            return Refused(-1)
        if (now.topic_id, *_version(now)) != (
            change.status.topic_id,
            change.from_offset,
            change.status.life,
            change.from_writer,
        ):
            return Refused(now.next)
        self._states[key] = change.status
        self._panes.setdefault(key, {}).update(change.panes)
        self._authors.setdefault(key, {}).update(change.authors)
        self._redriven.setdefault(key, set()).update(change.redriven)
        samples = self._samples.setdefault(key, {})
        for day, posts in change.samples.items():
            samples[day] = with_sampled(samples.get(day, ()), posts)
        hours = self._hour_posts.setdefault(key, {})
        for hour, found in change.hour_posts.items():
            hours[hour] = with_offered(hour, hours.get(hour, ()), found)
        generations = self._ids.setdefault(key, {})
        for number, digests in change.new_ids.items():
            generations.setdefault(number, set()).update(digests)
        for number in change.dropped_generations:
            generations.pop(number, None)
        return Applied()

"""The working twin of the partition store: the same promises, under the same contract suite, in memory."""

from collections.abc import Sequence
from dataclasses import replace

from brandpulse.state.applied_logs import KEPT_LOGS, LeftLog
from brandpulse.state.panes import Pane
from brandpulse.state.partition_state import PartitionStatus
from brandpulse.state.stored_posts import HourPost, SampledPost
from stream_workers.aggregation.hour_posts import Offered, PostHour, with_offered
from stream_workers.aggregation.post_sample import Sampled, SampleDay, with_sampled
from stream_workers.aggregation.row_fold import Cell, Change, Stored
from stream_workers.state_store.partition_store import Applied, Failed, ReadRequest, Refused, left_log


def _place(status: PartitionStatus) -> tuple[int, str, str]:
    return status.next, status.life, status.writer


class MemoryPartitionStore:
    """Loads, reads and applies as the real one does; nothing outlives the process."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, int], PartitionStatus] = {}
        self._panes: dict[tuple[str, int], dict[Cell, Pane]] = {}
        self._authors: dict[tuple[str, int], dict[Cell, bytes]] = {}
        self._ids: dict[tuple[str, int], dict[int, set[bytes]]] = {}
        self._logs: dict[tuple[str, int], list[LeftLog]] = {}
        self._origins: dict[str, tuple[int, ...]] = {}
        self._redriven: dict[tuple[str, int], set[bytes]] = {}
        self._samples: dict[tuple[str, int], dict[SampleDay, list[Sampled]]] = {}
        self._hour_posts: dict[tuple[str, int], dict[PostHour, list[Offered]]] = {}

    def load(self, topic: str, partition: int) -> PartitionStatus | None:
        return self._states.get((topic, partition))

    def rebase(self, seen: PartitionStatus | None, wanted: PartitionStatus) -> bool:
        place = (wanted.topic, wanted.partition)
        now = self._states.get(place)
        if (now and (now.next, now.topic_id)) != (seen and (seen.next, seen.topic_id)):
            return False
        left = left_log(seen, wanted)
        if left is not None:
            self._logs[place] = [*self._logs.get(place, ()), left][-KEPT_LOGS:]
        self._states[place] = wanted
        return True

    def left_logs(self, topic: str, partition: int) -> list[LeftLog]:
        return list(self._logs.get((topic, partition), ()))

    def origins(self, topic_id: str) -> tuple[int, ...] | None:
        return self._origins.get(topic_id)

    def begin_at(self, topic_id: str, offsets: Sequence[int]) -> tuple[int, ...]:
        return self._origins.setdefault(topic_id, tuple(offsets))

    def read(self, requests: Sequence[ReadRequest]) -> list[Stored]:
        found = []
        for request in requests:
            place = (request.status.topic, request.status.partition)
            ids = self._ids.get(place, {})
            repeats = {
                digest: one.number
                for generations, digests in request.asked
                for one in generations
                for digest in digests
                if digest in ids.get(one.number, ())
            }
            panes, authors = self._panes.get(place, {}), self._authors.get(place, {})
            now, status = self._states.get(place), request.status
            found.append(
                Stored(
                    repeats,
                    {cell: panes[cell] for cell in request.cells if cell in panes},
                    {cell: authors[cell] for cell in request.cells if cell in authors},
                    self._redriven.get(place, set()).intersection(request.identities),
                    -1 if now is None else (None if _place(now) == _place(status) else now.next),
                )
            )
        return found

    def apply(self, changes: Sequence[Change]) -> list[Applied | Refused | Failed]:
        return [self._apply_one(change) for change in changes]

    def touch(self, status: PartitionStatus) -> bool:
        place = (status.topic, status.partition)
        now = self._states.get(place)
        if now is None or now.next != status.next:
            return False
        self._states[place] = replace(
            now,
            owner=status.owner,
            seen_wall_ms=status.seen_wall_ms,
            caught_up=status.caught_up,
            lag=status.lag,
            paused=status.paused,
        )
        return True

    def samples(self, topic: str, partition: int) -> dict[SampleDay, list[SampledPost]]:
        """What a reader would find, in no order."""
        return {day: [one.post for one in found] for day, found in self._samples.get((topic, partition), {}).items()}

    def hour_posts(self, topic: str, partition: int) -> dict[PostHour, list[HourPost]]:
        """Likewise."""
        return {
            hour: [one.post for one in found] for hour, found in self._hour_posts.get((topic, partition), {}).items()
        }

    def _apply_one(self, change: Change) -> Applied | Refused:
        place = (change.status.topic, change.status.partition)
        now = self._states.get(place)
        if now is None:
            return Refused(-1)
        if (now.topic_id, *_place(now)) != (
            change.status.topic_id,
            change.from_offset,
            change.status.life,
            change.from_writer,
        ):
            return Refused(now.next)
        self._states[place] = change.status
        self._panes.setdefault(place, {}).update(change.panes)
        self._authors.setdefault(place, {}).update(change.authors)
        self._redriven.setdefault(place, set()).update(change.redriven)
        samples = self._samples.setdefault(place, {})
        for day, posts in change.samples.items():
            samples[day] = with_sampled(samples.get(day, ()), posts)
        hours = self._hour_posts.setdefault(place, {})
        for hour, found in change.hour_posts.items():
            hours[hour] = with_offered(hour, hours.get(hour, ()), found)
        generations = self._ids.setdefault(place, {})
        for number, digests in change.new_ids.items():
            generations.setdefault(number, set()).update(digests)
        for number in change.dropped_generations:
            generations.pop(number, None)
        return Applied()

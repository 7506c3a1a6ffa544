"""A hypothesis state machine over what makes counts exact: fold, compare-and-set, reload, repeats, watermark.

Two workers that both believe they own a partition read, fold and write in any order; they crash, the store loses its
last writes, the topic is made anew, retention takes offsets. After every step the panes equal the oracle's.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from brandpulse.letters import Origin
from brandpulse.partitions import PartitionStatus
from stream_workers.decode import Dead
from stream_workers.fold import Cell, Change, Outcome, Unmatched, fold, plan
from stream_workers.log_identity import LogExtent, Start, start_of
from stream_workers.store import Applied, PartitionStore, ReadRequest, Refused
from tests.builders import NOON_MS, a_scored
from tests.contract.counting_oracle import ERA_MS, LIMITS, RETENTION, Entry, Kind, Tally, tally

MINUTES = 45
"""Posts of one era lie so far apart at most, either way: well within the repeat memory of two hours."""

MISHAPS = ("old", "era", "lost", "lost", "lost", "anew", "retention", "crash")
WORKERS = st.sampled_from((0, 1))


class RewindableStore(Protocol):
    """A store whose past can be brought back, as after a crash that took its last writes."""

    @property
    def store(self) -> PartitionStore: ...

    def remember(self) -> Any: ...

    def rewind(self, past: Any) -> None: ...


@dataclass
class Log:
    """What the broker holds of the partition under one topic id."""

    topic_id: str
    entries: list[Entry] = field(default_factory=list)
    low: int = 0

    def extent(self) -> LogExtent:
        return LogExtent(self.topic_id, self.low, len(self.entries))


@dataclass
class Segment:
    """A stretch of a log that the store's state says was applied; the last one's end is the state's `next`."""

    log: Log
    start: int
    end: int | None = None


@dataclass
class Worker:
    """What a worker holds of the partition: its state, where it reads, and what it has read and not written."""

    status: PartitionStatus | None = None
    position: int = 0
    read: deque[tuple[int, list[Outcome], dict[int, Origin]]] = field(default_factory=deque)
    folded: Change | None = None

    def forget(self) -> None:
        self.status, self.folded = None, None
        self.read.clear()


def outcome_of(entry: Entry, offset: int) -> Outcome:
    judged = a_scored(
        entry.post_id,
        entry.sentiment,
        entry.at_ms,
        offset=offset,
        brands=(entry.brand,),
        author=hash(entry.post_id),
        record_ms=entry.record_ms,
    )
    if entry.kind == "dead":
        return Dead(judged.decoded.record, "not_json", "broken")
    return Unmatched(judged.decoded) if entry.kind == "unmatched" else judged


@st.composite
def entries(draw: Callable[..., Any]) -> tuple[Kind, int, int, int, str, str]:
    """Kind, id, minute within the era, minutes the record lies behind the post, brand, sentiment."""
    kind = draw(st.sampled_from(("scored", "scored", "scored", "unmatched", "dead")))
    ahead = draw(st.sampled_from((0, 0, 0, -30, 10)))
    return (
        kind,
        draw(st.integers(0, 12)),
        draw(st.integers(-MINUTES, MINUTES)),
        ahead,
        draw(st.sampled_from(("Acme", "Bolt"))),
        draw(st.sampled_from(("negative", "neutral", "positive", "irrelevant"))),
    )


class ExactlyOnce(RuleBasedStateMachine):
    """Subclasses say which store, and may break something to see it found."""

    def make(self) -> RewindableStore:
        raise NotImplementedError

    def after_refusal(self, worker: Worker, _refused: Refused) -> None:
        worker.forget()

    @initialize()
    def begin(self) -> None:
        self.rewindable = self.make()
        self.store = self.rewindable.store
        self.log = Log("log-0")
        self.logs = 1
        self.lives = 0
        self.era = 0
        self.workers = (Worker(), Worker())
        self.segments: list[Segment] = []
        self.past: list[tuple[Any, list[Segment]]] = []
        self.touched: set[Cell] = set()
        self.letters: list[tuple[Origin, Entry]] = []
        self._save()

    # -- the outside world -------------------------------------------------------------------------------------------

    @rule(batch=st.lists(entries(), min_size=1, max_size=6))
    def produce(self, batch: list[tuple[Kind, int, int, int, str, str]]) -> None:
        base = NOON_MS + self.era * ERA_MS
        for kind, number, minute, ahead, brand, sentiment in batch:
            at_ms = base + minute * 60_000
            entry = Entry(kind, f"{self.era}-{number}", at_ms, at_ms - ahead * 60_000, brand, sentiment)
            if kind == "dead":
                self.letters.append((Origin(self.log.topic_id, 0, len(self.log.entries)), entry))
            self.log.entries.append(entry)
            self.touched.update(entry.cells)

    @precondition(lambda self: self.letters)
    @rule(pick=st.integers(0, 1_000), healed=st.booleans())
    def redrive(self, pick: int, healed: bool) -> None:
        """A letter of this log or of one before, as often as one likes; what broke it may be mended by now."""
        origin, entry = self.letters[pick % len(self.letters)]
        kind: Kind = "scored" if healed else "dead"
        # An id of an era long past may be forgotten by now; what then makes it one is the letter's identity alone.
        known = entry.post_id.startswith(f"{self.era}-")
        post_id = entry.post_id if known else f"letter-{origin}"
        self.log.entries.append(replace(entry, kind=kind, post_id=post_id, origin=origin))

    @rule(
        what=st.sampled_from(("old", "era", "lost", "lost", "lost", "anew", "retention", "crash")),
        how=st.integers(1, 4),
    )
    def something_happens(self, what: str, how: int) -> None:
        """One rule for all mishaps, so that workers get on in between."""
        match what:
            case "old":
                self._produce_something_older_than_all_that_is_kept()
            case "era":
                self.era += 1
            case "lost":
                self._lose_last_writes(how)
            case "anew":
                self.log = Log(f"log-{self.logs}")
                self.logs += 1
            case "retention":
                self.log.low = min(self.log.low + how, len(self.log.entries))
            case "crash":
                self.workers[how % 2].forget()

    def _produce_something_older_than_all_that_is_kept(self) -> None:
        at_ms = NOON_MS + (self.era - 1) * ERA_MS
        self.log.entries.append(Entry("scored", f"old-{self.logs}-{len(self.log.entries)}", at_ms, at_ms))
        self.touched.update(self.log.entries[-1].cells)

    def _lose_last_writes(self, writes: int) -> None:
        del self.past[max(1, len(self.past) - writes) :]
        content, segments = self.past[-1]
        self.rewindable.rewind(content)
        self.segments = [replace(segment) for segment in segments]

    # -- the workers -------------------------------------------------------------------------------------------------

    @rule(which=WORKERS, most=st.integers(1, 7), steps=st.integers(1, 7))
    def work(self, which: int, most: int, steps: int) -> None:
        """The next things this worker has to do."""
        worker = self.workers[which]
        for _ in range(steps):
            if worker.status is None:
                self._load(worker)
            elif worker.folded is not None:
                self._write(worker, worker.folded)
            elif worker.read:
                self._fold(worker, worker.status)
            else:
                self._read(worker, worker.status, most)

    @precondition(lambda self: any(worker.status for worker in self.workers))
    @rule(which=WORKERS, most=st.integers(1, 7))
    def read_ahead(self, which: int, most: int) -> None:
        if (status := self.workers[which].status) is not None:
            self._read(self.workers[which], status, most)

    def _load(self, worker: Worker) -> None:
        worker.forget()
        seen = self.store.load("posts", 0)
        start = start_of("posts", 0, seen, self.log.extent())
        status = start.status
        if start.reason:
            self.lives += 1
            status = replace(status, life=f"life {self.lives}")
            assert self.store.rebase(seen, status)
            self._moved(seen, start)
        worker.status, worker.position = status, status.next

    def _read(self, worker: Worker, status: PartitionStatus, most: int) -> None:
        # As the reader does: the log's id and its extent are looked at before a batch goes on.
        if status.topic_id != self.log.topic_id or not self.log.low <= worker.position <= len(self.log.entries):
            return worker.forget()
        records = self.log.entries[worker.position : worker.position + most]
        if records:
            outcomes = [outcome_of(entry, worker.position + i) for i, entry in enumerate(records)]
            origins = {worker.position + i: entry.origin for i, entry in enumerate(records) if entry.origin}
            worker.position += len(records)
            worker.read.append((worker.position, outcomes, origins))
        return None

    def _fold(self, worker: Worker, status: PartitionStatus) -> None:
        to_offset, outcomes, origins = worker.read.popleft()
        digests, cells = plan(outcomes)
        [stored] = self.store.read([ReadRequest(status, digests, cells, [o.digest for o in origins.values()])])
        if stored.moved_to is not None:
            worker.forget()
        else:
            worker.folded = fold(
                status, outcomes, to_offset, stored, retention=RETENTION, limits=LIMITS, origins=origins
            )

    def _write(self, worker: Worker, change: Change) -> None:
        worker.folded = None
        [outcome] = self.store.apply([change])
        match outcome:
            case Applied():
                worker.status = change.status
                self._save()
            case Refused():
                self.after_refusal(worker, outcome)
            case _:
                raise AssertionError(outcome)

    def _save(self) -> None:
        self.past.append((self.rewindable.remember(), [replace(segment) for segment in self.segments]))

    # -- what must hold ----------------------------------------------------------------------------------------------

    @invariant()
    def counts_are_the_oracles(self) -> None:
        if not hasattr(self, "store"):
            return
        status = self.store.load("posts", 0)
        if status is None:
            return
        self.compare(status, tally(self._applied(status.next)))

    def compare(self, status: PartitionStatus, wanted: Tally) -> None:
        for name in ("late", "repeated", "dead", "unmatched", "redriven"):
            assert getattr(status, name) == getattr(wanted, name), name
        if wanted.clock_ms is not None:
            assert status.clock_ms == wanted.clock_ms
        [stored] = self.store.read([ReadRequest(status, [], sorted(self.touched))])
        for cell in self.touched:
            pane, right = stored.panes.get(cell), wanted.pane(cell)
            assert pane == right or (pane is None and wanted.may_be_dropped(cell)), cell

    def teardown(self) -> None:
        """Let one worker go on undisturbed: it must come to the log's end, and nothing may be missing."""
        if not hasattr(self, "store"):
            return
        for worker in self.workers:
            worker.forget()
        self.work(0, 7, 3 * len(self.log.entries) + 3)
        status = self.store.load("posts", 0)
        assert status is not None
        assert self.workers[0].status is not None, "an undisturbed worker was refused"
        assert (status.topic_id, status.next) == (self.log.topic_id, len(self.log.entries)), "it did not reach the end"
        self.compare(status, tally(self._applied(status.next)))

    def _applied(self, end: int) -> list[Entry]:
        return [
            entry
            for segment in self.segments
            for entry in segment.log.entries[segment.start : end if segment.end is None else segment.end]
        ]

    def _moved(self, seen: PartitionStatus | None, start: Start) -> None:
        """The state was put elsewhere: what was applied before stays, what follows comes from another place."""
        if seen is None:
            self.segments = []
        else:
            self.segments[-1].end = seen.next
            same_log = seen.topic_id == self.log.topic_id and seen.next <= len(self.log.entries)
            assert start.status.lost - seen.lost == (start.status.next - seen.next if same_log else 0)
        assert start.status.next == self.log.low
        self.segments.append(Segment(self.log, self.log.low))
        self._save()

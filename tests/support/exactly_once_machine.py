"""A hypothesis state machine over what makes counts exact: fold, compare-and-set, reload, duplicates, watermark.

Two workers that both believe they own a partition read, fold and write in any order; they crash, the store loses its
last writes, the topic is recreated, the log loses its end, retention takes offsets. After every step the panes equal
the oracle's.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from brandpulse.config.facets import Facet
from brandpulse.schema.dead_letters import RecordId
from brandpulse.schema.identity import DIGEST_BYTES
from brandpulse.state.outcomes.post_outcomes import offset_hours
from brandpulse.state.partition_state import PartitionStatus
from stream_workers.aggregation.row_fold import fold_rows, plan_rows
from stream_workers.aggregation.seen_id_filter import SeenIdFilter
from stream_workers.aggregation.types import Cell, Change, Outcome, Unmatched
from stream_workers.consumer.log_identity import CommonPrefix, LogExtent, Start, resolve_start
from stream_workers.decoding.post_decoder import DeadRecord
from stream_workers.scoring.facet_matcher import FacetMatcher
from stream_workers.state_store.partition_store import Applied, PartitionStore, ReadRequest, Refused
from tests.support.builders import NOON_MS, a_scored
from tests.support.counting_oracle import ERA_MS, FACET, LIMITS, RETENTION, Entry, Kind, Tally, tally

MINUTES = 45
"""Posts of one era lie so far apart at most, either way: well within the duplicate window of two hours."""

MISHAPS = ("old", "era", "lost", "lost", "lost", "recreated", "cut", "cut", "retention", "crash")
WORKERS = st.sampled_from((0, 1))


class RewindableStore(Protocol):
    """A store that can return to an earlier state, as after a crash that lost its last writes."""

    @property
    def store(self) -> PartitionStore: ...

    def remember(self) -> Any: ...

    def rewind(self, past: Any) -> None: ...


@dataclass
class Log:
    """What the broker holds of the partition under one topic id. Each leader writes in an epoch of its own."""

    topic_id: str
    entries: list[Entry] = field(default_factory=list)
    low: int = 0
    began: list[int] = field(default_factory=lambda: [0])
    """Offset at which each epoch began."""

    def epoch_of(self, offset: int) -> int:
        return max(epoch for epoch, began in enumerate(self.began) if began <= offset)

    def common(self, position: int, epoch: int) -> int:
        """The broker's answer to a client that read up to *position*, the last record in *epoch*."""
        return min(position, [*self.began[1:], len(self.entries)][epoch]) if epoch >= 0 else position

    def extent(self, seen: PartitionStatus | None) -> LogExtent:
        known = seen is not None and seen.topic_id == self.topic_id
        common = CommonPrefix(self.common(seen.next, seen.epoch)) if seen and known else None
        return LogExtent(self.topic_id, self.low, len(self.entries), common)

    def cut(self, at: int) -> "Log":
        """Another replica's log, which ends at *at*; its leader writes on in an epoch of its own."""
        return Log(self.topic_id, self.entries[:at], min(self.low, at), [*(min(b, at) for b in self.began), at])


@dataclass(frozen=True)
class Piece:
    """Consecutive offsets of a log that are applied according to the store."""

    log: Log
    start: int
    end: int


class ExactIds:
    """A filter without false positives."""

    def __init__(self) -> None:
        self._ids: set[bytes] = set()

    def add(self, ids: bytes) -> None:
        self._ids |= set(_apart(ids))

    def may_contain(self, ids: bytes) -> bytes:
        return bytes(one in self._ids for one in _apart(ids))


def _apart(ids: bytes) -> list[bytes]:
    return [ids[at : at + DIGEST_BYTES] for at in range(0, len(ids), DIGEST_BYTES)]


@dataclass
class Worker:
    """A worker's view of the partition: its state, its position, and records that it read and has not applied."""

    status: PartitionStatus | None = None
    writer: str = ""
    known: SeenIdFilter = field(default_factory=lambda: SeenIdFilter(ExactIds))
    position: int = 0
    epoch: int = -1
    read: deque[tuple[Piece, list[Outcome], dict[int, RecordId], int]] = field(default_factory=deque)
    folded: tuple[Piece, Change] | None = None

    def forget(self) -> None:
        self.status, self.folded = None, None
        self.known = SeenIdFilter(ExactIds)
        self.read.clear()


FACETS = FacetMatcher([Facet(name=FACET, words=[FACET])], heads=())


def outcome_of(entry: Entry, offset: int) -> Outcome:
    judged = a_scored(
        entry.post_id,
        entry.sentiment,
        entry.at_ms,
        offset=offset,
        brands=(entry.brand,),
        author=hash(entry.post_id),
        record_ms=entry.record_ms,
        facets=FACETS,
        worded={0} if entry.inside else set(),
        source=entry.source,
        author_id=entry.author_id,
        key=None if entry.keyless else entry.post_id.encode(),
    )
    if entry.kind == "dead":
        return DeadRecord(judged.decoded.record, "not_json", "broken", entry.source)
    if entry.kind in ("unmatched", "unread"):
        return Unmatched(judged.decoded, unread=entry.kind == "unread")
    return judged


@st.composite
def entries(draw: Callable[..., Any]) -> tuple[Kind, int, int, int, str, str]:
    """Kind, id, minute within the era, minutes the record lies behind the post, brand, sentiment."""
    kind = draw(st.sampled_from(("scored", "scored", "scored", "unmatched", "unread", "dead")))
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
    """Subclasses choose the store, and may break something to prove that it is found."""

    def make(self) -> RewindableStore:
        raise NotImplementedError

    def extent(self, seen: PartitionStatus | None) -> LogExtent:
        return self.log.extent(seen)

    def after_refusal(self, worker: Worker, _refused: Refused) -> None:
        worker.forget()

    @initialize()
    def begin(self) -> None:
        self.rewindable = self.make()
        self.store = self.rewindable.store
        self.log = Log("log-0")
        self.logs = 1
        self.lives = self.loads = 0
        self.era = 0
        self.workers = (Worker(), Worker())
        self.pieces: list[Piece] = []
        """The records that are applied according to the store, in order."""
        self.past: list[tuple[Any, list[Piece]]] = []
        self.touched: set[Cell] = set()
        self.letters: list[tuple[RecordId, Entry]] = []
        self._save()

    # -- the outside world -------------------------------------------------------------------------------------------

    @rule(batch=st.lists(entries(), min_size=1, max_size=6))
    def produce(self, batch: list[tuple[Kind, int, int, int, str, str]]) -> None:
        base = NOON_MS + self.era * ERA_MS
        for kind, number, minute, ahead, brand, sentiment in batch:
            at_ms = base + minute * 60_000
            entry = Entry(kind, f"{self.era}-{number}", at_ms, at_ms - ahead * 60_000, brand, sentiment)
            if kind == "dead":
                self.letters.append((RecordId(self.log.topic_id, 0, len(self.log.entries)), entry))
            self.log.entries.append(entry)
            self.touched.update(cell for cells in entry.cells for cell in cells)

    @precondition(lambda self: self.letters)
    @rule(pick=st.integers(0, 1_000), healed=st.booleans())
    def redrive(self, pick: int, healed: bool) -> None:
        """Redrive a dead letter of any log so far, any number of times; its cause may be repaired by then."""
        origin, entry = self.letters[pick % len(self.letters)]
        kind: Kind = "scored" if healed else "dead"
        # An id of an era long past may be forgotten by now; what then makes it one is the letter's identity alone.
        known = entry.post_id.startswith(f"{self.era}-")
        post_id = entry.post_id if known else f"letter-{origin}"
        self.log.entries.append(replace(entry, kind=kind, post_id=post_id, origin=origin))

    @rule(what=st.sampled_from(MISHAPS), how=st.integers(1, 4))
    def something_happens(self, what: str, how: int) -> None:
        """One rule for all faults, so that workers make progress between them."""
        match what:
            case "old":
                self._produce_something_older_than_all_that_is_kept()
            case "era":
                self.era += 1
            case "lost":
                self._lose_last_writes(how)
            case "recreated":
                self.log = Log(f"log-{self.logs}")
                self.logs += 1
            case "cut":
                self._cut(how - 1)
            case "retention":
                self.log.low = min(self.log.low + how, len(self.log.entries))
            case "crash":
                self.workers[how % 2].forget()

    def _cut(self, applied: int) -> None:
        """The log ends that many records below what was applied, or at its own end."""
        status = self.store.load("posts", 0)
        position = status.next if status and status.topic_id == self.log.topic_id else len(self.log.entries)
        self.log = self.log.cut(min(len(self.log.entries), max(self.log.low, position - applied)))

    def _produce_something_older_than_all_that_is_kept(self) -> None:
        at_ms = NOON_MS + (self.era - 1) * ERA_MS
        self.log.entries.append(Entry("scored", f"old-{self.logs}-{len(self.log.entries)}", at_ms, at_ms))
        self.touched.update(cell for cells in self.log.entries[-1].cells for cell in cells)

    def _lose_last_writes(self, writes: int) -> None:
        del self.past[max(1, len(self.past) - writes) :]
        content, pieces = self.past[-1]
        self.rewindable.rewind(content)
        self.pieces = list(pieces)

    # -- the workers -------------------------------------------------------------------------------------------------

    @rule(which=WORKERS, most=st.integers(1, 7), steps=st.integers(1, 7))
    def work(self, which: int, most: int, steps: int) -> None:
        """The next steps of this worker."""
        worker = self.workers[which]
        for _ in range(steps):
            if worker.status is None:
                self._load(worker)
            elif worker.folded is not None:
                self._write(worker, *worker.folded)
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
        start = resolve_start("posts", 0, seen, self.extent(seen))
        status = start.status
        if start.reason:
            self.lives += 1
            status = replace(status, life=f"life {self.lives}")
            assert self.store.rebase(seen, status)
            self._moved(seen, start)
        worker.status, worker.position, worker.epoch = status, status.next, status.epoch
        self.loads += 1
        worker.writer = f"writer {self.loads}"

    def _read(self, worker: Worker, status: PartitionStatus, most: int) -> None:
        # As the reader does: the log's id and its extent are looked at before a batch goes on, and a client that hears
        # of another leader asks whether its log is the one that was read.
        if status.topic_id != self.log.topic_id or not self.log.low <= worker.position <= len(self.log.entries):
            return worker.forget()
        if self.log.common(worker.position, worker.epoch) < worker.position:
            return worker.forget()
        records = self.log.entries[worker.position : worker.position + most]
        if records:
            outcomes = [outcome_of(entry, worker.position + i) for i, entry in enumerate(records)]
            origins = {worker.position + i: entry.origin for i, entry in enumerate(records) if entry.origin}
            piece = Piece(self.log, worker.position, worker.position + len(records))
            worker.position, worker.epoch = piece.end, self.log.epoch_of(piece.end - 1)
            worker.read.append((piece, outcomes, origins, worker.epoch))
        return None

    def _fold(self, worker: Worker, status: PartitionStatus) -> None:
        piece, outcomes, origins, epoch = worker.read.popleft()
        digests, cells = plan_rows(outcomes)
        asked = worker.known.lookups(status.generations, digests)
        [stored] = self.store.read([ReadRequest(status, digests, cells, [o.digest for o in origins.values()], asked)])
        if stored.moved_to is not None:
            worker.forget()
        else:
            worker.folded = (
                piece,
                fold_rows(
                    status,
                    outcomes,
                    piece.end,
                    stored,
                    retention=RETENTION,
                    limits=LIMITS,
                    epoch=epoch,
                    origins=origins,
                    writer=worker.writer,
                ),
            )

    def _write(self, worker: Worker, piece: Piece, change: Change) -> None:
        worker.folded = None
        [outcome] = self.store.apply([change])
        match outcome:
            case Applied():
                assert worker.status is not None
                worker.known.add_applied(worker.status.generations, change)
                worker.status = change.status
                self.pieces.append(piece)
                self._save()
            case Refused():
                self.after_refusal(worker, outcome)
            case _:
                raise AssertionError(outcome)

    def _save(self) -> None:
        self.past.append((self.rewindable.remember(), list(self.pieces)))

    # -- what must hold ----------------------------------------------------------------------------------------------

    @invariant()
    def counts_are_the_oracles(self) -> None:
        if not hasattr(self, "store"):
            return
        status = self.store.load("posts", 0)
        if status is None:
            return
        self.compare(status, tally(self._applied()))

    def compare(self, status: PartitionStatus, wanted: Tally) -> None:
        for name in ("late", "repeated", "dead", "unmatched", "unread", "keyless", "redriven"):
            assert getattr(status, name) == getattr(wanted, name), name
        post_outcomes = Counter(
            {
                (period.number, cell.source, cell.outcome, offset_hours(cell.offset)): cell.posts
                for period in status.post_outcomes
                for cell in period.cells
            }
        )
        assert post_outcomes == wanted.recent_outcomes()
        if wanted.clock_ms is not None:
            assert status.clock_ms == wanted.clock_ms
        [stored] = self.store.read([ReadRequest(status, [], sorted(self.touched))])
        for cell in self.touched:
            pane, right = stored.panes.get(cell), wanted.pane(cell)
            assert pane == right or (pane is None and wanted.may_be_dropped(cell)), cell

    def teardown(self) -> None:
        """Run one worker without faults: it must reach the log's end, and nothing may be missing."""
        if not hasattr(self, "store"):
            return
        for worker in self.workers:
            worker.forget()
        self.work(0, 7, 3 * len(self.log.entries) + 3)
        status = self.store.load("posts", 0)
        assert status is not None
        assert self.workers[0].status is not None, "an undisturbed worker was refused"
        assert (status.topic_id, status.next) == (self.log.topic_id, len(self.log.entries)), "it did not reach the end"
        self.compare(status, tally(self._applied()))
        times = Counter(map(id, self._applied()))
        assert max(times.values(), default=1) == 1, "a record was read again that had been applied"
        assert {id(entry) for entry in self.log.entries[self.log.low :]} <= times.keys(), "a record was left out"

    def _applied(self) -> list[Entry]:
        return [entry for piece in self.pieces for entry in piece.log.entries[piece.start : piece.end]]

    def _moved(self, seen: PartitionStatus | None, start: Start) -> None:
        """The state was put elsewhere: what was applied before stays, what follows comes from another place."""
        if seen is None or seen.topic_id != self.log.topic_id:
            right = self.log.low
        elif seen.next < self.log.low:
            # Whether it was also cut below that does not matter: what is certainly lost is counted.
            right = seen.next
        else:
            right = self.log.common(seen.next, seen.epoch)
        assert start.status.next == max(right, self.log.low)
        assert start.status.lost - (seen.lost if seen else 0) == max(0, self.log.low - right)
        self._save()

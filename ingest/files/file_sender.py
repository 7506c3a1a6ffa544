"""Sending one file into the topic: each of its posts once, also over stops and kills."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from brandpulse.errors import BrandpulseError, TransientError
from ingest.files import checkpoint as checkpoints
from ingest.files.checkpoint import Checkpoint, FileIdentity, Order, Start
from ingest.files.external_sort import TimeSorted
from ingest.files.reading.post_reader import PostReader, Reading, Repeat
from ingest.files.reading.read_summary import Findings
from ingest.files.reading.row_mapping import Outgoing, resolve
from ingest.files.reading.row_reader import Format, InputError, Reject, RowFile
from ingest.files.reject_file import RejectFile
from ingest.files.sent.ledger import Ledger
from ingest.files.sent.sent_posts import Digester, SentPosts, recover
from ingest.files.sent.sent_windows import SentWindows, Verdict
from ingest.files.times.time_check import TimeCheck, check_times, what_is_late, what_is_old
from ingest.files.times.time_scan import Times
from ingest.id_set import IdMemory
from ingest.post_producer import Delivery, LogEnds, TopicReader
from ingest.send_rate import Pace, RecordedTime, SteadyRate, shift_to
from ingest.worker_states import MemoryWorkerStates, WorkerStates, clock_of

CHECKPOINT_SECONDS = 1.0
FLUSH_SECONDS = 10.0
"""How long a stopped run waits for what is on its way."""
POLL_POSTS = 256
FAILURE_POSTS = 16
CHANGED_POSTS = 20
"""So many ids that hold other posts than before, and more than half of those met: the ids are none."""
IN_ORDER = timedelta(minutes=1)
"""A row so far before an earlier one is still on time for the workers, whose watermark lies two minutes behind."""
WINDOW_POSTS = 8_192
PACED_WINDOW_POSTS = 64


@dataclass(frozen=True, slots=True)
class Task:
    """What to send and how. At most one of *posts_per_second* and *speed*; with neither, as fast as can be."""

    path: Path
    source: str
    rejects: Path
    mapping: Mapping[str, str] = field(default_factory=dict)
    format: Format | None = None
    encoding: str | None = None
    assume_utc: bool = False
    day_first: bool | None = None
    source_is_given: bool = False
    trust_ids: bool = False
    posts_per_second: float | None = None
    speed: float | None = None
    """Multiple of the recorded time; posts are sorted by it first."""
    shift_to_now: bool = False
    again: bool = False
    """Send everything, also what was sent before."""
    order: Literal["auto", "file", "time"] = "auto"
    """In which order to send. auto: by time, unless the file stands in order already."""
    far: Literal["ask", "send", "reject"] = "ask"
    """What to do with rows whose times lie far from the rest. ask: send nothing, and name them."""
    uncertain: Literal["ask", "send", "skip"] = "ask"
    """What to do with posts of which it is not known whether they were counted. ask: stop before the first."""

    def order_of(self, times: Times) -> Order:
        if self.speed is not None or self.shift_to_now:
            return "time"
        if self.order == "auto":
            return "file" if times.step_back <= IN_ORDER else "time"
        return self.order

    @property
    def reading_key(self) -> str:
        """Tells apart two runs of which one may reject rows that the other sends; empty: all is as usual."""
        chosen = {
            "encoding": self.encoding,
            "utc": self.assume_utc or None,
            "day_first": self.day_first,
            "trust_ids": self.trust_ids or None,
        }
        return "".join(f"{name}={value};" for name, value in chosen.items() if value is not None)

    @property
    def window_posts(self) -> int:
        """How many posts are written to the ledger at a time, before the first of them is sent."""
        if self.posts_per_second is not None:
            return max(1, min(WINDOW_POSTS, int(self.posts_per_second)))
        return WINDOW_POSTS if self.speed is None else PACED_WINDOW_POSTS


@dataclass(frozen=True, slots=True)
class Destination:
    """The topic, and what tells this one from its namesakes."""

    bootstrap_servers: str
    topic: str
    topic_id: str
    namespace: str
    home: Path
    """Checkpoints lie in `<home>/ingest/`."""
    ledger: Ledger | None = None
    """What was sent from files before; None: there is no Redis to keep it in."""
    states: WorkerStates = field(default_factory=MemoryWorkerStates)
    note: str | None = None
    """What to tell the person about it."""
    topic_id_now: Callable[[], str] | None = None
    """Asks the broker for the topic's id again. Raises TransientError."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The clocks, the person, and the signals, handed in by the entry point."""

    say: Callable[[str], None] = lambda text: None
    """Tells the person something."""
    stopping: Callable[[], bool] = lambda: False
    """Whether to end early, cleanly."""
    progress: Callable[["Counts", float], None] = lambda counts, share: None
    """Called about once a second, with the share of the file that was read."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class Counts:
    """Every row is exactly one of them."""

    sent: int = 0
    """Confirmed by the broker, in this run."""
    repeated: int = 0
    """The id stood in the file before, or an earlier run had sent it."""
    rejected: int = 0
    sent_before: int = 0
    """Those of the repeated that an earlier run had sent."""
    changed: int = 0
    """Those sent before whose text, author or time is another now."""
    elsewhere: int = 0
    """Those sent before under another source."""

    @property
    def read(self) -> int:
        return self.sent + self.repeated + self.rejected


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    counts: Counts
    already_sent: bool = False
    stopped: bool = False
    failure: str | None = None
    """What the broker said when it did not take everything."""
    begin: Mapping[int, int] = field(default_factory=dict)
    """By partition, the log's end before the first post was sent."""
    source: str | None = None
    """Of all posts; None: rows have their own."""
    findings: Findings = field(default_factory=Findings)
    """Of the rows that this run read."""


def send_file(task: Task, connect: Callable[[], Destination], around: Surroundings) -> Outcome:
    """Send what of the file was not sent before. Raises InputError, StateError, TransientError.

    What is wrong with the file's head, and times far from the rest, are found before *connect* is called.
    """
    file = RowFile(task.path, format=task.format, encoding=task.encoding)
    reading = Reading(task.source, task.source_is_given, task.assume_utc, task.day_first, task.trust_ids)
    posts = PostReader(file, resolve(task.mapping, file.columns), reading)
    columns = posts.columns
    if task.rejects.resolve() == task.path.resolve():
        raise InputError(f"--rejects: {task.rejects} is the file itself")
    rejects = RejectFile(task.rejects)
    identity = FileIdentity.of(task.path)
    check = check_times(
        file,
        columns["created_at"],
        assume_utc=task.assume_utc,
        day_first=posts.day_first,
        is_time=posts.is_time,
        far=task.far,
        now=None if task.shift_to_now else around.now(),
        say=around.say,
    )
    reading_key = task.reading_key + check.key
    order = task.order_of(check.times)
    to = connect()
    if to.note is not None:
        around.say(to.note)
    path = checkpoints.checkpoint_path(
        to.home,
        file=task.path,
        topic=to.topic,
        topic_id=to.topic_id,
        namespace=to.namespace,
        source=task.source,
        mapping=columns,
        shifted=task.shift_to_now,
    )
    with checkpoints.locked(path), rejects, TopicReader(to.bootstrap_servers, to.topic) as reader:
        ends = reader.ends()
        ledger_id = "" if to.ledger is None else to.ledger.identity()
        known = None if task.again else checkpoints.load(path)
        start = checkpoints.begin_at(
            known, file=identity, order=order, low=ends.low, high=ends.high, ledger=ledger_id, far=reading_key
        )
        if start.note is not None:
            around.say(start.note)
        if start.lost:
            known = None
        if known is not None and start.nothing_left:
            counts = Counts(repeated=known.rows - known.rejected, rejected=known.rejected)
            return Outcome(counts, already_sent=True, begin=ends.high)
        there = IdMemory()
        if known is not None and start.read_back:
            there = reader.ids_between(start.begin, ends.high, source=None if posts.has_own_sources else task.source)
        if start.confirmed + len(there):
            around.say(f"an earlier run was stopped: {start.confirmed + len(there):,} posts stand in the topic already")
        sent = SentPosts()
        if to.ledger is not None:
            sent = recover(to.ledger, log=to.topic_id, ends=ends, applied=to.states.applied, reader=reader)
        if sent.posts_forgotten:
            around.say(
                f"Redis keeps the newest posts that were sent from files; {sent.posts_forgotten:,} older ones are "
                "forgotten, so a file that holds some of them counts them twice"
            )
        if order == "time" and task.order == "auto" and not (task.speed or task.shift_to_now):
            around.say(
                f"the rows are not in order of time (one lies {_span(check.times.step_back)} before an earlier one): "
                "the posts are sorted first, then sent"
            )
        first = Checkpoint(
            identity,
            order,
            start=ends.high if known is None else known.start,
            next=start.begin,
            confirmed=start.confirmed,
            shift_seconds=0.0 if known is None else known.shift_seconds,
            ledger=ledger_id,
            far=reading_key,
            path=str(task.path.resolve()),
        )
        # Before the first post: whoever kills us now must not make the next run believe it is the first.
        checkpoints.save(path, first)
        delivery = Delivery(to.bootstrap_servers, to.topic, confirmed=start.confirmed)
        windows = SentWindows(
            to.ledger,
            sent,
            log=to.topic_id,
            source="" if posts.has_own_sources else task.source,
            begin=start.begin,
            delivery=delivery,
            digester=Digester(shifted=task.shift_to_now),
            states=to.states,
            topic_id_now=to.topic_id_now,
            again=task.again,
            uncertain=task.uncertain,
        )
        with windows.signing() if to.ledger is not None else nullcontext():
            return _Run(
                task,
                file,
                posts=posts,
                rejects=rejects,
                delivery=delivery,
                windows=windows,
                check=check,
                path=path,
                checkpoint=first,
                start=start,
                there=there,
                ends=ends.high,
                late=lambda first: None if task.shift_to_now else _late(to, check.times, first, ends, around.now()),
                around=around,
            ).run()


def _late(to: Destination, times: Times, first: Outgoing, ends: LogEnds, now: datetime) -> str | None:
    if to.ledger is None:
        return what_is_old(first=first.created_at, now=now)
    clock = clock_of(to.states.applied(ends.high))
    return None if clock is None else what_is_late(times, first=first.created_at, clock=clock)


def _span(length: timedelta) -> str:
    if length >= timedelta(days=2):
        return f"{length.days} days"
    if length >= timedelta(hours=2):
        return f"{length // timedelta(hours=1)} hours"
    return f"{max(1, length // timedelta(minutes=1))} minutes"


class _Run:
    """The loop over the posts, with its checkpoint."""

    def __init__(
        self,
        task: Task,
        file: RowFile,
        *,
        posts: PostReader,
        rejects: RejectFile,
        delivery: Delivery,
        windows: SentWindows,
        check: TimeCheck,
        path: Path,
        checkpoint: Checkpoint,
        start: Start,
        there: IdMemory,
        ends: Mapping[int, int],
        late: Callable[[Outgoing], str | None],
        around: Surroundings,
    ) -> None:
        self._ends = ends
        self._late = late
        self._task = task
        self._file = file
        self._reader = posts
        self._rejects = rejects
        self._delivery = delivery
        self._windows = windows
        self._check = check
        self._path = path
        self._checkpoint = checkpoint
        self._start = start
        self._there = there
        self._around = around
        self._counts = Counts()
        self._found_there = 0
        self._all_read = False
        self._queued = 0
        self._began = 0.0
        self._pace: Pace | None = None
        self._next_save = around.monotonic() + CHECKPOINT_SECONDS

    @property
    def counts(self) -> Counts:
        return replace(self._counts, sent=self._delivery.sent, rejected=self._rejects.count)

    def run(self) -> Outcome:
        failure, complete = None, False
        try:
            with ExitStack() as stack:
                posts: Iterable[Outgoing] = self._posts()
                if self._checkpoint.order == "time":
                    posts = self._in_time(stack.enter_context(TimeSorted(posts)))
                complete = self._send_all(posts)
        except (TransientError, InputError) as error:
            failure = str(error)
        try:
            left = self._finish(patient=complete)
        except TransientError as error:
            failure = failure or str(error)
            left = self._delivery.finish(FLUSH_SECONDS)
        failure = self._delivery.failure or failure
        if failure is None and left:
            failure = f"{left} posts were still on their way when the time was up"
        try:
            self._delivery.beginning()
            self._windows.close()
        except BrandpulseError as error:
            failure = failure or str(error)
        finished = complete and failure is None
        self._save(clean=failure is None and self._found_there == len(self._there), finished=finished)
        return Outcome(
            self.counts,
            stopped=not complete and failure is None,
            failure=failure,
            begin=self._ends,
            source=None if self._reader.has_own_sources else self._task.source,
            findings=self._reader.findings,
        )

    def _send_all(self, posts: Iterable[Outgoing]) -> bool:
        """Queue every post that was not sent; False if the run was stopped or the broker refused before."""
        position = 0
        for window in self._in_windows(posts):
            if not self._send_window(window, position):
                return False
            position += len(window)
        return self._all_read

    def _in_windows(self, posts: Iterable[Outgoing]) -> Iterator[list[Outgoing]]:
        """*posts* in lists in which no id comes twice: by its key the broker's answer is told."""
        size = self._task.window_posts
        remaining = iter(posts)
        while window := list(itertools.islice(remaining, size)):
            begin, ids = 0, set[str]()
            if len({post.id for post in window}) < len(window):
                for place, post in enumerate(window):
                    if post.id in ids:
                        yield window[begin:place]
                        begin = place
                        ids.clear()
                    ids.add(post.id)
            yield window[begin:]

    def _send_window(self, window: Sequence[Outgoing], position: int) -> bool:
        around, delivery, there = self._around, self._delivery, self._there
        own = self._reader.has_own_sources
        in_topic = [
            position + place < self._start.confirmed
            or (bool(there) and (f"{post.source}\0{post.id}" if own else post.id) in there)
            for place, post in enumerate(window)
        ]
        verdicts = self._windows.claim(window, in_topic)
        for place, (post, verdict) in enumerate(zip(window, verdicts, strict=True)):
            if around.stopping() or (place % FAILURE_POSTS == 0 and delivery.failure is not None):
                return False
            if verdict is not Verdict.SEND:
                self._count_sent_before(verdict)
                if position + place >= self._start.confirmed:
                    self._found_there += in_topic[place]
                    delivery.skip()
                continue
            if self._queued == 0:
                if (said := self._late(post)) is not None:
                    around.say(said)
                self._began, self._pace = around.monotonic(), self._pace_from(post)
            if self._pace is not None and not self._wait(
                self._began + self._pace.due_seconds(self._queued, post.created_at)
            ):
                return False
            if not delivery.send(post.id, post.payload, place=place, stopping=around.stopping):
                return False
            self._queued += 1
            if self._pace is not None or self._queued % POLL_POSTS == 0:
                delivery.poll()
                self._save_in_time()
        self._save_in_time()
        return True

    def _count_sent_before(self, verdict: Verdict) -> None:
        counts = self._counts
        counts.repeated += 1
        counts.sent_before += 1
        counts.changed += verdict is Verdict.CHANGED
        counts.elsewhere += verdict is Verdict.ELSEWHERE
        if counts.changed >= CHANGED_POSTS and counts.changed * 2 > counts.sent_before:
            under = "" if self._reader.has_own_sources else f" as source {self._task.source!r}"
            raise InputError(
                f"{counts.changed:,} of the {counts.sent_before:,} ids that were sent before{under} "
                "hold other posts now, so the ids of this file do not name its posts (row "
                "numbers that move?). Map a column that does (--map id=COLUMN), give the file a source of its own "
                "(--source NAME), or send everything with --again: what was counted before counts twice"
            )

    def _posts(self) -> Iterator[Outgoing]:
        """The distinct posts of the file in its order; rows that are none are counted on the way."""
        far = self._check.rejected
        for number, made in enumerate(self._reader.read(refusal=None if far is None else far.refusal)):
            if number % POLL_POSTS == 0 and self._around.stopping():
                return
            if isinstance(made, Reject):
                self._rejects.add(made, raw=self._file.raw)
            elif isinstance(made, Repeat):
                self._counts.repeated += 1
            else:
                yield made
        self._all_read = True

    def _in_time(self, posts: TimeSorted) -> Iterator[Outgoing]:
        if not self._all_read:
            return
        if not self._task.shift_to_now or posts.first is None or posts.last is None:
            yield from posts
            return
        seconds = self._checkpoint.shift_seconds
        if seconds == 0.0:
            shift = shift_to(self._around.now(), first=posts.first, last=posts.last, speed=self._task.speed)
            seconds = shift.total_seconds()
            self._checkpoint = replace(self._checkpoint, shift_seconds=seconds)
            checkpoints.save(self._path, self._checkpoint)
        for post in posts:
            yield post.moved(timedelta(seconds=seconds))

    def _pace_from(self, first: Outgoing) -> Pace | None:
        if self._task.posts_per_second is not None:
            return SteadyRate(self._task.posts_per_second)
        return None if self._task.speed is None else RecordedTime(self._task.speed, first.created_at)

    def _wait(self, until: float) -> bool:
        """Let deliveries be told until then; False if the run is stopped before."""
        while (left := until - self._around.monotonic()) > 0:
            if self._around.stopping():
                return False
            # Short, because a signal is seen only when librdkafka returns to Python.
            self._delivery.poll(min(left, 0.1))
            self._save_in_time()
        return True

    def _finish(self, *, patient: bool) -> int:
        """Wait for what is on its way; how many posts are left."""
        left = 1
        # librdkafka gives each post up in the end, so this ends too.
        while patient and left and not self._around.stopping():
            left = self._delivery.finish(0.5)
            self._save_in_time()
        return self._delivery.finish(FLUSH_SECONDS) if left else 0

    def _save_in_time(self) -> None:
        if self._around.monotonic() < self._next_save:
            return
        self._next_save = self._around.monotonic() + CHECKPOINT_SECONDS
        self._save()
        self._windows.settle()
        self._around.progress(self.counts, self._file.position_bytes / self._file.size_bytes)

    def _save(self, *, clean: bool = False, finished: bool = False) -> None:
        confirmed, behind = self._delivery.beginning()
        # While posts of the earlier run have not all been met again, one of them may lie below what this run has sent.
        offsets = self._start.begin | behind if self._found_there == len(self._there) else self._start.begin
        counts = self.counts
        self._checkpoint = replace(
            self._checkpoint,
            confirmed=confirmed,
            next=offsets,
            clean=clean,
            finished=finished,
            rows=counts.read,
            rejected=counts.rejected,
        )
        checkpoints.save(self._path, self._checkpoint)

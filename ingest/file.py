"""Sending one file into the topic: each of its posts once, also over stops and kills."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from brandpulse.errors import TransientError
from ingest import checkpoint as checkpoints
from ingest.checkpoint import Checkpoint, FileIdentity, Order, Start
from ingest.columns import Outgoing, resolve
from ingest.delivery import Delivery, TopicReader
from ingest.findings import Findings
from ingest.pace import Pace, RecordedTime, SteadyRate, shift_to
from ingest.post_reader import PostReader, Reading, Repeat
from ingest.rejects import RejectFile
from ingest.repeats import IdMemory
from ingest.rows import Format, InputError, Reject, RowFile
from ingest.spool import TimeSorted

CHECKPOINT_SECONDS = 1.0
FLUSH_SECONDS = 10.0
"""How long a stopped run waits for what is on its way."""
POLL_POSTS = 256
HORIZON = timedelta(days=90)
"""A topic that also holds posts of today refuses posts older than this."""


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

    @property
    def order(self) -> Order:
        return "file" if self.speed is None and not self.shift_to_now else "time"


@dataclass(frozen=True, slots=True)
class Destination:
    """The topic, and what tells this one from its namesakes."""

    bootstrap_servers: str
    topic: str
    topic_id: str
    namespace: str
    home: Path
    """Checkpoints lie in `<home>/ingest/`."""


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
    findings: Findings = field(default_factory=Findings)
    """Of the rows that this run read."""


def send_file(task: Task, connect: Callable[[], Destination], around: Surroundings) -> Outcome:
    """Send what of the file is not yet in the topic. Raises InputError, StateError, TransientError.

    Everything that can be wrong with the file's head is found before *connect* is called.
    """
    file = RowFile(task.path, format=task.format, encoding=task.encoding)
    reading = Reading(task.source, task.source_is_given, task.assume_utc, task.day_first, task.trust_ids)
    posts = PostReader(file, resolve(task.mapping, file.columns), reading)
    columns = posts.columns
    if task.rejects.resolve() == task.path.resolve():
        raise InputError(f"--rejects: {task.rejects} is the file itself")
    rejects = RejectFile(task.rejects)
    identity = FileIdentity.of(task.path)
    to = connect()
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
        known = None if task.again else checkpoints.load(path)
        start = checkpoints.begin_at(known, file=identity, order=task.order, low=ends.low, high=ends.high)
        if start.note is not None:
            around.say(start.note)
            known = None
        if known is not None and known.finished:
            return Outcome(Counts(repeated=known.rows - known.rejected, rejected=known.rejected), already_sent=True)
        there = IdMemory()
        if known is not None:
            if start.read_back:
                there = reader.ids_between(
                    start.begin, ends.high, source=None if posts.has_own_sources else task.source
                )
            around.say(f"an earlier run was stopped: {start.confirmed + len(there):,} posts stand in the topic already")
        first = Checkpoint(
            identity,
            task.order,
            start=ends.high if known is None else known.start,
            next=start.begin,
            confirmed=start.confirmed,
            shift_seconds=0.0 if known is None else known.shift_seconds,
        )
        # Before the first post: whoever kills us now must not make the next run believe it is the first.
        checkpoints.save(path, first)
        delivery = Delivery(to.bootstrap_servers, to.topic, confirmed=start.confirmed)
        return _Run(
            task,
            file,
            posts=posts,
            rejects=rejects,
            delivery=delivery,
            path=path,
            checkpoint=first,
            start=start,
            there=there,
            around=around,
        ).run()


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
        path: Path,
        checkpoint: Checkpoint,
        start: Start,
        there: IdMemory,
        around: Surroundings,
    ) -> None:
        self._task = task
        self._file = file
        self._reader = posts
        self._rejects = rejects
        self._delivery = delivery
        self._path = path
        self._checkpoint = checkpoint
        self._start = start
        self._there = there
        self._around = around
        self._repeated = 0
        self._found_there = 0
        self._all_read = False
        self._queued = 0
        self._next_save = around.monotonic() + CHECKPOINT_SECONDS

    @property
    def counts(self) -> Counts:
        return Counts(sent=self._delivery.sent, repeated=self._repeated, rejected=self._rejects.count)

    def run(self) -> Outcome:
        failure, complete = None, False
        try:
            with ExitStack() as stack:
                posts: Iterable[Outgoing] = self._posts()
                if self._task.order == "time":
                    posts = self._in_time(stack.enter_context(TimeSorted(posts)))
                complete = self._send_all(posts)
        except (TransientError, InputError) as error:
            failure = str(error)
        left = self._finish(patient=complete)
        failure = self._delivery.failure or failure
        if failure is None and left:
            failure = f"{left} posts were still on their way when the time was up"
        finished = complete and failure is None
        self._save(clean=failure is None and self._found_there == len(self._there), finished=finished)
        stopped = not complete and failure is None
        return Outcome(self.counts, stopped=stopped, failure=failure, findings=self._reader.findings)

    def _send_all(self, posts: Iterable[Outgoing]) -> bool:
        """Queue every post that the topic does not hold; False if the run was stopped or the broker refused before."""
        around, delivery, there = self._around, self._delivery, self._there
        pace: Pace | None = None
        began = 0.0
        for position, post in enumerate(posts):
            if around.stopping() or delivery.failure is not None:
                return False
            if position < self._start.confirmed:
                self._repeated += 1
                continue
            if there and (f"{post.source}\0{post.id}" if self._reader.has_own_sources else post.id) in there:
                self._repeated += 1
                self._found_there += 1
                delivery.skip()
                continue
            if position == 0:
                self._warn_of_old(post)
            if self._queued == 0:
                began, pace = around.monotonic(), self._pace(post)
            if pace is not None and not self._wait(began + pace.due_seconds(self._queued, post.created_at)):
                return False
            if not delivery.send(post.id, post.payload, stopping=around.stopping):
                return False
            self._queued += 1
            if pace is not None or self._queued % POLL_POSTS == 0:
                delivery.poll()
                self._save_in_time()
        return self._all_read

    def _posts(self) -> Iterator[Outgoing]:
        """The distinct posts of the file in its order; rows that are none are counted on the way."""
        for number, made in enumerate(self._reader.read()):
            if number % POLL_POSTS == 0 and self._around.stopping():
                return
            if isinstance(made, Reject):
                self._rejects.add(made, raw=self._file.raw)
            elif isinstance(made, Repeat):
                self._repeated += 1
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

    def _pace(self, first: Outgoing) -> Pace | None:
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

    def _warn_of_old(self, post: Outgoing) -> None:
        if post.created_at < self._around.now() - HORIZON:
            self._around.say(
                f"these posts begin on {post.created_at:%Y-%m-%d}. Workers that have counted posts of today refuse "
                f"posts older than {HORIZON.days} days: give such a file a place of its own with BRANDPULSE_NAMESPACE "
                "and BRANDPULSE_POSTS_TOPIC, or move its times with --shift-to-now"
            )

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

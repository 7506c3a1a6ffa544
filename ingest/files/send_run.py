"""The loop over the posts of one run: window by window into the topic, with a checkpoint every second."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from brandpulse.errors import BrandpulseError, TransientError
from ingest.files import checkpoint as checkpoints
from ingest.files.checkpoint import Checkpoint, ResumePoint
from ingest.files.external_sort import TimeSorted
from ingest.files.reading.post_reader import Duplicate, PostReader
from ingest.files.reading.row import InputError, Reject
from ingest.files.reading.row_mapping import OutgoingPost
from ingest.files.reading.row_reader import RowFile
from ingest.files.reject_file import RejectFile
from ingest.files.send_task import Counts, RunContext, RunResult, Task
from ingest.files.sent.sent_windows import Decision, SentWindows
from ingest.files.times.time_check import TimeCheck
from ingest.id_set import IdSet
from ingest.post_producer import PostProducer
from ingest.send_rate import ConstantRate, ReplayRate, SendRate, time_shift

CHECKPOINT_SECONDS = 1.0
FLUSH_SECONDS = 10.0
"""How long a stopped run waits for what is on its way."""
POLL_POSTS = 256
FAILURE_POSTS = 16
CHANGED_POSTS = 20
"""So many ids that hold other posts than before, and more than half of those met: the ids are none."""


class SendRun:
    """The loop over the posts, with its checkpoint."""

    def __init__(
        self,
        task: Task,
        file: RowFile,
        *,
        posts: PostReader,
        rejects: RejectFile,
        producer: PostProducer,
        windows: SentWindows,
        check: TimeCheck,
        path: Path,
        checkpoint: Checkpoint,
        start: ResumePoint,
        there: IdSet,
        ends: Mapping[int, int],
        late: Callable[[OutgoingPost], str | None],
        context: RunContext,
    ) -> None:
        self._ends = ends
        self._late = late
        self._task = task
        self._file = file
        self._reader = posts
        self._rejects = rejects
        self._producer = producer
        self._windows = windows
        self._check = check
        self._path = path
        self._checkpoint = checkpoint
        self._start = start
        self._there = there
        self._context = context
        self._counts = Counts()
        self._found_there = 0
        self._all_read = False
        self._queued = 0
        self._began = 0.0
        self._rate: SendRate | None = None
        self._next_save = context.monotonic() + CHECKPOINT_SECONDS

    @property
    def counts(self) -> Counts:
        return replace(self._counts, sent=self._producer.sent, rejected=self._rejects.count)

    def run(self) -> RunResult:
        failure, complete = None, False
        try:
            with ExitStack() as stack:
                posts: Iterable[OutgoingPost] = self._posts()
                if self._checkpoint.order == "time":
                    posts = self._in_time(stack.enter_context(TimeSorted(posts)))
                complete = self._send_all(posts)
        except (TransientError, InputError) as error:
            failure = str(error)
        try:
            left = self._finish(patient=complete)
        except TransientError as error:
            failure = failure or str(error)
            left = self._producer.flush(FLUSH_SECONDS)
        failure = self._producer.failure or failure
        if failure is None and left:
            failure = f"{left} posts were still on their way when the time was up"
        try:
            self._producer.confirmed_prefix()
            self._windows.close()
        except BrandpulseError as error:
            failure = failure or str(error)
        finished = complete and failure is None
        self._save(clean=failure is None and self._found_there == len(self._there), finished=finished)
        return RunResult(
            self.counts,
            stopped=not complete and failure is None,
            failure=failure,
            begin=self._ends,
            source=None if self._reader.has_own_sources else self._task.source,
            summary=self._reader.summary,
        )

    def _send_all(self, posts: Iterable[OutgoingPost]) -> bool:
        """Queue every post that was not sent; False if the run was stopped or the broker refused before."""
        position = 0
        for window in self._in_windows(posts):
            if not self._send_window(window, position):
                return False
            position += len(window)
        return self._all_read

    def _in_windows(self, posts: Iterable[OutgoingPost]) -> Iterator[list[OutgoingPost]]:
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

    def _send_window(self, window: Sequence[OutgoingPost], position: int) -> bool:
        context, producer, there = self._context, self._producer, self._there
        own = self._reader.has_own_sources
        in_topic = [
            position + place < self._start.confirmed
            or (bool(there) and (f"{post.source}\0{post.id}" if own else post.id) in there)
            for place, post in enumerate(window)
        ]
        decisions = self._windows.claim(window, in_topic)
        for place, (post, decision) in enumerate(zip(window, decisions, strict=True)):
            if context.should_stop() or (place % FAILURE_POSTS == 0 and producer.failure is not None):
                return False
            if decision is not Decision.SEND:
                self._count_sent_before(decision)
                if position + place >= self._start.confirmed:
                    self._found_there += in_topic[place]
                    producer.skip()
                continue
            if self._queued == 0:
                if (said := self._late(post)) is not None:
                    context.notify(said)
                self._began, self._rate = context.monotonic(), self._rate_from(post)
            if self._rate is not None and not self._wait(
                self._began + self._rate.due_seconds(self._queued, post.created_at)
            ):
                return False
            if not producer.send(post.id, post.payload, place=place, should_stop=context.should_stop):
                return False
            self._queued += 1
            if self._rate is not None or self._queued % POLL_POSTS == 0:
                producer.poll()
                self._save_in_time()
        self._save_in_time()
        return True

    def _count_sent_before(self, decision: Decision) -> None:
        counts = self._counts
        counts.duplicates += 1
        counts.sent_before += 1
        counts.changed += decision is Decision.CHANGED
        counts.other_source += decision is Decision.OTHER_SOURCE
        if counts.changed >= CHANGED_POSTS and counts.changed * 2 > counts.sent_before:
            under = "" if self._reader.has_own_sources else f" as source {self._task.source!r}"
            raise InputError(
                f"{counts.changed:,} of the {counts.sent_before:,} ids that were sent before{under} "
                "hold other posts now, so the ids of this file do not name its posts (row "
                "numbers that move?). Map a column that does (--map id=COLUMN), give the file a source of its own "
                "(--source NAME), or send everything with --again: what was counted before counts twice"
            )

    def _posts(self) -> Iterator[OutgoingPost]:
        """The distinct posts of the file in its order; rows that are none are counted on the way."""
        far = self._check.rejected
        for number, made in enumerate(self._reader.read(refusal=None if far is None else far.refusal)):
            if number % POLL_POSTS == 0 and self._context.should_stop():
                return
            if isinstance(made, Reject):
                self._rejects.add(made, raw=self._file.raw)
            elif isinstance(made, Duplicate):
                self._counts.duplicates += 1
            else:
                yield made
        self._all_read = True

    def _in_time(self, posts: TimeSorted) -> Iterator[OutgoingPost]:
        if not self._all_read:
            return
        if not self._task.shift_to_now or posts.first is None or posts.last is None:
            yield from posts
            return
        seconds = self._checkpoint.shift_seconds
        if seconds == 0.0:
            shift = time_shift(self._context.now(), first=posts.first, last=posts.last, speed=self._task.speed)
            seconds = shift.total_seconds()
            self._checkpoint = replace(self._checkpoint, shift_seconds=seconds)
            checkpoints.save(self._path, self._checkpoint)
        for post in posts:
            yield post.moved(timedelta(seconds=seconds))

    def _rate_from(self, first: OutgoingPost) -> SendRate | None:
        if self._task.posts_per_second is not None:
            return ConstantRate(self._task.posts_per_second)
        return None if self._task.speed is None else ReplayRate(self._task.speed, first.created_at)

    def _wait(self, until: float) -> bool:
        """Let deliveries be told until then; False if the run is stopped before."""
        while (left := until - self._context.monotonic()) > 0:
            if self._context.should_stop():
                return False
            # Short, because a signal is seen only when librdkafka returns to Python.
            self._producer.poll(min(left, 0.1))
            self._save_in_time()
        return True

    def _finish(self, *, patient: bool) -> int:
        """Wait for what is on its way; how many posts are left."""
        left = 1
        # librdkafka gives each post up in the end, so this ends too.
        while patient and left and not self._context.should_stop():
            left = self._producer.flush(0.5)
            self._save_in_time()
        return self._producer.flush(FLUSH_SECONDS) if left else 0

    def _save_in_time(self) -> None:
        if self._context.monotonic() < self._next_save:
            return
        self._next_save = self._context.monotonic() + CHECKPOINT_SECONDS
        self._save()
        self._windows.settle()
        self._context.progress(self.counts, self._file.position_bytes / self._file.size_bytes)

    def _save(self, *, clean: bool = False, finished: bool = False) -> None:
        confirmed, behind = self._producer.confirmed_prefix()
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

"""One run: sends the posts window by window, with a checkpoint every second."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from brandpulse.errors import BrandpulseError, TransientError
from ingest.files.checkpoint import Checkpoint, ResumePoint, save_checkpoint
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
"""How long a stopped run waits for open deliveries."""
POLL_POSTS = 256
FAILURE_POSTS = 16
CHANGED_POSTS = 20
"""If so many ids, and over half of those sent before, have other content now, the id column is wrong."""


class SendRun:
    """Sends the posts and writes the checkpoint."""

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
        in_topic: IdSet,
        ends: Mapping[int, int],
        late_warning: Callable[[OutgoingPost], str | None],
        context: RunContext,
    ) -> None:
        self._ends = ends
        self._late_warning = late_warning
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
        self._in_topic = in_topic
        self._context = context
        self._counts = Counts()
        self._found_in_topic = 0
        self._all_read = False
        self._queued = 0
        self._started = 0.0
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
                    posts = self._sorted(stack.enter_context(TimeSorted(posts)))
                complete = self._send_all(posts)
        except (TransientError, InputError) as error:
            failure = str(error)
        try:
            left = self._wait_for_deliveries(patient=complete)
        except TransientError as error:
            failure = failure or str(error)
            left = self._producer.flush(FLUSH_SECONDS)
        failure = self._producer.failure or failure
        if failure is None and left:
            failure = f"{left} posts were not confirmed in time"
        try:
            self._producer.confirmed_prefix()
            self._windows.close()
        except BrandpulseError as error:
            failure = failure or str(error)
        finished = complete and failure is None
        self._save(clean=failure is None and self._found_in_topic == len(self._in_topic), finished=finished)
        return RunResult(
            self.counts,
            stopped=not complete and failure is None,
            failure=failure,
            begin=self._ends,
            source=self._reader.source,
            summary=self._reader.summary,
        )

    def _send_all(self, posts: Iterable[OutgoingPost]) -> bool:
        """Queue every post that was not sent; False if the run was stopped or a delivery failed."""
        position = 0
        for window in self._in_windows(posts):
            if not self._send_window(window, position):
                return False
            position += len(window)
        return self._all_read

    def _in_windows(self, posts: Iterable[OutgoingPost]) -> Iterator[list[OutgoingPost]]:
        """*posts* in lists with unique ids: delivery reports are matched by key."""
        size = self._task.window_posts
        remaining = iter(posts)
        while window := list(itertools.islice(remaining, size)):
            begin, ids = 0, set[str]()
            if len({post.id for post in window}) < len(window):
                for position, post in enumerate(window):
                    if post.id in ids:
                        yield window[begin:position]
                        begin = position
                        ids.clear()
                    ids.add(post.id)
            yield window[begin:]

    def _send_window(self, window: Sequence[OutgoingPost], first: int) -> bool:
        context, producer, known = self._context, self._producer, self._in_topic
        own = self._reader.has_own_sources
        in_topic = [
            first + position < self._start.confirmed
            or (bool(known) and (f"{post.source}\0{post.id}" if own else post.id) in known)
            for position, post in enumerate(window)
        ]
        decisions = self._windows.claim(window, in_topic)
        for position, (post, decision) in enumerate(zip(window, decisions, strict=True)):
            if context.should_stop() or (position % FAILURE_POSTS == 0 and producer.failure is not None):
                return False
            if decision is not Decision.SEND:
                self._count_sent_before(decision)
                if first + position >= self._start.confirmed:
                    self._found_in_topic += in_topic[position]
                    producer.skip()
                continue
            if self._queued == 0:
                if (warning := self._late_warning(post)) is not None:
                    context.notify(warning)
                self._started, self._rate = context.monotonic(), self._rate_from(post)
            if self._rate is not None and not self._wait(
                self._started + self._rate.due_seconds(self._queued, post.created_at)
            ):
                return False
            if not producer.send(post.id, post.payload, position=position, should_stop=context.should_stop):
                return False
            self._queued += 1
            if self._rate is not None or self._queued % POLL_POSTS == 0:
                producer.poll()
                self._save_if_due()
        self._save_if_due()
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
                f"{counts.changed:,} of the {counts.sent_before:,} ids that were sent before{under} have other "
                "content now, so the ids of this file do not identify posts (row numbers?). Map another column (--map "
                "id=COLUMN), set another source (--source NAME), or send all posts with --again; posts counted before "
                "then count twice"
            )

    def _posts(self) -> Iterator[OutgoingPost]:
        """The distinct posts of the file in its order. Rejected rows and duplicates are counted."""
        outliers = self._check.rejected
        reject_reason = None if outliers is None else outliers.reject_reason
        for number, result in enumerate(self._reader.read(reject_reason=reject_reason)):
            if number % POLL_POSTS == 0 and self._context.should_stop():
                return
            if isinstance(result, Reject):
                self._rejects.add(result, raw=self._file.raw)
            elif isinstance(result, Duplicate):
                self._counts.duplicates += 1
            else:
                yield result
        self._all_read = True

    def _sorted(self, posts: TimeSorted) -> Iterator[OutgoingPost]:
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
            save_checkpoint(self._path, self._checkpoint)
        for post in posts:
            yield post.moved(timedelta(seconds=seconds))

    def _rate_from(self, first: OutgoingPost) -> SendRate | None:
        if self._task.posts_per_second is not None:
            return ConstantRate(self._task.posts_per_second)
        return None if self._task.speed is None else ReplayRate(self._task.speed, first.created_at)

    def _wait(self, until: float) -> bool:
        """Process delivery reports until then; False if the run is stopped before."""
        while (left := until - self._context.monotonic()) > 0:
            if self._context.should_stop():
                return False
            # Short: Python handles a signal only when librdkafka returns.
            self._producer.poll(min(left, 0.1))
            self._save_if_due()
        return True

    def _wait_for_deliveries(self, *, patient: bool) -> int:
        """Wait for open deliveries; returns how many are left."""
        left = 1
        # librdkafka gives up each post after its timeout, so this loop ends.
        while patient and left and not self._context.should_stop():
            left = self._producer.flush(0.5)
            self._save_if_due()
        return self._producer.flush(FLUSH_SECONDS) if left else 0

    def _save_if_due(self) -> None:
        if self._context.monotonic() < self._next_save:
            return
        self._next_save = self._context.monotonic() + CHECKPOINT_SECONDS
        self._save()
        self._windows.settle()
        self._context.progress(self.counts, self._file.position_bytes / self._file.size_bytes)

    def _save(self, *, clean: bool = False, finished: bool = False) -> None:
        confirmed, next_offsets = self._producer.confirmed_prefix()
        # Until all posts of the earlier run are found again, one of them may have an offset below those of this run.
        offsets = self._start.begin | next_offsets if self._found_in_topic == len(self._in_topic) else self._start.begin
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
        save_checkpoint(self._path, self._checkpoint)

"""The loop over the posts of one run: window by window into the topic, with a checkpoint every second."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from brandpulse.errors import BrandpulseError, TransientError
from ingest.files import checkpoint as checkpoints
from ingest.files.checkpoint import Checkpoint, Start
from ingest.files.external_sort import TimeSorted
from ingest.files.reading.post_reader import PostReader, Repeat
from ingest.files.reading.row import InputError, Reject
from ingest.files.reading.row_mapping import Outgoing
from ingest.files.reading.row_reader import RowFile
from ingest.files.reject_file import RejectFile
from ingest.files.send_task import Counts, Outcome, Surroundings, Task
from ingest.files.sent.sent_windows import SentWindows, Verdict
from ingest.files.times.time_check import TimeCheck
from ingest.id_set import IdMemory
from ingest.post_producer import Delivery
from ingest.send_rate import Pace, RecordedTime, SteadyRate, shift_to

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

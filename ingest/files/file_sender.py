"""Sending one file into the topic: each of its posts once, also over stops and kills."""

from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime, timedelta

from ingest.files import checkpoint as checkpoints
from ingest.files.checkpoint import Checkpoint, FileIdentity
from ingest.files.reading.post_reader import PostReader, ReadOptions
from ingest.files.reading.row import InputError
from ingest.files.reading.row_mapping import OutgoingPost, resolve
from ingest.files.reading.row_reader import RowFile
from ingest.files.reject_file import RejectFile
from ingest.files.send_run import SendRun
from ingest.files.send_task import Counts, Destination, RunContext, RunResult, Task
from ingest.files.sent.sent_posts import PostDigester, SentPosts, recover
from ingest.files.sent.sent_windows import SentWindows
from ingest.files.times.time_check import check_times, late_warning, old_posts_warning
from ingest.files.times.time_scan import Times
from ingest.id_set import IdSet
from ingest.post_producer import PostProducer
from ingest.topic_reader import LogEnds, TopicReader
from ingest.worker_states import stream_clock


def send_file(task: Task, connect: Callable[[], Destination], context: RunContext) -> RunResult:
    """Send what of the file was not sent before. Raises InputError, StateError, TransientError.

    What is wrong with the file's head, and times far from the rest, are found before *connect* is called.
    """
    file = RowFile(task.path, format=task.format, encoding=task.encoding)
    reading = ReadOptions(task.source, task.source_is_given, task.assume_utc, task.day_first, task.trust_ids)
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
        now=None if task.shift_to_now else context.now(),
        notify=context.notify,
    )
    reading_key = task.reading_key + check.key
    order = task.order_of(check.times)
    to = connect()
    if to.note is not None:
        context.notify(to.note)
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
        start = checkpoints.resume_point(
            known, file=identity, order=order, low=ends.low, high=ends.high, ledger=ledger_id, far=reading_key
        )
        if start.note is not None:
            context.notify(start.note)
        if start.lost:
            known = None
        if known is not None and start.nothing_left:
            counts = Counts(duplicates=known.rows - known.rejected, rejected=known.rejected)
            return RunResult(counts, already_sent=True, begin=ends.high)
        there = IdSet()
        if known is not None and start.read_back:
            there = reader.ids_between(start.begin, ends.high, source=None if posts.has_own_sources else task.source)
        if start.confirmed + len(there):
            context.notify(
                f"an earlier run was stopped: {start.confirmed + len(there):,} posts stand in the topic already"
            )
        sent = SentPosts()
        if to.ledger is not None:
            sent = recover(to.ledger, log=to.topic_id, ends=ends, applied=to.states.applied, reader=reader)
        if sent.posts_forgotten:
            context.notify(
                f"Redis keeps the newest posts that were sent from files; {sent.posts_forgotten:,} older ones are "
                "forgotten, so a file that holds some of them counts them twice"
            )
        if order == "time" and task.order == "auto" and not (task.speed or task.shift_to_now):
            context.notify(
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
        producer = PostProducer(to.bootstrap_servers, to.topic, confirmed=start.confirmed)
        windows = SentWindows(
            to.ledger,
            sent,
            log=to.topic_id,
            source="" if posts.has_own_sources else task.source,
            begin=start.begin,
            producer=producer,
            digester=PostDigester(shifted=task.shift_to_now),
            states=to.states,
            topic_id_now=to.topic_id_now,
            again=task.again,
            uncertain=task.uncertain,
        )
        with windows.heartbeats() if to.ledger is not None else nullcontext():
            return SendRun(
                task,
                file,
                posts=posts,
                rejects=rejects,
                producer=producer,
                windows=windows,
                check=check,
                path=path,
                checkpoint=first,
                start=start,
                there=there,
                ends=ends.high,
                late=lambda first: None if task.shift_to_now else _late(to, check.times, first, ends, context.now()),
                context=context,
            ).run()


def _late(to: Destination, times: Times, first: OutgoingPost, ends: LogEnds, now: datetime) -> str | None:
    if to.ledger is None:
        return old_posts_warning(first=first.created_at, now=now)
    clock = stream_clock(to.states.applied(ends.high))
    return None if clock is None else late_warning(times, first=first.created_at, clock=clock)


def _span(length: timedelta) -> str:
    if length >= timedelta(days=2):
        return f"{length.days} days"
    if length >= timedelta(hours=2):
        return f"{length // timedelta(hours=1)} hours"
    return f"{max(1, length // timedelta(minutes=1))} minutes"

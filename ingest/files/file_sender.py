"""Sends one file to the topic, each post once, even if runs are stopped or killed."""

from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime, timedelta

from ingest.files.checkpoint import (
    Checkpoint,
    FileIdentity,
    ResumePoint,
    checkpoint_path,
    load_checkpoint,
    locked,
    resume_point,
    save_checkpoint,
)
from ingest.files.presets.catalogue import is_header, preset_named, recognise
from ingest.files.presets.preset import apply, missing_columns
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
    """Send the posts of the file that were not sent before. Raises InputError, StateError, TransientError.

    Errors in the head of the file and outlier times are found before *connect* is called.
    """
    file = RowFile(
        task.path,
        format=task.format,
        encoding=task.encoding,
        is_header=lambda cells: is_header(cells) or bool(task.mapping and {*task.mapping.values()} <= {*cells}),
        name=task.name,
    )
    reading = ReadOptions(task.source, task.source_is_given, task.zone, task.day_first, task.trust_ids)
    posts = PostReader(file, resolve(_with_preset(task, file, context), file.columns), reading)
    columns = posts.columns
    if task.rejects.resolve() == task.path.resolve():
        raise InputError(f"--rejects: {task.rejects} is the input file. Choose another path")
    rejects = RejectFile(task.rejects)
    identity = FileIdentity.of(task.path)
    check = check_times(
        file,
        columns["created_at"],
        zone=task.zone,
        day_first=posts.day_first,
        is_time=posts.is_time,
        far=task.far,
        now=None if task.shift_to_now else context.now(),
        notify=context.notify,
    )
    reading_key = task.reading_key + check.key
    order = task.send_order(check.times)
    destination = connect()
    if destination.note is not None:
        context.notify(destination.note)
    path = checkpoint_path(
        destination.home,
        file=task.path,
        topic=destination.topic,
        topic_id=destination.topic_id,
        namespace=destination.namespace,
        source=task.source,
        mapping=columns,
        shifted=task.shift_to_now,
    )
    with locked(path), rejects, TopicReader(destination.bootstrap_servers, destination.topic) as reader:
        ends = reader.ends()
        ledger_id = "" if destination.ledger is None else destination.ledger.identity()
        previous = None if task.again else load_checkpoint(path)
        start = resume_point(
            previous, file=identity, order=order, low=ends.low, high=ends.high, ledger=ledger_id, far=reading_key
        )
        if start.note is not None:
            context.notify(start.note)
        if start.lost:
            previous = None
        if previous is not None and start.nothing_left:
            counts = Counts(duplicates=previous.rows - previous.rejected, rejected=previous.rejected)
            return RunResult(counts, already_sent=True, begin=ends.high)
        in_topic = _posts_in_topic(reader, previous, start, ends, posts.source)
        if start.confirmed + len(in_topic):
            context.notify(
                f"resuming a stopped run: {start.confirmed + len(in_topic):,} posts are already in the topic"
            )
        sent = _posts_sent_before(destination, reader, ends, context)
        if order == "time" and task.order == "auto" and not (task.speed or task.shift_to_now):
            context.notify(
                f"the rows are not in order of time (one is {_span(check.times.step_back)} older than an earlier row): "
                "the posts are sorted by time before sending"
            )
        first = Checkpoint(
            identity,
            order,
            start=ends.high if previous is None else previous.start,
            next=start.begin,
            confirmed=start.confirmed,
            shift_seconds=0.0 if previous is None else previous.shift_seconds,
            ledger=ledger_id,
            far=reading_key,
            path=str(task.path.resolve()),
        )
        # Saved before the first post: if the run is killed now, the next run must not start as the first.
        save_checkpoint(path, first)
        producer = PostProducer(destination.bootstrap_servers, destination.topic, confirmed=start.confirmed)
        windows = SentWindows(
            destination.ledger,
            sent,
            log=destination.topic_id,
            source=posts.source or "",
            begin=start.begin,
            producer=producer,
            digester=PostDigester(shifted=task.shift_to_now),
            states=destination.states,
            topic_id_now=destination.topic_id_now,
            again=task.again,
            uncertain=task.uncertain,
        )
        with windows.heartbeats() if destination.ledger is not None else nullcontext():
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
                in_topic=in_topic,
                ends=ends.high,
                late_warning=lambda first: (
                    None if task.shift_to_now else _late_warning(destination, check.times, first, ends, context.now())
                ),
                context=context,
            ).run()


def _with_preset(task: Task, file: RowFile, context: RunContext) -> dict[str, str]:
    """The task's mapping, completed by the preset of the file's columns. Raises InputError."""
    if task.preset == "none":
        return dict(task.mapping)
    is_json = file.format in ("json", "jsonl")
    if task.preset is None:
        found = recognise(file.columns, is_json=is_json)
    else:
        preset = preset_named(task.preset)
        if missing := missing_columns(preset, file.columns):
            raise InputError(
                f"--preset {task.preset}: {file.name} has no column {', '.join(missing)}. "
                f"Its columns: {', '.join(file.columns)}"
            )
        found = apply(preset, file.columns, is_json=is_json)
    if found is None:
        return dict(task.mapping)
    file.derive(found.derived)
    found.columns.update(task.mapping)
    context.notify(found.line)
    return found.columns


def _posts_in_topic(
    reader: TopicReader, previous: Checkpoint | None, start: ResumePoint, ends: LogEnds, source: str | None
) -> IdSet:
    """Ids of posts after the checkpoint that the previous run may have sent."""
    if previous is None or not start.read_back:
        return IdSet()
    return reader.ids_between(start.begin, ends.high, source=source)


def _posts_sent_before(destination: Destination, reader: TopicReader, ends: LogEnds, context: RunContext) -> SentPosts:
    """The posts in the ledger that need not be sent again; none without a ledger."""
    if destination.ledger is None:
        return SentPosts()
    sent = recover(
        destination.ledger, log=destination.topic_id, ends=ends, applied=destination.states.applied, reader=reader
    )
    if sent.posts_forgotten:
        context.notify(
            f"Redis records only the newest posts sent from files; {sent.posts_forgotten:,} older ones were removed. "
            "If a file contains some of them, these count twice"
        )
    return sent


def _late_warning(
    destination: Destination, times: Times, first: OutgoingPost, ends: LogEnds, now: datetime
) -> str | None:
    if destination.ledger is None:
        return old_posts_warning(first=first.created_at, now=now)
    clock = stream_clock(destination.states.applied(ends.high))
    return None if clock is None else late_warning(times, first=first.created_at, clock=clock)


def _span(length: timedelta) -> str:
    if length >= timedelta(days=2):
        return f"{length.days} days"
    if length >= timedelta(hours=2):
        return f"{length // timedelta(hours=1)} hours"
    return f"{max(1, length // timedelta(minutes=1))} minutes"

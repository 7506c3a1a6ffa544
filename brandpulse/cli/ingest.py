"""`brandpulse ingest`: bring posts from the outside into the topic."""

import json
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

if TYPE_CHECKING:
    from brandpulse.config.settings import Settings
    from brandpulse.state.partition_state import PartitionStatus
    from ingest.files.send_report import Fate
    from ingest.files.send_task import Counts, Destination, Outcome, Task

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help="Bring posts into the topic."
)

FAILED = 1


@app.callback()
def ingest() -> None:
    """Bring posts into the topic."""


@app.command("file")
def file_command(  # noqa: PLR0917 - typer passes by name
    path: Annotated[Path, typer.Argument(help="JSON lines or CSV, plain or .gz.")],
    map: Annotated[
        str, typer.Option("--map", help="Which column holds what, such as text=body,created_at=date,author_id=user.")
    ] = "",
    source: Annotated[str, typer.Option(help="Name of the source; ids are unique within it. Default: file name.")] = "",
    format: Annotated[str, typer.Option(help="jsonl, csv or tsv. Default: by the file's name, else its content.")] = "",
    rate: Annotated[float | None, typer.Option(help="Posts a second. Default: as fast as can be.")] = None,
    speed: Annotated[float | None, typer.Option(help="Replay in the recorded time, so many times as fast.")] = None,
    shift_to_now: Annotated[
        bool, typer.Option("--shift-to-now", help="Move the recorded times so that the last post is written when sent.")
    ] = False,
    assume_utc: Annotated[bool, typer.Option("--assume-utc", help="Read times without a zone as UTC.")] = False,
    dates: Annotated[
        str, typer.Option(help="How 3/2/2026 is meant: day-first or month-first. Default: as other dates of the file.")
    ] = "",
    encoding: Annotated[
        str, typer.Option(help="Encoding, such as cp1251. Default: UTF-8, or what a byte order mark says.")
    ] = "",
    trust_ids: Annotated[
        bool, typer.Option("--trust-ids", help="Take ids that end in zeros, or often repeat, as they are.")
    ] = False,
    rejects: Annotated[
        Path | None, typer.Option(help="Where rows that are no posts go. Default: ./NAME.rejects.jsonl.")
    ] = None,
    order: Annotated[
        str, typer.Option(help="auto, file or time. auto: by time, unless the rows are in order of time already.")
    ] = "auto",
    far_dates: Annotated[
        str,
        typer.Option(
            "--far-dates",
            help="ask, send or reject: rows whose times lie far from the rest, or in the future. ask: name those that "
            "are later, and send nothing.",
        ),
    ] = "ask",
    uncertain: Annotated[
        str,
        typer.Option(
            help="ask, send or skip: posts of which it is not known whether they were counted, after a run and its "
            "broker were killed together."
        ),
    ] = "ask",
    again: Annotated[bool, typer.Option("--again", help="Send everything, also what was sent before.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until workers have counted it all; say how fast, and what was not.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON on stdout.")] = False,
) -> None:
    """Send a file of posts into the topic, each post once.

    Stopped at any point, the same command goes on where it was. Posts that were sent before are not sent again, also
    after the broker has lost its records, from a file that grew, or from another file. Rows that cannot become posts
    are put aside with the reason, and the rest goes on. With --wait, exit code 1 says that the workers refused posts,
    or that none of the posts names a brand in a language that the model reads.
    """
    from brandpulse.errors import BrandpulseError
    from brandpulse.runtime.console import Console

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    task = _task(
        path,
        column_map=map,
        source=source,
        format_name=format,
        rate=rate,
        speed=speed,
        shift_to_now=shift_to_now,
        assume_utc=assume_utc,
        dates=dates,
        encoding=encoding,
        trust_ids=trust_ids,
        rejects=rejects,
        again=again,
        order=order,
        far=far_dates,
        uncertain=uncertain,
    )
    began = time.monotonic()
    before = _statuses() if wait else []
    outcome, seconds, signal_number = _run(task, console)
    told, unfinished = None, None
    if wait and outcome.failure is None and not outcome.stopped:
        try:
            told = _wait(outcome, before, began, console)
        except BrandpulseError as error:
            unfinished = error  # what became of the rows is reported all the same
    _report(outcome, task, seconds, console, told=told, as_json=as_json)
    if unfinished is not None:
        raise unfinished
    if outcome.failure is not None:
        console.print(f"not everything was sent: {outcome.failure}", style="red", markup=False)
        raise typer.Exit(FAILED)
    if outcome.stopped:
        raise typer.Exit(128 + signal_number)
    if outcome.counts.rejected and outcome.counts.rejected == outcome.counts.read:
        console.print("no row of the file is a post; see the rejects", style="red")
        raise typer.Exit(FAILED)
    if told is not None and not told.all_well(outcome.counts.sent):
        raise typer.Exit(FAILED)


def _task(
    path: Path,
    *,
    column_map: str,
    source: str,
    format_name: str,
    rate: float | None,
    speed: float | None,
    shift_to_now: bool,
    assume_utc: bool,
    dates: str,
    encoding: str,
    trust_ids: bool,
    rejects: Path | None,
    again: bool,
    order: str,
    far: str,
    uncertain: str,
) -> "Task":
    from ingest.files.reading.row import InputError
    from ingest.files.reading.row_mapping import parse_map
    from ingest.files.reading.row_reader import FORMATS
    from ingest.files.send_task import Task

    if rate is not None and speed is not None:
        raise InputError("--rate and --speed cannot go together: one posts a second, the other a multiple of the time")
    for name, value in (("--rate", rate), ("--speed", speed)):
        if value is not None and not 0 < value < float("inf"):
            raise InputError(f"{name} must be above 0, got {value:g}")
    chosen = next((known for known in FORMATS if known == format_name), None)
    if format_name and chosen is None:
        raise InputError(f"--format is one of {', '.join(FORMATS)}, got {format_name!r}")
    if dates not in ("", "day-first", "month-first"):
        raise InputError(f"--dates is day-first or month-first, got {dates!r}")
    orders: tuple[Literal["auto", "file", "time"], ...] = ("auto", "file", "time")
    fars: tuple[Literal["ask", "send", "reject"], ...] = ("ask", "send", "reject")
    answers: tuple[Literal["ask", "send", "skip"], ...] = ("ask", "send", "skip")
    if order == "file" and (speed is not None or shift_to_now):
        raise InputError("--order file cannot go with --speed or --shift-to-now, which send in order of time")
    name = source or path.name.removesuffix(".gz").partition(".")[0] or path.name
    if len(name) > 64:
        raise InputError(f"--source is longer than 64 characters: {name!r}")
    return Task(
        path=path,
        source=name,
        rejects=rejects or Path(f"{path.name}.rejects.jsonl"),
        mapping=parse_map(column_map) if column_map else {},
        format=chosen,
        encoding=encoding or None,
        assume_utc=assume_utc,
        day_first=None if not dates else dates == "day-first",
        source_is_given=bool(source),
        trust_ids=trust_ids,
        posts_per_second=rate,
        speed=speed,
        shift_to_now=shift_to_now,
        again=again,
        order=_one_of("--order", order, orders),
        far=_one_of("--far-dates", far, fars),
        uncertain=_one_of("--uncertain", uncertain, answers),
    )


Choice = TypeVar("Choice", bound=str)


def _one_of(option: str, value: str, choices: "tuple[Choice, ...]") -> Choice:
    from ingest.files.reading.row import InputError

    for choice in choices:
        if choice == value:
            return choice
    raise InputError(f"{option} is one of {', '.join(choices)}, got {value!r}")


def _destination() -> "Destination":
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.errors import ConfigError
    from brandpulse.kafka.topics import Topic, ensure_topics
    from brandpulse.redis.client import connect
    from ingest.files.send_task import Destination
    from ingest.files.sent.ledger import RedisLedger
    from ingest.post_producer import check_broker
    from ingest.worker_states import RedisWorkerStates

    settings = load_settings(Settings)
    servers = settings.bootstrap_servers()
    check_broker(servers)
    topic = settings.posts_topic
    ids = ensure_topics(servers, [Topic(topic, settings.partitions)], replication_factor=settings.replication_factor)
    to = Destination(servers, topic, ids[topic], settings.namespace, settings.home, topic_id_now=_id_of(servers, topic))
    try:
        client = connect(settings.redis_address(), timeout_seconds=10)
    except ConfigError:
        return replace(
            to,
            note="BRANDPULSE_REDIS_URL is not set, so what was sent before is known from BRANDPULSE_HOME only: if the "
            "topic is created again, or the file has another name, its posts are sent again",
        )
    return replace(
        to,
        ledger=RedisLedger(client, settings.namespace, topic),
        states=RedisWorkerStates(client, settings.namespace, topic),
    )


def _id_of(servers: str, topic: str) -> "Callable[[], str]":
    from confluent_kafka.admin import AdminClient

    from brandpulse.kafka.client import client_config
    from brandpulse.kafka.topics import topic_id
    from ingest.post_producer import SILENT

    admin = AdminClient(client_config(servers) | SILENT)
    return lambda: topic_id(admin, topic)


def _run(task: "Task", console: Any) -> "tuple[Outcome, float, int]":
    from ingest.files.file_sender import send_file
    from ingest.files.send_task import Surroundings

    received: list[int] = []
    handlers = {
        number: signal.signal(number, lambda caught, _: received.append(caught))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    began = time.monotonic()
    # A status line is for eyes; in a log it would be noise.
    status = console.status("reading") if sys.stderr.isatty() else None

    def progress(counts: "Counts", share: float) -> None:
        if status is not None:
            speed = counts.sent / max(time.monotonic() - began, 0.001)
            status.update(f"read {share:.0%}, sent {counts.sent:,} posts, {speed:,.0f} a second")

    around = Surroundings(
        say=lambda text: console.print(text, style="yellow", markup=False),
        stopping=lambda: bool(received),
        progress=progress,
    )
    try:
        if status is None:
            outcome = send_file(task, _destination, around)
        else:
            with status:
                outcome = send_file(task, _destination, around)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return outcome, time.monotonic() - began, received[0] if received else 0


def _statuses() -> "list[PartitionStatus]":
    """Where the topic's partitions stand. Raises ConfigError, TransientError."""
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.redis.client import connect
    from brandpulse.state.pane_reader import PaneReader

    settings = load_settings(Settings)
    reader = PaneReader(connect(settings.redis_address()), settings.namespace)
    return [status for status in reader.partitions() if status.topic == settings.posts_topic]


def _wait(outcome: "Outcome", before: "Sequence[PartitionStatus]", began: float, console: Any) -> "Fate":
    """Until the workers stand at the log's end. Raises NotCountedError, TransientError."""
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.redis.client import connect
    from brandpulse.state.pane_reader import PaneReader
    from ingest.files.send_report import causes, fate
    from ingest.topic_reader import TopicReader
    from ingest.wait_until_counted import wait_counted

    settings = load_settings(Settings)
    with TopicReader(settings.bootstrap_servers(), settings.posts_topic) as topic:
        ends = topic.ends()
    client = connect(settings.redis_address())
    wait_counted(
        ends,
        PaneReader(client, settings.namespace),
        topic=settings.posts_topic,
        patience_seconds=60,
        progress=lambda _left: None,
        stopping=lambda: False,
    )
    seconds = time.monotonic() - began
    sent = outcome.counts.sent
    after = _statuses()
    told = fate(sent, before, after, {})
    told = replace(told, why=causes(told, sent, before, after, source=outcome.source))
    if told.dead:
        told = replace(told, reasons=_reasons(settings, outcome.begin))
    of_them = f" ({told.on_time:,} on time, {told.late:,} late)" if told.late else ""
    console.print(f"counted {told.counted:,} posts in {seconds:.1f} s: {told.counted / seconds:,.0f} posts/s{of_them}")
    return told


def _reasons(settings: "Settings", begin: Mapping[int, int]) -> dict[str, int]:
    """Dead letters of records from *begin* on, by reason; none where they cannot be read."""
    from collections import Counter

    from brandpulse.errors import BrandpulseError
    from brandpulse.ops.redrive import read_letters

    try:
        letters = read_letters(settings)
    except BrandpulseError:
        return {}
    found = Counter(
        letter.reason
        for letter in letters
        if letter.topic == settings.posts_topic and letter.origin.offset >= begin.get(letter.origin.partition, 0)
    )
    return dict(found)


def _report(
    outcome: "Outcome", task: "Task", seconds: float, console: Any, *, told: "Fate | None", as_json: bool
) -> None:
    from rich.table import Table

    from brandpulse.cli.operations.dlq import REMEDIES
    from brandpulse.runtime.console import Console
    from ingest.files.send_report import fate_lines, row_lines

    counts = outcome.counts
    if outcome.already_sent:
        console.print(f"{task.path} was already sent; --again sends it once more", style="yellow", markup=False)
    if outcome.stopped:
        console.print("stopped; the same command goes on from here", style="yellow")
    lines = []
    if not outcome.already_sent:
        lines += outcome.findings.lines()
        lines += row_lines(
            in_file=counts.repeated - counts.sent_before,
            sent_before=counts.sent_before,
            changed=counts.changed,
            elsewhere=counts.elsewhere,
            rejected=counts.rejected,
            rejects=str(task.rejects),
        )
    if told is not None:
        lines += fate_lines(told, counts.sent, REMEDIES)
    for line in lines:
        console.print(line, style="yellow", markup=False)
    numbers: dict[str, Any] = {
        "read": counts.read,
        "sent": counts.sent,
        "repeated": counts.repeated,
        "rejected": counts.rejected,
    }
    if as_json:
        numbers |= {"seconds": round(seconds, 3)} | outcome.findings.numbers()
        if counts.sent_before:
            # Rows that are left out since another post has their id: one of the file, or one that was sent before.
            numbers |= {"changed": outcome.findings.changed + counts.changed, "changed_since_sent": counts.changed}
            numbers |= {"sent_before": counts.sent_before, "elsewhere": counts.elsewhere}
        if told is not None:
            numbers |= told.numbers()
        typer.echo(json.dumps(numbers))
        return
    table = Table.grid(padding=(0, 2))
    for name, number in numbers.items():
        table.add_row(name, f"{number:,}")
    table.add_row("seconds", f"{seconds:.1f}")
    table.add_row("posts/s", f"{counts.sent / max(seconds, 0.001):,.0f}")
    Console().print(table)

"""`brandpulse ingest`: bring posts from the outside into the topic."""

import json
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ingest.file import Counts, Destination, Outcome, Task

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
    again: Annotated[bool, typer.Option("--again", help="Send everything, also what was sent before.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until workers have counted it all; say how fast.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON on stdout.")] = False,
) -> None:
    """Send a file of posts into the topic, each post once.

    Stopped at any point, the same command goes on where it was. Rows that cannot become posts are put aside with the
    reason, and the rest goes on.
    """
    from brandpulse.console import Console

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
    )
    began = time.monotonic()
    outcome, seconds, signal_number = _run(task, console)
    _report(outcome, task, seconds, console, as_json=as_json)
    if outcome.failure is not None:
        console.print(f"not everything was sent: {outcome.failure}", style="red", markup=False)
        raise typer.Exit(FAILED)
    if outcome.stopped:
        raise typer.Exit(128 + signal_number)
    if wait:
        _wait(outcome.counts.sent, began, console)
    if outcome.counts.rejected and outcome.counts.rejected == outcome.counts.read:
        console.print("no row of the file is a post; see the rejects", style="red")
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
) -> "Task":
    from ingest.columns import parse_map
    from ingest.file import Task
    from ingest.rows import FORMATS, InputError

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
    )


def _destination() -> "Destination":
    from brandpulse.settings import Settings, load_settings
    from brandpulse.topics import Topic, ensure_topics
    from ingest.delivery import check_broker
    from ingest.file import Destination

    settings = load_settings(Settings)
    servers = settings.bootstrap_servers()
    check_broker(servers)
    topic = settings.posts_topic
    ids = ensure_topics(servers, [Topic(topic, settings.partitions)], replication_factor=settings.replication_factor)
    return Destination(servers, topic, ids[topic], settings.namespace, settings.home)


def _run(task: "Task", console: Any) -> "tuple[Outcome, float, int]":
    from ingest.file import Surroundings, send_file

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


def _wait(sent: int, began: float, console: Any) -> None:
    """Until the workers stand at the log's end. Raises NotCountedError, TransientError."""
    from brandpulse.pane_reader import PaneReader
    from brandpulse.redis_client import connect
    from brandpulse.settings import Settings, load_settings
    from ingest.counting import wait_counted
    from ingest.delivery import TopicReader

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
    console.print(f"counted {sent:,} posts in {seconds:.1f} s: {sent / seconds:,.0f} posts/s")


def _report(outcome: "Outcome", task: "Task", seconds: float, console: Any, *, as_json: bool) -> None:
    from rich.table import Table

    from brandpulse.console import Console

    counts = outcome.counts
    if outcome.already_sent:
        console.print(f"{task.path} was already sent; --again sends it once more", style="yellow", markup=False)
    if outcome.stopped:
        console.print("stopped; the same command goes on from here", style="yellow")
    if counts.rejected and not outcome.already_sent:
        console.print(f"rejected rows and the reasons: {task.rejects}", style="yellow", markup=False)
    if not outcome.already_sent:
        for line in outcome.findings.lines():
            console.print(line, style="yellow", markup=False)
    numbers = {"read": counts.read, "sent": counts.sent, "repeated": counts.repeated, "rejected": counts.rejected}
    if as_json:
        typer.echo(json.dumps(numbers | {"seconds": round(seconds, 3)} | outcome.findings.numbers()))
        return
    table = Table.grid(padding=(0, 2))
    for name, number in numbers.items():
        table.add_row(name, f"{number:,}")
    table.add_row("seconds", f"{seconds:.1f}")
    table.add_row("posts/s", f"{counts.sent / max(seconds, 0.001):,.0f}")
    Console().print(table)

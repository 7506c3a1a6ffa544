"""`brandpulse ingest`: send posts to the topic, from files and from live sources."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from brandpulse.cli import live_sources

if TYPE_CHECKING:
    from brandpulse.ops.file_ingest import FileRun
    from ingest.files.reading.time_zones import Zone
    from ingest.files.send_report import WorkerResult
    from ingest.files.send_task import Counts, RunResult, Task

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Send posts to Kafka, from files and from live sources.",
)

FAILED = 1


@app.callback()
def ingest() -> None:
    """Send posts to Kafka, from files and from live sources."""


app.command("run")(live_sources.run_command)
app.command("check")(live_sources.check_command)
app.command("gaps")(live_sources.gaps_command)


@app.command(
    "file",
    help="Send a file of posts to the posts topic, each post once.\n\n"
    "If a run is stopped, the same command resumes it. Posts that were sent before are skipped, also after the broker "
    "lost its records, from a file that has grown, or from another file. Rows that are no posts are written to the "
    "rejects file with the reason. With --wait, exit code 1 means that the workers refused posts, or that no post "
    "names a brand in a language that the model reads.",
)
def file_command(  # noqa: PLR0917 - typer passes by name
    path: Annotated[
        Path, typer.Argument(help="File of posts: CSV, JSON, XLSX or .js, plain, .gz or .zst; - for standard input.")
    ],
    map: Annotated[
        str,
        typer.Option(
            "--map",
            help="Columns of the post's fields, such as text=body,created_at=date,author_id=user. Default: columns "
            "with the names of the fields.",
        ),
    ] = "",
    preset: Annotated[
        str,
        typer.Option(
            help="Export whose columns the file has, such as brandwatch or reddit-posts, or none. "
            "Default: recognised by the columns, and shown."
        ),
    ] = "",
    source: Annotated[
        str, typer.Option(help="Name of the source; post ids are unique within it. Default: the file's name.")
    ] = "",
    format: Annotated[
        str, typer.Option(help="Format: jsonl, json, csv, tsv or xlsx. Default: from the file's name and content.")
    ] = "",
    rate: Annotated[float | None, typer.Option(help="Posts per second to send. Default: as fast as possible.")] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            help="Replay with the recorded gaps between posts, at this multiple of the recorded speed. Default: off."
        ),
    ] = None,
    shift_to_now: Annotated[
        bool,
        typer.Option("--shift-to-now", help="Move the recorded times so that the last post gets the time of sending."),
    ] = False,
    assume_utc: Annotated[bool, typer.Option("--assume-utc", help="Read times without a zone as UTC.")] = False,
    time_zone: Annotated[
        str,
        typer.Option("--time-zone", help="Read times without a zone as local times of a place, such as Europe/Berlin."),
    ] = "",
    dates: Annotated[
        str,
        typer.Option(help="How to read 3/2/2026: day-first or month-first. Default: as other dates of the file show."),
    ] = "",
    encoding: Annotated[
        str, typer.Option(help="Text encoding, such as cp1251. Default: from the byte order mark, else UTF-8.")
    ] = "",
    trust_ids: Annotated[
        bool, typer.Option("--trust-ids", help="Accept ids that end in zeros or repeat often.")
    ] = False,
    rejects: Annotated[
        Path | None, typer.Option(help="File for rows that are no posts. Default: ./NAME.rejects.jsonl.")
    ] = None,
    order: Annotated[
        str,
        typer.Option(help="Order of sending: auto, file or time. auto: by time, unless the rows are sorted already."),
    ] = "auto",
    far_dates: Annotated[
        str,
        typer.Option(
            "--far-dates",
            help="Rows with times far from the rest, or in the future: ask, send or reject. ask: if rows are later "
            "than the rest, list them and send nothing.",
        ),
    ] = "ask",
    uncertain: Annotated[
        str,
        typer.Option(
            help="Posts that may have been counted before a run and its broker were killed together: ask, send or skip."
        ),
    ] = "ask",
    again: Annotated[bool, typer.Option("--again", help="Send all posts, also those that were sent before.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the workers have counted all posts, then report the result.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON to stdout at the end.")] = False,
) -> None:
    """Send a file of posts to the posts topic, and report what happened to its rows and posts."""
    from brandpulse.errors import BrandpulseError
    from brandpulse.ops.file_ingest import partition_statuses, wait_until_counted
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
        time_zone=time_zone,
        preset=preset,
        dates=dates,
        encoding=encoding,
        trust_ids=trust_ids,
        rejects=rejects,
        again=again,
        order=order,
        far=far_dates,
        uncertain=uncertain,
    )
    started = time.monotonic()
    before = partition_statuses() if wait else []
    run = _send(task, console)
    outcome = run.outcome
    result, wait_error = None, None
    if wait and outcome.failure is None and not outcome.stopped:
        try:
            result = wait_until_counted(outcome, before)
            _print_counted(result, time.monotonic() - started, console)
        except BrandpulseError as error:
            wait_error = error  # raised below, after the report about the rows
    _print_report(run, task, console, result=result, as_json=as_json)
    if wait_error is not None:
        raise wait_error
    if outcome.failure is not None:
        console.print(f"not all posts were sent: {outcome.failure}", style="red", markup=False)
        raise typer.Exit(FAILED)
    if outcome.stopped:
        raise typer.Exit(128 + run.signal_number)
    if outcome.counts.rejected and outcome.counts.rejected == outcome.counts.read:
        console.print("no row of the file is a post; see the rejects file", style="red")
        raise typer.Exit(FAILED)
    if result is not None and not result.succeeded(outcome.counts.sent):
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
    time_zone: str,
    preset: str,
    dates: str,
    encoding: str,
    trust_ids: bool,
    rejects: Path | None,
    again: bool,
    order: str,
    far: str,
    uncertain: str,
) -> "Task":
    """The options as a task. Raises InputError for values that are wrong or exclude each other."""
    from ingest.files.forms.formats import FORMATS
    from ingest.files.presets.catalogue import NAMES
    from ingest.files.reading.row import InputError
    from ingest.files.reading.row_mapping import parse_map
    from ingest.files.send_task import Task

    if rate is not None and speed is not None:
        raise InputError(
            "--rate and --speed cannot go together: one sets posts per second, the other a multiple of the recorded "
            "speed"
        )
    for name, value in (("--rate", rate), ("--speed", speed)):
        if value is not None and not 0 < value < float("inf"):
            raise InputError(f"{name} must be above 0, got {value:g}")
    if order == "file" and (speed is not None or shift_to_now):
        raise InputError("--order file cannot go with --speed or --shift-to-now, which send in order of time")
    if assume_utc and time_zone:
        raise InputError("--assume-utc and --time-zone cannot go together: both set the zone of times without one")
    is_input = str(path) == "-"
    source_name = (
        source or ("stdin" if is_input else "") or path.name.removesuffix(".gz").partition(".")[0] or path.name
    )
    if len(source_name) > 64:
        raise InputError(f"--source is longer than 64 characters: {source_name!r}")
    date_orders: tuple[Literal["day-first", "month-first"], ...] = ("day-first", "month-first")
    orders: tuple[Literal["auto", "file", "time"], ...] = ("auto", "file", "time")
    far_choices: tuple[Literal["ask", "send", "reject"], ...] = ("ask", "send", "reject")
    uncertain_choices: tuple[Literal["ask", "send", "skip"], ...] = ("ask", "send", "skip")
    return Task(
        path=path,
        source=source_name,
        rejects=rejects or Path(f"{'stdin' if is_input else path.name}.rejects.jsonl"),
        mapping=parse_map(column_map) if column_map else {},
        format=_choice("--format", format_name, FORMATS) if format_name else None,
        encoding=encoding or None,
        assume_utc=assume_utc,
        time_zone=_zone(time_zone),
        preset=_choice("--preset", preset, (*NAMES, "none")) if preset else None,
        name="standard input" if is_input else "",
        day_first=_choice("--dates", dates, date_orders) == "day-first" if dates else None,
        source_is_given=bool(source),
        trust_ids=trust_ids,
        posts_per_second=rate,
        speed=speed,
        shift_to_now=shift_to_now,
        again=again,
        order=_choice("--order", order, orders),
        far=_choice("--far-dates", far, far_choices),
        uncertain=_choice("--uncertain", uncertain, uncertain_choices),
    )


def _zone(name: str) -> "Zone | None":
    from ingest.files.reading.row import InputError
    from ingest.files.reading.time_zones import ZoneError, place_zone

    try:
        return place_zone(name) if name else None
    except ZoneError as error:
        raise InputError(f"--time-zone: {error}; write a place such as Europe/Berlin") from error


Choice = TypeVar("Choice", bound=str)


def _choice(option: str, value: str, choices: "tuple[Choice, ...]") -> Choice:
    from ingest.files.reading.row import InputError

    for choice in choices:
        if choice == value:
            return choice
    raise InputError(f"{option} must be one of {', '.join(choices)}, got {value!r}")


def _send(task: "Task", console: Any) -> "FileRun":
    """Send the posts; on a terminal, with a status line."""
    from brandpulse.ops.file_ingest import send

    def notify(text: str) -> None:
        console.print(text, style="yellow", markup=False)

    if not sys.stderr.isatty():
        return send(task, notify=notify, progress=lambda _counts, _share: None)
    started = time.monotonic()
    with console.status("reading") as status:

        def show_progress(counts: "Counts", share: float) -> None:
            speed = counts.sent / max(time.monotonic() - started, 0.001)
            status.update(f"read {share:.0%}, sent {counts.sent:,} posts, {speed:,.0f} per second")

        return send(task, notify=notify, progress=show_progress)


def _print_counted(result: "WorkerResult", seconds: float, console: Any) -> None:
    by_time = f" ({result.on_time:,} on time, {result.late:,} late)" if result.late else ""
    console.print(
        f"counted {result.counted:,} posts in {seconds:.1f} s: {result.counted / seconds:,.0f} posts/s{by_time}"
    )


def _print_report(run: "FileRun", task: "Task", console: Any, *, result: "WorkerResult | None", as_json: bool) -> None:
    """What happened to the rows and posts, to stderr; the numbers to stdout."""
    from rich.table import Table

    from brandpulse.runtime.console import Console

    outcome, counts = run.outcome, run.outcome.counts
    if outcome.already_sent:
        console.print(
            f"{task.name or task.path} was already sent; --again sends it once more", style="yellow", markup=False
        )
    if outcome.stopped:
        console.print("stopped; the same command resumes from here", style="yellow")
    for line in _report_lines(outcome, task, result):
        console.print(line, style="yellow", markup=False)
    numbers: dict[str, Any] = {
        "read": counts.read,
        "sent": counts.sent,
        "repeated": counts.duplicates,
        "rejected": counts.rejected,
    }
    if as_json:
        numbers |= {"seconds": round(run.seconds, 3)} | outcome.summary.numbers()
        if counts.sent_before:
            # Rows that are skipped because another post has their id, in this file or sent before.
            numbers |= {"changed": outcome.summary.changed + counts.changed, "changed_since_sent": counts.changed}
            numbers |= {"sent_before": counts.sent_before, "elsewhere": counts.other_source}
        if result is not None:
            numbers |= result.numbers()
        typer.echo(json.dumps(numbers))
        return
    table = Table.grid(padding=(0, 2))
    for name, number in numbers.items():
        table.add_row(name, f"{number:,}")
    table.add_row("seconds", f"{run.seconds:.1f}")
    table.add_row("posts/s", f"{counts.sent / max(run.seconds, 0.001):,.0f}")
    Console().print(table)


def _report_lines(outcome: "RunResult", task: "Task", result: "WorkerResult | None") -> list[str]:
    from brandpulse.ops.redrive import REMEDIES
    from ingest.files.send_report import row_lines, worker_result_lines

    counts = outcome.counts
    lines: list[str] = []
    if not outcome.already_sent:
        lines += outcome.summary.lines()
        lines += row_lines(
            in_file=counts.duplicates - counts.sent_before,
            sent_before=counts.sent_before,
            changed=counts.changed,
            other_source=counts.other_source,
            rejected=counts.rejected,
            rejects=str(task.rejects),
        )
    if result is not None:
        lines += worker_result_lines(result, counts.sent, REMEDIES)
    return lines

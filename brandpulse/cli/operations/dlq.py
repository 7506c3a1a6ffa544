"""`brandpulse dlq`: list and redrive dead letters; resume a partition that paused at too many invalid posts."""

import base64
import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from brandpulse.config.settings import Settings
    from brandpulse.ops.redrive import DeadLetterFilter
    from brandpulse.schema.dead_letters import DeadLetter

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="List dead letters and send them again; resume a paused partition.",
)

Reason = Annotated[
    list[str] | None, typer.Option(help="Select letters with this reason; repeatable. Default: all reasons.")
]
Partition = Annotated[
    int | None, typer.Option(min=0, help="Select letters of this partition. Default: all partitions.")
]
Since = Annotated[
    str | None,
    typer.Option(
        help="Select records from this Kafka time on: 2026-03-02T12:00:00Z, or 2h for two hours ago. "
        "Default: the oldest."
    ),
]
Until = Annotated[
    str | None, typer.Option(help="Select records before this Kafka time, written like --since. Default: now.")
]
Original = Annotated[bool, typer.Option("--original", help="Show the stored values, without masking personal data.")]
Text = Annotated[str | None, typer.Option(help="Select letters with this text in their value or error. Default: all.")]


@app.command("list")
def list_letters(
    *,
    reason: Reason = None,
    partition: Partition = None,
    since: Since = None,
    until: Until = None,
    text: Text = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Largest number of letters to show.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line, with the value.")] = False,
    original: Original = False,
) -> None:
    """List dead letters, oldest first, each record once."""
    from rich.table import Table

    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.masking.records import masked_text
    from brandpulse.ops.redrive import read_letters
    from brandpulse.runtime.clock import rfc3339
    from brandpulse.runtime.console import Console, echo, id_column

    settings = load_settings(Settings)
    wanted = _filter((), reason=reason, partition=partition, since=since, until=until, text=text)
    found = [letter for letter in read_letters(settings) if wanted.matches(letter)]
    redriven = _redriven(settings, found)
    for letter in found[:limit] if as_json else ():
        typer.echo(json.dumps(_facts(letter, counted=letter in redriven, original=original)))
    if as_json:
        return
    console = Console()
    ids = id_column("id", (letter.id for letter in found[:limit]), width=console.width)
    table = Table(ids, "record", "reason", "deaths", "state", "error")
    for letter in found[:limit]:
        table.add_row(
            letter.id,
            rfc3339(letter.record_ms),
            letter.reason,
            str(letter.deaths),
            "counted" if letter in redriven else "dead",
            masked_text(letter.error)[:80],
        )
    console.print(table if found else "No dead letters.")
    if len(found) > limit:
        echo(f"{len(found) - limit} more: use --limit {len(found)}, or a filter")


@app.command()
def show(
    identity: Annotated[str, typer.Argument(metavar="ID", help="Id that `dlq list` shows: partition:offset.")],
    original: Original = False,
) -> None:
    """Show one dead letter: its record, its reason, the remedy and its value."""
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.errors import BrandpulseError, ConfigError
    from brandpulse.ops.redrive import REMEDIES, DeadLetterFilter, read_letters
    from brandpulse.runtime.clock import rfc3339
    from brandpulse.runtime.console import echo

    settings = load_settings(Settings)
    wanted = DeadLetterFilter(ids=(identity,))
    found = [letter for letter in read_letters(settings) if wanted.matches(letter)]
    if not found:
        raise BrandpulseError(
            f"ID {identity!r}: {settings.dlq_topic} has no such dead letter. `brandpulse dlq list` shows all"
        )
    if len(found) > 1:
        ids = ", ".join(str(letter.origin) for letter in found)
        raise ConfigError(f"ID {identity!r} exists in several logs. Use one of {ids}")
    [letter] = found
    facts = _facts(letter, counted=bool(_redriven(settings, found)), original=original)
    value = facts.pop("value")
    for name, fact in (facts | {"remedy": REMEDIES.get(letter.reason, "")}).items():
        if fact is not None:
            echo(f"{name:<13} {rfc3339(letter.record_ms) if name == 'record_ms' else fact}")
    echo(f"\n{value}" if value is not None else "\n(no value)")


@app.command(
    help="Send dead letters to the posts topic again; each counts at most once.\n\n"
    "Letters that were counted since, after a redrive or because their producer sent them again, are skipped. Without "
    "--yes, the command only reports what it would send."
)
def redrive(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Send only these, by the id that `dlq list` shows. Default: all."),
    ] = None,
    *,
    reason: Reason = None,
    partition: Partition = None,
    since: Since = None,
    until: Until = None,
    text: Text = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Largest number of letters to send, oldest first. Default: no limit.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Send the letters. Without it, nothing is sent.")] = False,
) -> None:
    """Send dead letters to the posts topic again; with *yes* unset, only report them."""
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.ops.redrive import (
        REMEDIES,
        find_counted,
        partition_count,
        plan_redrive,
        read_letters,
        send_letters,
    )

    settings = load_settings(Settings)
    wanted = _filter(ids or (), reason=reason, partition=partition, since=since, until=until, text=text)
    letters = [letter for letter in read_letters(settings) if wanted.matches(letter)]
    redriven = _redriven(settings, letters)
    plan = plan_redrive(
        letters,
        topic=settings.posts_topic,
        partitions=partition_count(settings),
        redriven=redriven,
        counted=find_counted(settings, [letter for letter in letters if letter not in redriven]),
    )
    send = plan.send[:limit]
    for why, skipped in plan.skip.items():
        typer.echo(f"{len(skipped):>8} skipped: {why}")
    for cause, count in Counter(letter.reason for letter in send).most_common():
        typer.echo(f"{count:>8} {'sent' if yes else 'would be sent'}: {cause}. {REMEDIES.get(cause, '')}")
    if not send:
        typer.echo("Nothing to send.")
    elif yes:
        typer.echo(f"{send_letters(settings, send)} letters sent again to {settings.posts_topic}")
    else:
        typer.echo("Nothing was sent. Send them with --yes")


@app.command()
def allow(
    partition: Annotated[int, typer.Option(min=0, help="Number of the paused partition.")],
    records: Annotated[
        int, typer.Option(min=1, help="Number of records, from the next one on, that cannot pause it again.")
    ] = 100_000,
) -> None:
    """Resume a paused partition: its invalid posts go to the dead-letter topic and do not pause it again."""
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.errors import BrandpulseError
    from brandpulse.redis.client import connect
    from brandpulse.state.keys import PartitionKeys
    from brandpulse.state.namespaces import live_namespace
    from brandpulse.state.pane_reader import PaneReader

    settings = load_settings(Settings)
    client = connect(settings.redis_address(), timeout_seconds=5)
    statuses = PaneReader(client, settings.namespace).partitions()
    known = {status.partition: status for status in statuses if status.topic == settings.posts_topic}
    status = known.get(partition)
    if status is None:
        raise BrandpulseError(
            f"--partition {partition}: there is no such partition. Known partitions: {sorted(known) or 'none yet'}"
        )
    keys = PartitionKeys(live_namespace(client, settings.namespace), settings.posts_topic, partition)
    client.hset(keys.state, mapping={"allowed_until": status.next + records, "paused": ""})
    typer.echo(f"partition {partition} resumes within seconds; it cannot pause before offset {status.next + records}")


def _filter(
    ids: Sequence[str],
    *,
    reason: list[str] | None,
    partition: int | None,
    since: str | None,
    until: str | None,
    text: str | None,
) -> "DeadLetterFilter":
    from brandpulse.cli.time_arguments import time_ms
    from brandpulse.ops.redrive import REMEDIES, DeadLetterFilter
    from brandpulse.runtime.clock import wall_ms

    now_ms = wall_ms()
    unknown = set(reason or ()) - REMEDIES.keys()
    if unknown:
        raise typer.BadParameter(
            f"{', '.join(sorted(unknown))} is not a reason. Reasons: {', '.join(REMEDIES)}", param_hint="--reason"
        )
    return DeadLetterFilter(
        frozenset(ids),
        frozenset(reason or ()),
        partition,
        None if since is None else time_ms(since, option="--since", now_ms=now_ms),
        None if until is None else time_ms(until, option="--until", now_ms=now_ms),
        text or "",
    )


def _redriven(settings: "Settings", letters: "Sequence[DeadLetter]") -> "set[DeadLetter]":
    from brandpulse.ops.redrive import find_redriven
    from brandpulse.redis.client import connect
    from brandpulse.state.namespaces import live_namespace

    client = connect(settings.redis_address(), timeout_seconds=5)
    return find_redriven(client, live_namespace(client, settings.namespace), letters) if letters else set()


def _facts(letter: "DeadLetter", *, counted: bool, original: bool) -> dict[str, Any]:
    """The fields of *letter*; personal data is masked unless *original*. The stored letter keeps its bytes."""
    from brandpulse.masking.records import masked_record, masked_text
    from brandpulse.ops.redrive import readable

    value = readable(letter.value)
    facts = {
        "id": letter.id,
        "topic": letter.topic,
        "topic_id": letter.origin.topic_id,
        "partition": letter.origin.partition,
        "offset": letter.origin.offset,
        "record_ms": letter.record_ms,
        "reason": letter.reason,
        "error": letter.error,
        "deaths": letter.deaths,
        "state": "counted" if counted else "dead",
        "key": None if letter.key is None else readable(letter.key),
        "cut_of": letter.cut,
        # `value` shows bytes that are not UTF-8 as replacement characters; here they are unchanged.
        "value_base64": None if _is_utf8(letter.value) else base64.b64encode(letter.value or b"").decode(),
        "value": None if letter.value is None else value,
    }
    if not original:
        facts["error"] = masked_text(letter.error)
        facts["value"] = None if letter.value is None else masked_record(value)
        facts["value_base64"] = None
    return facts


def _is_utf8(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True

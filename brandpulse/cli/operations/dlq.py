"""`brandpulse dlq`: look at dead letters, send them again, and let a partition that paused over too many go on."""

import base64
import json
import time
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import redis
import typer
from rich.table import Table

from brandpulse.cli.time_arguments import moment_ms
from brandpulse.config.settings import Settings, load_settings
from brandpulse.errors import ConfigError
from brandpulse.masking.records import masked_record, masked_text
from brandpulse.ops.redrive import (
    Wanted,
    counted_meanwhile,
    done_again,
    partitions_of,
    plan_redrive,
    read_letters,
    send_again,
    shown,
)
from brandpulse.redis.client import connect
from brandpulse.runtime.clock import rfc3339
from brandpulse.runtime.console import Console, echo, id_column
from brandpulse.schema.dead_letters import Letter
from brandpulse.state.keys import PartitionKeys
from brandpulse.state.namespaces import live_namespace
from brandpulse.state.pane_reader import PaneReader

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

REMEDIES = {
    "empty": "A tombstone, or a producer's bug: nothing to mend here.",
    "too_large": "Nothing reads it until its producer sends less.",
    "not_json": "Mend the producer, let it send the post again under the same id.",
    "not_utf8": "Mend the producer, let it send the post again under the same id.",
    "wrong_field": "Mend the producer; or, if an upgrade of brandpulse reads this version now, redrive.",
    "unmatchable": "A bug of ours: report it; redrive after the upgrade that mends it.",
    "unscorable": "The model breaks on it: redrive after a change of model or engine.",
    "too_old": "Put the backfill into a namespace of its own; here it dies again.",
    "from_the_future": "Redriven once its time has come, it counts.",
}

Reason = Annotated[list[str] | None, typer.Option(help="Only letters of this reason; may be given again.")]
Partition = Annotated[int | None, typer.Option(min=0, help="Only letters of this partition.")]
Since = Annotated[str | None, typer.Option(help="Records from this moment of Kafka's on: 2026-03-02T12:00:00Z, 2h.")]
Until = Annotated[str | None, typer.Option(help="Records before this moment.")]
Original = Annotated[bool, typer.Option("--original", help="Show values as they lie, private things unmasked.")]
Text = Annotated[str | None, typer.Option(help="Only letters with this in their value or error.")]


@app.command("list")
def list_letters(
    *,
    reason: Reason = None,
    partition: Partition = None,
    since: Since = None,
    until: Until = None,
    text: Text = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with the value.")] = False,
    original: Original = False,
) -> None:
    """Dead letters, oldest first, each identity once."""
    settings = load_settings(Settings)
    wanted = _wanted((), reason=reason, partition=partition, since=since, until=until, text=text)
    found = [letter for letter in read_letters(settings) if wanted.takes(letter)]
    done = _done(settings, found)
    for letter in found[:limit] if as_json else ():
        typer.echo(json.dumps(_facts(letter, done=letter in done, original=original)))
    if as_json:
        return
    console = Console()
    ids = id_column("id", (letter.id for letter in found[:limit]), width=console.width)
    table = Table(ids, "record", "reason", "deaths", "state", "error")
    for letter in found[:limit]:
        state = "counted" if letter in done else "dead"
        table.add_row(
            letter.id,
            rfc3339(letter.record_ms),
            letter.reason,
            str(letter.deaths),
            state,
            masked_text(letter.error)[:80],
        )
    console.print(table if found else "No dead letters.")
    if len(found) > limit:
        echo(f"{len(found) - limit} more: --limit {len(found)}, or a filter")


@app.command()
def show(
    identity: Annotated[str, typer.Argument(metavar="ID", help="As `dlq list` shows it: partition:offset.")],
    original: Original = False,
) -> None:
    """One dead letter whole: where it lay, why it died, what can be done, and its value."""
    settings = load_settings(Settings)
    wanted = Wanted(ids=(identity,))
    found = [letter for letter in read_letters(settings) if wanted.takes(letter)]
    if not found:
        raise ConfigError(f"ID {identity!r}: no such letter in {settings.dlq_topic}; see `brandpulse dlq list`")
    if len(found) > 1:
        raise ConfigError(f"ID {identity!r} is several logs'; one of {', '.join(str(one.origin) for one in found)}")
    [letter] = found
    facts = _facts(letter, done=bool(_done(settings, found)), original=original)
    value = facts.pop("value")
    for name, fact in (facts | {"remedy": REMEDIES.get(letter.reason, "")}).items():
        if fact is not None:
            echo(f"{name:<13} {rfc3339(letter.record_ms) if name == 'record_ms' else fact}")
    echo(f"\n{value}" if value is not None else "\n(no value)")


@app.command()
def redrive(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Only these, as `dlq list` shows.")] = None,
    *,
    reason: Reason = None,
    partition: Partition = None,
    since: Since = None,
    until: Until = None,
    text: Text = None,
    limit: Annotated[int | None, typer.Option(min=1, help="So many at most, the oldest.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Send them. Without it nothing is sent, only told.")] = False,
) -> None:
    """Send dead letters again, once: what was redriven, or sent again by its producer, and counted, stays.

    Without --yes it only tells what it would send.
    """
    settings = load_settings(Settings)
    wanted = _wanted(ids or (), reason=reason, partition=partition, since=since, until=until, text=text)
    letters = [letter for letter in read_letters(settings) if wanted.takes(letter)]
    done = _done(settings, letters)
    plan = plan_redrive(
        letters,
        topic=settings.posts_topic,
        partitions=partitions_of(settings),
        done=done,
        counted=counted_meanwhile(settings, [letter for letter in letters if letter not in done]),
    )
    send = plan.send[:limit]
    for why, these in plan.stay.items():
        typer.echo(f"{len(these):>8} stay: {why}")
    for cause, count in Counter(letter.reason for letter in send).most_common():
        typer.echo(f"{count:>8} {'sent' if yes else 'would be sent'}: {cause}. {REMEDIES.get(cause, '')}")
    if not send:
        typer.echo("Nothing to send.")
    elif yes:
        typer.echo(f"{send_again(settings, send)} letters sent again to {settings.posts_topic}")
    else:
        typer.echo("Nothing was sent. Send them with --yes")


@app.command()
def allow(
    partition: Annotated[int, typer.Option(min=0, help="The paused partition.")],
    records: Annotated[int, typer.Option(min=1, help="So many records are let through whatever they hold.")] = 100_000,
) -> None:
    """Let a paused partition go on: its invalid posts go to the dead letters, uncounted by the guard."""
    settings = load_settings(Settings)
    client = _store(settings)
    statuses = PaneReader(client, settings.namespace).partitions()
    known = {status.partition: status for status in statuses if status.topic == settings.posts_topic}
    status = known.get(partition)
    if status is None:
        raise ConfigError(f"--partition {partition}: no such partition; there are {sorted(known) or 'none yet'}")
    keys = PartitionKeys(live_namespace(client, settings.namespace), settings.posts_topic, partition)
    client.hset(keys.state, mapping={"allowed_until": status.next + records, "paused": ""})
    typer.echo(f"partition {partition} goes on within seconds, up to offset {status.next + records}")


def _wanted(
    ids: Sequence[str],
    *,
    reason: list[str] | None,
    partition: int | None,
    since: str | None,
    until: str | None,
    text: str | None,
) -> Wanted:
    now_ms = time.time_ns() // 1_000_000
    unknown = set(reason or ()) - REMEDIES.keys()
    if unknown:
        raise typer.BadParameter(
            f"{sorted(unknown)} is no reason; there are {', '.join(REMEDIES)}", param_hint="--reason"
        )
    return Wanted(
        frozenset(ids),
        frozenset(reason or ()),
        partition,
        None if since is None else moment_ms(since, option="--since", now_ms=now_ms),
        None if until is None else moment_ms(until, option="--until", now_ms=now_ms),
        text or "",
    )


def _store(settings: Settings) -> redis.Redis:
    return connect(settings.redis_address(), timeout_seconds=5)


def _done(settings: Settings, letters: Sequence[Letter]) -> set[Letter]:
    client = _store(settings)
    return done_again(client, live_namespace(client, settings.namespace), letters) if letters else set()


def _facts(letter: Letter, *, done: bool, original: bool) -> dict[str, Any]:
    """*original*: with what is private. The letter itself always keeps its bytes."""
    value = shown(letter.value)
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
        "state": "counted" if done else "dead",
        "key": None if letter.key is None else shown(letter.key),
        "cut_of": letter.cut,
        # Bytes that are no UTF-8 are shown with a mark in their place; here they are whole.
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

"""`brandpulse dlq`: look at dead letters, and let a partition that paused over too many of them go on."""

import json
from typing import Annotated, Any

import redis
import typer
from rich.console import Console
from rich.table import Table

from brandpulse.errors import ConfigError
from brandpulse.keys import PartitionKeys
from brandpulse.pane_reader import PaneReader
from brandpulse.settings import Settings, load_settings
from brandpulse.topic_scan import read_to_end

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
PREFIX = "brandpulse."


@app.command("list")
def list_letters(
    reason: Annotated[str | None, typer.Option(help="Only letters of this reason.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with the original value.")] = False,
) -> None:
    """Dead letters, oldest first, each identity once."""
    letters = [letter for letter in read_letters(load_settings(Settings)) if reason in (None, letter["reason"])][:limit]
    if as_json:
        for letter in letters:
            typer.echo(json.dumps(letter))
        return
    table = Table("topic", "partition", "offset", "reason", "error")
    for letter in letters:
        table.add_row(*(str(letter[name])[:120] for name in ("topic", "partition", "offset", "reason", "error")))
    Console().print(table if letters else "No dead letters.")


@app.command()
def allow(
    partition: Annotated[int, typer.Option(min=0, help="The paused partition.")],
    records: Annotated[int, typer.Option(min=1, help="So many records are let through whatever they hold.")] = 100_000,
) -> None:
    """Let a paused partition go on: its invalid posts go to the dead letters, uncounted by the guard."""
    settings = load_settings(Settings)
    client = redis.Redis.from_url(settings.redis_address(), socket_timeout=5, socket_connect_timeout=5)
    statuses = PaneReader(client, settings.namespace).partitions()
    known = {status.partition: status for status in statuses if status.topic == settings.posts_topic}
    status = known.get(partition)
    if status is None:
        raise ConfigError(f"--partition {partition}: no such partition; there are {sorted(known) or 'none yet'}")
    keys = PartitionKeys(settings.namespace, settings.posts_topic, partition)
    client.hset(keys.state, mapping={"allowed_until": status.next + records, "paused": ""})
    typer.echo(f"partition {partition} goes on within seconds, up to offset {status.next + records}")


def read_letters(settings: Settings) -> list[dict[str, Any]]:
    """Every letter in the topic now; a repeat of the same (topic id, partition, offset) is left out."""
    letters: dict[tuple[str, str, str], dict[str, Any]] = {}
    for message in read_to_end(settings.bootstrap_servers(), settings.dlq_topic):
        letter = _letter(message)
        letters.setdefault((letter["topic_id"], letter["partition"], letter["offset"]), letter)
    return list(letters.values())


def _letter(message: Any) -> dict[str, Any]:
    headers = {name.removeprefix(PREFIX): value.decode(errors="replace") for name, value in message.headers() or []}
    wanted = ("topic", "topic_id", "partition", "offset", "record_ms", "reason", "error")
    value = message.value()
    return {name: headers.get(name, "") for name in wanted} | {
        "value": None if value is None else value.decode(errors="replace")
    }

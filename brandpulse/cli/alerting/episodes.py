"""`brandpulse episodes`: what fires now, what its posts say, and taking it on."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from brandpulse.state.operator_requests import OperatorRequestStore

app = typer.Typer(add_completion=False, no_args_is_help=True, help="List firing episodes, show one, acknowledge it.")


@app.command("list")
def show_list(as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False) -> None:
    """Open episodes, newest first."""
    from rich.table import Table

    from brandpulse.runtime.console import Console, id_column

    found = _book().episodes()
    if as_json:
        for one in found:
            typer.echo(one.model_dump_json())
        return
    console = Console()
    key = id_column("key", (one.key for one in found), width=console.width)
    table = Table(key, "severity", "since", "taken on", "why")
    for one in found:
        answered = (
            "" if one.acknowledged_at is None else f"{one.acknowledged_by or ''} {one.acknowledged_at:%H:%M}".strip()
        )
        table.add_row(one.key, one.severity, f"{one.started_at:%Y-%m-%d %H:%M}", answered, one.latest.reason)
    console.print(table if found else "Nothing fires.")


@app.command()
def show(key: Annotated[str, typer.Argument(help="Of an open episode, as `list` shows it.")]) -> None:
    """Show an open episode as receivers get it: numbers, words, sources, and texts with how many said them."""
    from alerting.notifications.receivers.message_text import lines, title
    from brandpulse.schema.episodes import Notification

    found = next((one for one in _book().episodes() if one.key == key), None)
    if found is None:
        typer.echo(f"no open episode has the key {key!r}; `brandpulse episodes list` shows those that do", err=True)
        raise typer.Exit(1)
    told = Notification(id=f"{key}:updated@terminal", receiver="terminal", transition="updated", episode=found)
    typer.echo(title(told))
    for line in lines(told):
        typer.echo("".join(sign if sign.isprintable() else " " for sign in line))


@app.command()
def ack(key: str, by: Annotated[str, typer.Option(help="Default: the name of this user.")] = "") -> None:
    """Take an episode on: receivers are told, and it no longer grows graver with time alone."""
    from brandpulse.runtime.console import echo
    from brandpulse.runtime.service_registry import user_name
    from brandpulse.schema.silences import Acknowledgement

    now = datetime.now(UTC)
    episode = _book().acknowledge(Acknowledgement(key=key[:255], by=(by or user_name())[:100], at=now))
    echo(f"{episode.key}: acknowledged; receivers hear of it at the alerter's next tick")


def _book() -> "OperatorRequestStore":
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.redis.client import connect
    from brandpulse.state.operator_requests import OperatorRequestStore

    settings = load_settings(Settings)
    client = connect(settings.redis_address())
    return OperatorRequestStore(client, settings.namespace)

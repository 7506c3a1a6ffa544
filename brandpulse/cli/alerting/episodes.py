"""`brandpulse episodes`: list firing episodes, show one, acknowledge it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from brandpulse.state.operator_requests import OperatorRequestStore

app = typer.Typer(add_completion=False, no_args_is_help=True, help="List firing episodes and acknowledge them.")


@app.command("list")
def show_list(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False) -> None:
    """List the firing episodes, newest first."""
    from rich.table import Table

    from brandpulse.runtime.console import Console, id_column

    found = _requests().episodes()
    if as_json:
        for one in found:
            typer.echo(one.model_dump_json())
        return
    console = Console()
    key = id_column("key", (one.key for one in found), width=console.width)
    table = Table(key, "severity", "since", "acknowledged", "reason")
    for one in found:
        acknowledged = (
            "" if one.acknowledged_at is None else f"{one.acknowledged_by or ''} {one.acknowledged_at:%H:%M}".strip()
        )
        table.add_row(one.key, one.severity, f"{one.started_at:%Y-%m-%d %H:%M}", acknowledged, one.latest.reason)
    console.print(table if found else "No episode is firing.")


@app.command()
def show(key: Annotated[str, typer.Argument(help="Key of a firing episode; see `brandpulse episodes list`.")]) -> None:
    """Show a firing episode as receivers get it: figures, rising terms, sources and example posts."""
    from alerting.notifications.receivers.message_text import lines, title
    from brandpulse.schema.episodes import Notification

    found = next((one for one in _requests().episodes() if one.key == key), None)
    if found is None:
        typer.echo(
            f"brandpulse: no firing episode has the key {key!r}; `brandpulse episodes list` shows the keys", err=True
        )
        raise typer.Exit(1)
    notification = Notification(id=f"{key}:updated@terminal", receiver="terminal", transition="updated", episode=found)
    typer.echo(title(notification))
    for line in lines(notification):
        typer.echo("".join(sign if sign.isprintable() else " " for sign in line))


@app.command()
def ack(
    key: Annotated[str, typer.Argument(help="Key of a firing episode; see `brandpulse episodes list`.")],
    by: Annotated[str, typer.Option(help="Set the name that receivers show. Default: the name of this user.")] = "",
) -> None:
    """Acknowledge a firing episode: receivers are notified, and its severity no longer rises with its age."""
    from brandpulse.runtime.console import echo
    from brandpulse.runtime.service_registry import user_name
    from brandpulse.schema.silences import Acknowledgement

    now = datetime.now(UTC)
    episode = _requests().acknowledge(Acknowledgement(key=key[:255], by=(by or user_name())[:100], at=now))
    echo(f"{episode.key}: acknowledged; the alerter notifies the receivers at its next evaluation")


def _requests() -> "OperatorRequestStore":
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.redis.client import connect
    from brandpulse.state.operator_requests import OperatorRequestStore

    settings = load_settings(Settings)
    client = connect(settings.redis_address())
    return OperatorRequestStore(client, settings.namespace)

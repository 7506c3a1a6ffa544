"""`brandpulse outbox`: list pending and refused notifications, send refused ones again."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from alerting.notifications.delivery import Delivery
    from alerting.store.redis_store import RedisAlertStore

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="List pending and refused notifications, and send refused ones again.",
)
JSON_STATES = {"pending": "waits"}
"""The JSON output keeps the states of earlier versions."""
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]


@app.command("list")
def show_list(
    refused: Annotated[bool, typer.Option(help="List only notifications that a receiver refused permanently.")] = False,
    delivered: Annotated[bool, typer.Option(help="List the newest delivered notifications instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """List pending notifications, oldest first, then refused ones."""
    from rich.table import Table

    from brandpulse.runtime.console import Console, id_column

    store = _store()
    rows: list[tuple[str, Delivery]] = []
    if delivered:
        rows += [("delivered", delivery) for delivery in store.delivered()]
    else:
        rows += [] if refused else [("pending", delivery) for delivery in store.pending()]
        rows += [("refused", delivery) for delivery in store.quarantined()]
    if as_json:
        for state, delivery in rows:
            answer = f"{JSON_STATES.get(state, state)}: {delivery.answer}"
            typer.echo(delivery.model_copy(update={"answer": answer}).model_dump_json())
        return
    console = Console()
    ids = id_column("id", (delivery.id for _, delivery in rows), width=console.width)
    table = Table("state", ids, "attempts", "last answer")
    for state, delivery in rows:
        table.add_row(state, delivery.id, str(delivery.attempts), delivery.answer[:80])
    console.print(table if rows else "No notification is pending, none was refused.")


@app.command()
def show(
    delivery_id: Annotated[str, typer.Argument(help="Id of a notification; see `brandpulse outbox list`.")],
) -> None:
    """Print one notification as JSON."""
    from brandpulse.runtime.console import echo

    store = _store()
    for delivery in (*store.pending(), *store.quarantined(), *store.delivered()):
        if delivery.id == delivery_id:
            typer.echo(delivery.model_dump_json(indent=2))
            return
    echo(f"brandpulse: no notification has the id {delivery_id!r}; `brandpulse outbox list` shows the ids", err=True)
    raise typer.Exit(1)


@app.command()
def retry(
    delivery_id: Annotated[
        str | None, typer.Argument(help="Id of a refused notification; see `brandpulse outbox list`.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Send all refused notifications again.")] = False,
    receiver: Annotated[str | None, typer.Option(help="With --all: send only those of this receiver.")] = None,
) -> None:
    """Send refused notifications again, before the pending ones."""
    from brandpulse.runtime.console import echo

    if every == (delivery_id is not None) or (receiver is not None and not every):
        raise typer.BadParameter("give the id of one notification, or --all; --receiver needs --all")
    store = _store()
    if every:
        _retry_all(store, receiver)
        return
    refused = next((delivery for delivery in store.quarantined() if delivery.id == delivery_id), None)
    if refused is None:
        echo(
            f"brandpulse: no refused notification has the id {delivery_id!r}; `brandpulse outbox list` shows the ids",
            err=True,
        )
        raise typer.Exit(1)
    if refused.notification.transition != "resolved" and _is_resolved(store, refused):
        # The receiver got the resolve: a trigger sent now would open an incident that nothing closes.
        echo(
            f"brandpulse: {delivery_id!r} is not sent again: its episode is resolved, and the receiver got the resolve",
            err=True,
        )
        raise typer.Exit(1)
    store.requeue(refused.id)
    echo(f"{delivery_id} is pending again")


def _retry_all(store: "RedisAlertStore", receiver: str | None) -> None:
    """The newest is put back first, because each goes to the front: a trigger is sent before its resolve."""
    refused = [one for one in store.quarantined() if receiver in (None, one.notification.receiver)]
    resolved = {one.key for one in store.delivered() if one.notification.transition == "resolved"}
    retried = [one for one in refused if one.notification.transition == "resolved" or one.key not in resolved]
    for one in reversed(retried):
        store.requeue(one.id)
    typer.echo(
        f"{len(retried)} pending again; {len(refused) - len(retried)} stay refused, because their episodes are resolved"
    )


def _is_resolved(store: "RedisAlertStore", refused: "Delivery") -> bool:
    return any(
        delivery.key == refused.key and delivery.notification.transition == "resolved" for delivery in store.delivered()
    )


def _store() -> "RedisAlertStore":
    from alerting.store.redis_store import RedisAlertStore
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.redis.client import connect

    settings = load_settings(Settings)
    client = connect(settings.redis_address())
    return RedisAlertStore(client, settings.namespace)

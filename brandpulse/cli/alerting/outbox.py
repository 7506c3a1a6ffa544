"""`brandpulse outbox`: what waits for a receiver, what one refused, and putting it back."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from alerting.notifications.delivery import Delivery
    from alerting.store.redis_store import RedisAlertStore

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Notifications that wait for, or were refused by, a receiver."
)
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


@app.command("list")
def show_list(
    refused: Annotated[bool, typer.Option(help="Only what a receiver refused for good.")] = False,
    delivered: Annotated[bool, typer.Option(help="The newest that were handed over, instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """What waits, oldest first; then what was refused."""
    from rich.table import Table

    from brandpulse.runtime.console import Console, id_column

    store = _store()
    rows: list[tuple[str, Delivery]] = []
    if delivered:
        rows += [("delivered", delivery) for delivery in store.delivered()]
    else:
        rows += [] if refused else [("waits", delivery) for delivery in store.pending()]
        rows += [("refused", delivery) for delivery in store.quarantined()]
    if as_json:
        for state, delivery in rows:
            typer.echo(delivery.model_copy(update={"answer": f"{state}: {delivery.answer}"}).model_dump_json())
        return
    console = Console()
    ids = id_column("id", (delivery.id for _, delivery in rows), width=console.width)
    table = Table("state", ids, "attempts", "last answer")
    for state, delivery in rows:
        table.add_row(state, delivery.id, str(delivery.attempts), delivery.answer[:80])
    console.print(table if rows else "Nothing waits, nothing was refused.")


@app.command()
def show(delivery_id: str) -> None:
    """One delivery, whole, as JSON."""
    from brandpulse.runtime.console import echo

    store = _store()
    for delivery in (*store.pending(), *store.quarantined(), *store.delivered()):
        if delivery.id == delivery_id:
            typer.echo(delivery.model_dump_json(indent=2))
            return
    echo(f"brandpulse: no delivery {delivery_id!r}; `brandpulse outbox list` shows them", err=True)
    raise typer.Exit(1)


@app.command()
def retry(
    delivery_id: Annotated[str | None, typer.Argument(help="Id of a refused delivery; see `outbox list`.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Put back all refused deliveries.")] = False,
    receiver: Annotated[str | None, typer.Option(help="With --all: only those of this receiver.")] = None,
) -> None:
    """Put refused deliveries back, in front of what waits."""
    from brandpulse.runtime.console import echo

    if every == (delivery_id is not None) or (receiver is not None and not every):
        raise typer.BadParameter("give one delivery id, or --all; --receiver goes with --all")
    store = _store()
    if every:
        _retry_all(store, receiver)
        return
    refused = next((delivery for delivery in store.quarantined() if delivery.id == delivery_id), None)
    if refused is None:
        echo(f"brandpulse: {delivery_id!r} is not among the refused; see `brandpulse outbox list`", err=True)
        raise typer.Exit(1)
    if refused.notification.transition != "resolved" and _is_over(store, refused):
        # The receiver has seen the resolve: a trigger now would open an incident that nothing closes.
        echo(f"brandpulse: {delivery_id!r} is over, its resolve was handed over already", err=True)
        raise typer.Exit(1)
    store.requeue(refused.id)
    echo(f"{delivery_id} goes out again")


def _retry_all(store: "RedisAlertStore", receiver: str | None) -> None:
    """The newest first, since each goes to the front: an episode's trigger goes out before its resolve."""
    refused = [one for one in store.quarantined() if receiver in (None, one.notification.receiver)]
    over = {one.key for one in store.delivered() if one.notification.transition == "resolved"}
    fresh = [one for one in refused if one.notification.transition == "resolved" or one.key not in over]
    for one in reversed(fresh):
        store.requeue(one.id)
    typer.echo(f"{len(fresh)} go out again; {len(refused) - len(fresh)} are over and stay set aside")


def _is_over(store: "RedisAlertStore", refused: "Delivery") -> bool:
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

"""`brandpulse replay`: recount posts into a second namespace, with another model or brands file."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from brandpulse.ops.namespace_comparison import Comparison

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the shadow namespace.")]


@app.callback(
    invoke_without_command=True,
    help="Recount posts into a shadow namespace, in the foreground until SIGTERM.\n\n"
    "The replay reads the same topic in a consumer group of its own. Started again with the same name, it resumes. Its "
    "alerter evaluates the rules, so that episodes can be compared too, but sends no notifications.",
)
def replay(
    context: typer.Context,
    *,
    into: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the shadow namespace to count into. Required.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Event time of the first post: 2026-03-02, 2026-03-02T12:00Z, or 7d for seven days ago. "
            "Default: the topic's first post.",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--to", help="Event time before which posts count, written like --from. Default: no end."),
    ] = None,
    brands_file: Annotated[
        Path | None, typer.Option(help="Brands file to use. Default: BRANDPULSE_BRANDS_FILE.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Folder of model weights to use. Default: BRANDPULSE_WORKER_WEIGHTS.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="Scoring engine to use. Default: BRANDPULSE_WORKER_ENGINE.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Number of worker processes.")] = 1,
) -> None:
    """Recount posts into a shadow namespace, unless a subcommand was called."""
    if context.invoked_subcommand is not None:
        return
    from brandpulse.cli.time_arguments import is_relative, time_ms
    from brandpulse.config.brands_file import load_brands
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.errors import ConfigError
    from brandpulse.ops.replay import begin_replay, connect_store, run_replay
    from brandpulse.runtime.clock import wall_ms
    from brandpulse.runtime.logging_setup import set_up_logging
    from brandpulse.state.namespaces import Replay

    settings = load_settings(Settings)
    if into is None:
        raise ConfigError("--into NAME is missing. For example: brandpulse replay --from 7d --into better-model")
    now_ms = wall_ms()
    wanted = Replay(
        parent=settings.namespace,
        since_ms=None if since is None else time_ms(since, option="--from", now_ms=now_ms),
        until_ms=None if until is None else time_ms(until, option="--to", now_ms=now_ms),
    )
    if wanted.since_ms is not None and wanted.until_ms is not None and wanted.since_ms >= wanted.until_ms:
        raise ConfigError(f"--from {since} is not before --to {until}")
    if brands_file is not None:
        load_brands(brands_file)
    set_up_logging(settings.log_level)
    # A supervisor restarts the same command later: an age such as 7d then means the time of the first start.
    span_given = any(time is not None and not is_relative(time) for time in (since, until))
    begin_replay(connect_store(settings), settings.namespace, into, wanted, span_given=span_given)
    env = {"BRANDPULSE_NAMESPACE": into, "BRANDPULSE_WORKER_PORT": "0", "BRANDPULSE_ALERTER_PORT": "0"}
    paths = {"BRANDPULSE_BRANDS_FILE": brands_file, "BRANDPULSE_WORKER_WEIGHTS": weights}
    env |= {name: str(path.resolve()) for name, path in paths.items() if path is not None}
    env |= {} if engine is None else {"BRANDPULSE_WORKER_ENGINE": engine}
    run_replay(settings, into, env, workers)


@app.command()
def compare(
    name: Name, *, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """Compare NAME with the live namespace: posts, shares and episodes, over the hours that both have completed."""
    import msgspec

    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.ops.namespace_comparison import compare_namespaces
    from brandpulse.ops.replay import connect_store, find_shadow
    from brandpulse.state.namespaces import live_namespace

    settings = load_settings(Settings)
    client = connect_store(settings)
    shadow = find_shadow(client, settings.namespace, name)
    live = live_namespace(client, settings.namespace)
    comparison = compare_namespaces(client, settings.namespace, live, name, shadow)
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(comparison)))
    else:
        _print_comparison(comparison)


@app.command()
def swap(
    name: Name,
    *,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait until NAME has caught up.")] = 0,
    yes: Annotated[
        bool, typer.Option("--yes", help="Swap also if posts older than the replay are then no longer shown.")
    ] = False,
) -> None:
    """Show NAME to all readers (page, alerter, stats) from now on. Swap back with the old namespace's name.

    The swap is refused until NAME has counted all that the live namespace has counted.
    """
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.ops.replay import connect_store, swap_readers

    settings = load_settings(Settings)
    client = connect_store(settings)
    previous = swap_readers(client, settings.namespace, name, wait_seconds=wait, accept_loss=yes)
    typer.echo(f"readers of {settings.namespace} now see {name}, no longer {previous}")
    typer.echo(f"{previous} keeps counting: swap back with `brandpulse replay swap {previous}`, or stop its workers")
    typer.echo(f"and run `brandpulse replay drop {previous}`")


@app.command()
def drop(name: Name) -> None:
    """Delete all that NAME counted. Refused while readers see it or a worker counts into it."""
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.ops.replay import connect_store, drop_namespace

    settings = load_settings(Settings)
    deleted = drop_namespace(connect_store(settings), settings.namespace, name)
    typer.echo(f"dropped {name}: {deleted} keys deleted")


def _print_comparison(comparison: "Comparison") -> None:
    from rich.table import Column, Table

    from brandpulse.runtime.clock import rfc3339
    from brandpulse.runtime.console import Console

    console = Console()
    console.print(
        f"{comparison.live} (live) and {comparison.shadow}, {rfc3339(comparison.since_ms)} to "
        f"{rfc3339(comparison.until_ms)}, whole hours"
    )
    headings = ("posts", "", "negative share", "", "net", "")
    table = Table("brand", *(Column(heading, justify="right") for heading in headings))
    for brand, (live, shadow) in comparison.brands.items():
        table.add_row(
            brand,
            f"{live.posts:,}",
            f"{shadow.posts - live.posts:+,}",
            f"{live.negative_share:.1%}",
            f"{shadow.negative_share - live.negative_share:+.1%}",
            f"{live.mean_score:+.2f}",
            f"{shadow.mean_score - live.mean_score:+.2f}",
        )
    console.print(table)
    for title, episodes in (
        ("only live", comparison.only_live),
        ("only shadow", comparison.only_shadow),
        ("both", comparison.both),
    ):
        console.print(f"episodes, {title}: {', '.join(episodes) if episodes else 'none'}")
    if comparison.behind:
        console.print(
            f"{comparison.shadow} is {comparison.behind:,} records behind: later hours are left out", style="yellow"
        )

"""The command line. It imports nothing of a service before that service's command runs: `--help` stays instant."""

import importlib
import json
from enum import StrEnum
from typing import Annotated

import typer

from brandpulse.cli.usage_errors import PlainErrorGroup

SERVICES = {
    "ingest": ("brandpulse.cli.ingest:app", "Bring posts from the outside world into Kafka."),
    "model": ("brandpulse.cli.model.model:app", "Train, evaluate and try the model."),
    "dashboards": ("brandpulse.cli.dashboards:app", "The live page; Grafana dashboards as code."),
    "outbox": ("brandpulse.cli.alerting.outbox:app", "Notifications that wait for, or were refused by, a receiver."),
    "rules": ("brandpulse.cli.alerting.rules:app", "What is watched for, who hears of it and when."),
    "silence": ("brandpulse.cli.alerting.silence:app", "Tell nobody for a while: silences and maintenance windows."),
    "episodes": ("brandpulse.cli.alerting.episodes:app", "What fires now; take it on."),
    "backtest": ("brandpulse.cli.alerting.backtest:app", "What the alerter would have told of recorded posts."),
    "bench": ("brandpulse.cli.bench:app", "Measure it here, against its peers."),
    "kafka": (
        "brandpulse.cli.operations.kafka:app",
        "Jars for `up --broker kafka`; topics and ACLs of your own cluster.",
    ),
    "replay": ("brandpulse.cli.operations.replay:app", "Count again beside what is counted: compare, swap, drop."),
    "erase": ("brandpulse.cli.operations.erasure:app", "Take a deleted post's text out of what is kept."),
    "dlq": ("brandpulse.cli.operations.dlq:app", "Look at dead letters; let a paused partition go on."),
}


class Broker(StrEnum):
    """What `up` starts as its broker."""

    EMBEDDED = "embedded"
    KAFKA = "kafka"


app = typer.Typer(
    cls=PlainErrorGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Watches what people post about your brands, counts it exactly, and pages you when the mood really turns.",
)


def _mount(name: str, place: str, summary: str) -> None:
    """A command that loads a service's own commands, by name, when it is called."""

    def run(context: typer.Context) -> None:
        module, attribute = place.split(":")
        mounted: typer.Typer = getattr(importlib.import_module(module), attribute)
        if mounted.registered_callback is None:
            # A callback keeps a group with one command a group: `ingest file`, not `ingest`.
            mounted.callback()(lambda: None)
        mounted.info.cls = PlainErrorGroup
        mounted(args=context.args or ["--help"], prog_name=f"brandpulse {name}")

    app.command(
        name,
        help=summary,
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(run)


for _name, (_place, _summary) in SERVICES.items():
    _mount(_name, _place, _summary)


@app.command()
def worker() -> None:
    """Run one worker in the foreground until SIGTERM."""
    raise typer.Exit(importlib.import_module("stream_workers.run").main())


@app.command()
def alerter() -> None:
    """Run one alerter in the foreground until SIGTERM. Several may run: one leads."""
    raise typer.Exit(importlib.import_module("alerting.run").main())


@app.command("mock-receiver")
def mock_receiver(
    port: Annotated[int, typer.Option(help="0 takes any free one.")] = 0,
    host: Annotated[str, typer.Option()] = "127.0.0.1",
) -> None:
    """A receiver that speaks PagerDuty Events v2, for trying and testing."""
    raise typer.Exit(importlib.import_module("brandpulse.devstack.mock_receiver").main(port=port, host=host))


@app.command()
def stats(as_json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False) -> None:
    """Count every post once: by brand and sentiment, over all hour panes kept."""
    from brandpulse.ops.stats import collect, render

    totals = collect()
    if as_json:
        typer.echo(json.dumps(totals))
    else:
        render(totals)


@app.command()
def doctor() -> None:
    """Check settings, broker, store, model and receivers; exit 0 only when posts can flow."""
    from brandpulse.ops.doctor.doctor import examine

    raise typer.Exit(examine())


@app.command()
def up(
    workers: Annotated[int, typer.Option(min=0, max=64, help="How many workers to start.")] = 1,
    page_port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes any free one.")] = 0,
    broker: Annotated[
        Broker | None,
        typer.Option(
            help="embedded: records in memory. kafka: Apache Kafka on disk; it needs Java 17 and `brandpulse kafka "
            "fetch`. Unset: as this data folder has it, embedded in a new one."
        ),
    ] = None,
    kafka_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Of Apache Kafka. 0: as last time if it is free, else any.")
    ] = 0,
) -> None:
    """Start the whole stack and keep it running: broker, store, workers, alerter, page."""
    from brandpulse.devstack.up import run_up

    raise typer.Exit(run_up(workers=workers, page_port=page_port, broker=broker, kafka_port=kafka_port or None))


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running afterwards, until Ctrl-C.")] = False,
) -> None:
    """Replay a shipped stream with one crisis in it, and show the incident that was paged."""
    from brandpulse.devstack.demo import run_demo

    raise typer.Exit(run_demo(keep=keep))

"""The command line. Command modules import services inside their commands, so that `--help` stays fast."""

import json
from enum import StrEnum
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from brandpulse.cli import bench, dashboards, ingest
from brandpulse.cli.alerting import backtest, episodes, outbox, rules, silence
from brandpulse.cli.model import model
from brandpulse.cli.operations import dlq, erasure, kafka, replay
from brandpulse.cli.usage_errors import PlainErrorGroup


class Broker(StrEnum):
    """Kafka brokers that `up` can start."""

    EMBEDDED = "embedded"
    KAFKA = "kafka"


class CommandGroup(TyperGroup):
    """A group that shows its help, with exit code 0, when it is called without arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ["--help"])


app = typer.Typer(
    cls=PlainErrorGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Watch what people post about your brands, count it exactly, and page you when negative sentiment really "
    "rises.",
)

for _name, _group, _summary in (
    ("ingest", ingest.app, "Send posts from files to Kafka."),
    ("model", model.app, "Train, evaluate, export and serve the sentiment model."),
    ("dashboards", dashboards.app, "Serve the live page; build and publish the Grafana dashboards."),
    ("outbox", outbox.app, "List notifications that wait or were refused, and retry them."),
    ("rules", rules.app, "Check a rules file: which rules apply to which brands and receivers."),
    ("silence", silence.app, "Mute notifications for a while: silences and maintenance windows."),
    ("episodes", episodes.app, "List firing episodes and acknowledge them."),
    ("backtest", backtest.app, "Run the alerter's rules over recorded posts or counts."),
    ("bench", bench.app, "Measure speed, memory and detection on this machine, against other implementations."),
    ("kafka", kafka.app, "Fetch Apache Kafka for `up`; create topics and access rules in your own cluster."),
    ("replay", replay.app, "Recount posts into a second namespace; compare it with the live one, swap or drop it."),
    ("erase", erasure.app, "Erase a deleted post, or a person, from what is stored."),
    ("dlq", dlq.app, "List dead letters and send them again; resume a paused partition."),
):
    app.add_typer(_group, name=_name, short_help=_summary, cls=CommandGroup)


@app.command()
def worker() -> None:
    """Run one worker in the foreground until SIGTERM."""
    from stream_workers.run import main

    raise typer.Exit(main())


@app.command()
def alerter() -> None:
    """Run one alerter in the foreground until SIGTERM. If several run, one leads and the others wait."""
    from alerting.run import main

    raise typer.Exit(main())


@app.command("mock-receiver")
def mock_receiver(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Run a receiver for trials and tests that speaks PagerDuty Events v2."""
    from brandpulse.devstack.mock_receiver import main

    raise typer.Exit(main(port=port, host=host))


@app.command()
def stats(as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False) -> None:
    """Show the counted posts by brand and sentiment, over all stored hours, and the posts that were not counted."""
    from brandpulse.ops.stats import collect, render

    totals = collect()
    if as_json:
        typer.echo(json.dumps(totals))
    else:
        render(totals)


@app.command()
def doctor() -> None:
    """Check settings, broker, store, model and receivers. Exit code 0 only if posts can flow."""
    from brandpulse.ops.doctor.doctor import examine

    raise typer.Exit(examine())


@app.command()
def live(
    brands: Annotated[list[str], typer.Argument(help='Names of brands, for example "Acme Air" Nordbank.')],
    feed: Annotated[
        list[str] | None,
        typer.Option("--feed", help="Address of a feed. Repeatable. Default: a news search for each brand."),
    ] = None,
    page_port: Annotated[int, typer.Option(min=0, max=65_535, help="Port of the page; 0: any free port.")] = 0,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
) -> None:
    """Show what is said about brands now: Bluesky, Hacker News and news, without an account. Ctrl-C stops."""
    from brandpulse.devstack.live import run_live

    raise typer.Exit(run_live(brands, feeds=feed or (), page_port=page_port, show=browser))


@app.command()
def up(
    workers: Annotated[int, typer.Option(min=0, max=64, help="Number of workers to start.")] = 1,
    page_port: Annotated[int, typer.Option(min=0, max=65_535, help="Port of the live page; 0 takes any free one.")] = 0,
    broker: Annotated[
        Broker | None,
        typer.Option(
            help="Broker to start. embedded keeps records in memory; kafka is Apache Kafka on disk and needs Java 17 "
            "and `brandpulse kafka fetch`. Default: the one that the data folder was used with, else embedded."
        ),
    ] = None,
    kafka_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port of Apache Kafka; 0 takes the last one if free, else any.")
    ] = 0,
) -> None:
    """Start the whole stack and keep it running: broker, store, workers, alerter, page."""
    from brandpulse.devstack.up import run_up

    raise typer.Exit(run_up(workers=workers, page_port=page_port, broker=broker, kafka_port=kafka_port or None))


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Keep the stack running afterwards, until Ctrl-C.")] = False,
) -> None:
    """Replay a shipped stream that contains one crisis, and show the incident that it pages."""
    from brandpulse.devstack.demo import run_demo

    raise typer.Exit(run_demo(keep=keep))

"""`brandpulse bench`: figures measured here, against peers, in one run."""

import importlib
from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

BrokerOption = Annotated[
    str,
    typer.Option(
        help="embedded, kafka (Java 17 and `brandpulse kafka fetch`), or the address of one that runs: HOST:PORT."
    ),
]


@app.command()
def model(
    data: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Labelled posts, JSON lines.")],
    posts: Annotated[int, typer.Option(min=32)] = 1_000,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
) -> None:
    """Posts per second of each engine and precision, against the Hugging Face pipeline."""
    importlib.import_module("brandpulse.bench.model.engines").run(data, posts=posts, rounds=rounds)


@app.command()
def pipeline(
    *,
    posts: Annotated[int, typer.Option(min=1_000, help="A real model gets 20,000 at most.")] = 100_000,
    engines: Annotated[
        str, typer.Option(help="Engines to put through it, with commas; auto:early for early tiers.")
    ] = "null,auto",
    broker: BrokerOption = "embedded",
    peers: Annotated[bool, typer.Option(help="Also run the peers: minutes.")] = True,
    rounds: Annotated[int, typer.Option(min=1, help="All take turns so often; the medians are told.")] = 1,
    json_out: Annotated[Path | None, typer.Option("--json", dir_okay=False, help="Write the figures here.")] = None,
) -> None:
    """Posts per second from topic to panes and the latency at 70 % load, against Faust, bytewax and a plain loop."""
    importlib.import_module("brandpulse.bench.pipeline").run(
        posts=posts, engines=engines.split(","), broker=broker, peers=peers, rounds=rounds, json_out=json_out
    )


@app.command()
def growth(
    *,
    out: Annotated[Path, typer.Option(help="Writes OUT.csv and OUT.png.")] = Path("growth"),
    only: Annotated[str, typer.Option(help="Of brands,memory,kept,partitions,workers,gpu; all if none.")] = "",
    posts: Annotated[int, typer.Option(min=10_000, help="Of each run without a model.")] = 150_000,
    broker: BrokerOption = "embedded",
) -> None:
    """How cost and speed grow with brands, partitions, workers and what is kept: a table and a picture."""
    importlib.import_module("brandpulse.bench.growth").run(
        out=out, only=[name for name in only.split(",") if name], posts=posts, broker=broker
    )


@app.command()
def soak(
    *,
    minutes: Annotated[float, typer.Option(min=0.5)] = 60.0,
    load: Annotated[float, typer.Option(min=0.05, max=0.95, help="Of what the worker was measured to do first.")] = 0.7,
    posts_per_second: Annotated[float | None, typer.Option(min=1, help="Instead of measuring first.")] = None,
    engine: Annotated[str, typer.Option()] = "auto",
    broker: Annotated[
        str, typer.Option(help="As of `bench pipeline`. The embedded one slows down with every record.")
    ] = "kafka",
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="Write every look as CSV.")] = None,
) -> None:
    """A steady load for an hour: fails when the worker's memory grows by more than 2 % or the lag leaves its bound."""
    importlib.import_module("brandpulse.bench.soak").run(
        minutes=minutes, load=load, engine=engine, posts_per_second=posts_per_second, broker=broker, out=out
    )


@app.command()
def serve(
    data: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Posts, JSON lines with a text.")],
    weights: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="The shipped ones if none.")
    ] = None,
    engine: Annotated[str, typer.Option()] = "auto",
    seconds: Annotated[float, typer.Option(min=0.5, help="Of each measurement.")] = 5.0,
) -> None:
    """Requests per second of `brandpulse model serve`, with and without dynamic batching."""
    importlib.import_module("brandpulse.bench.model.serving").run(data, weights=weights, engine=engine, seconds=seconds)


@app.command()
def urgency(
    *,
    weights: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="The shipped ones if none.")
    ] = None,
    engine: Annotated[str, typer.Option(help="auto, openvino or torch.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1)] = None,
    json_out: Annotated[Path | None, typer.Option("--json", dir_okay=False, help="Write the report here.")] = None,
    choose: Annotated[bool, typer.Option("--choose", help="Choose the rule's thresholds anew and print them.")] = False,
    mix: Annotated[str, typer.Option(help="Shares of low, medium and high in your stream.")] = "0.70,0.25,0.05",
) -> None:
    """The rule of urgency on judged posts and tickets: precision and recall of high, expected cost."""
    importlib.import_module("model.evaluation.urgency_evaluation").measure(
        weights, engine=engine, threads=threads, json_out=json_out, show_choice=choose, mix=mix
    )


@app.command()
def volume(
    series: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of CSV: timestamp,value.")],
    labels: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help='JSON: {"name.csv": [[first, last], ...]}.')
    ],
    leave_one_out: Annotated[
        bool,
        typer.Option("--leave-one-out", help="Judge each series by constants chosen without it, too: some minutes."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the surges planted in the series that choose.")] = 1,
) -> None:
    """Score the volume rule on labelled series: NAB, standard profile, at a threshold chosen with and without each."""
    importlib.import_module("brandpulse.bench.alerting.volume_nab").run(
        series, labels=labels, leave_one_out=leave_one_out, seed=seed
    )


@app.command("volume-rhythms")
def volume_rhythms(
    brands: Annotated[int, typer.Option(min=1, help="Simulated brands a cell.")] = 6,
    seed: Annotated[int, typer.Option(min=0, help="Of the first brand; below 1000 were used to make the rule.")] = 1000,
) -> None:
    """Count pages of the volume rule for brands with rhythms and around changes of the clock, and surges found."""
    importlib.import_module("brandpulse.bench.alerting.volume_rhythms").run(brands=brands, seed=seed)


@app.command()
def delay(
    brands: Annotated[int, typer.Option(min=1, help="Simulated brands a row.")] = 60,
    false_alarms: Annotated[float, typer.Option(min=0.001, help="Budget: pages a brand in four weeks.")] = 1.0,
    found: Annotated[float, typer.Option(min=0.01, max=1, help="Of negative posts, called so.")] = 1.0,
    mistaken: Annotated[float, typer.Option(min=0, max=0.99, help="Of other posts, called negative.")] = 0.0,
) -> None:
    """How long a step of the negative share goes untold, against the least that statistics allow."""
    importlib.import_module("brandpulse.bench.alerting.detection_delay").run(
        brands=brands, false_alarms=false_alarms, found=found, mistaken=mistaken
    )


@app.command()
def facets(
    brands: Annotated[int, typer.Option(min=1, help="Simulated brands a cell.")] = 20,
    false_alarms: Annotated[float, typer.Option(min=0.001, help="Budget: pages a brand in four weeks.")] = 1.0,
) -> None:
    """How often a steady facet pages for nothing, and how soon one that trebles is told."""
    importlib.import_module("brandpulse.bench.alerting.facet_rules").run(brands=brands, false_alarms=false_alarms)


@app.command()
def rhythm(
    brands: Annotated[int, typer.Option(min=1, help="Simulated brands a cell, on all cores.")] = 4,
    false_alarms: Annotated[float, typer.Option(min=0.001, help="Budget: pages a brand in four weeks.")] = 1.0,
    uneven: Annotated[float, typer.Option(min=0, max=0.2, help="How much hours differ from the rhythm: a rho.")] = 0.0,
) -> None:
    """Count false pages of brands with a day and a week, over changes of the clock, and rises found among them."""
    importlib.import_module("brandpulse.bench.alerting.rhythm").run(
        brands=brands, false_alarms=false_alarms, uneven=uneven
    )


@app.command()
def tick(  # noqa: PLR0917 - typer's options
    brands: Annotated[int, typer.Option(min=1)] = 1_000,
    partitions: Annotated[int, typer.Option(min=1)] = 4,
    posts_a_minute: Annotated[float, typer.Option(min=0.01, help="Of each brand.")] = 1.0,
    ticks: Annotated[int, typer.Option(min=1, help="Minutes of event time, one by one.")] = 15,
    facets: Annotated[int, typer.Option(min=0, max=20, help="Rules about facets, each of every brand.")] = 0,
    days: Annotated[int, typer.Option(min=1, max=90, help="Of history. 28 of 1,000 brands fill a gigabyte.")] = 3,
) -> None:
    """Seconds of one tick of the alerter over many brands."""
    importlib.import_module("brandpulse.bench.alerting.evaluation_time").run(
        brands=brands, partitions=partitions, posts_a_minute=posts_a_minute, ticks=ticks, days=days, facets=facets
    )


@app.command()
def notify(
    alerts: Annotated[int, typer.Option(min=1)] = 500,
    per_second: Annotated[float, typer.Option(min=0.01, help="On average, at random moments.")] = 10.0,
    fsync: Annotated[
        Literal["everysec", "always"], typer.Option(help="Of the store: an alert waits for it.")
    ] = "everysec",
) -> None:
    """Seconds from an alert's decision to its request, with nothing wrong."""
    importlib.import_module("brandpulse.bench.alerting.notification_latency").run(
        alerts=alerts, per_second=per_second, fsync=fsync
    )


@app.command()
def masking(
    data: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="Labelled texts: tests/data/masking.jsonl.")
    ],
    texts: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Posts to measure the cost on, JSON lines with a text."),
    ] = None,
) -> None:
    """Print recall and false masks of the masking, by kind and country, and its cost a post."""
    importlib.import_module("brandpulse.bench.masking").run(data, texts=texts)

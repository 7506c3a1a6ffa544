"""`brandpulse bench`: benchmarks, each against other implementations on this machine."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from model.spec.options import Engine

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Measure speed, memory and detection on this machine, against other implementations.",
)

BrokerOption = Annotated[
    str,
    typer.Option(
        help="Kafka broker: embedded, kafka (needs Java 17 and `brandpulse kafka fetch`), or a running one's HOST:PORT."
    ),
]
WeightsOption = Annotated[
    Path | None, typer.Option(exists=True, file_okay=False, help="Folder of model weights. Default: the shipped ones.")
]
EngineOption = Annotated[str, typer.Option(help="Scoring engine: auto, openvino or torch.")]
FalseAlarmsOption = Annotated[
    float, typer.Option(min=0.001, help="Budget of false alarms: pages per brand in four weeks.")
]
JsonOption = Annotated[
    Path | None, typer.Option("--json", dir_okay=False, help="File for the figures as JSON. Default: none.")
]


@app.command()
def model(
    data: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="File of labelled posts, JSON lines.")],
    posts: Annotated[int, typer.Option(min=32, help="Number of posts to score.")] = 1_000,
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds; the median counts.")] = 3,
) -> None:
    """Measure posts per second of each engine and precision, against the Hugging Face pipeline."""
    from brandpulse.bench.model.engines import run

    run(data, posts=posts, rounds=rounds)


@app.command()
def pipeline(
    *,
    posts: Annotated[
        int, typer.Option(min=1_000, help="Number of posts per run; with a real model at most 20,000.")
    ] = 100_000,
    engines: Annotated[
        str, typer.Option(help="Engines to measure, comma-separated; auto:early for early exit.")
    ] = "null,auto",
    broker: BrokerOption = "embedded",
    peers: Annotated[bool, typer.Option(help="Also measure the competitors; takes minutes.")] = True,
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds; the medians are shown.")] = 1,
    json_out: JsonOption = None,
) -> None:
    """Measure speed from topic to panes, and latency at 70 % load, against Faust, bytewax and a plain loop."""
    from brandpulse.bench.pipeline import run

    run(posts=posts, engines=engines.split(","), broker=broker, peers=peers, rounds=rounds, json_out=json_out)


@app.command()
def growth(
    *,
    out: Annotated[Path, typer.Option(help="Path of the results without suffix; writes OUT.csv and OUT.png.")] = Path(
        "growth"
    ),
    only: Annotated[
        str,
        typer.Option(
            help="Curves to measure, comma-separated: brands, memory, kept, partitions, workers, gpu. Default: all."
        ),
    ] = "",
    posts: Annotated[int, typer.Option(min=10_000, help="Number of posts of each run without a model.")] = 150_000,
    broker: BrokerOption = "embedded",
) -> None:
    """Measure how cost and speed grow with brands, partitions, workers and stored days; write a table and a chart."""
    from brandpulse.bench.growth import run

    run(out=out, only=[name for name in only.split(",") if name], posts=posts, broker=broker)


@app.command()
def soak(
    *,
    minutes: Annotated[float, typer.Option(min=0.5, help="Duration in minutes.")] = 60.0,
    load: Annotated[
        float, typer.Option(min=0.05, max=0.95, help="Share of the worker's maximum speed, which is measured first.")
    ] = 0.7,
    posts_per_second: Annotated[
        float | None, typer.Option(min=1, help="Posts per second to send, instead of --load. Default: by --load.")
    ] = None,
    engine: EngineOption = "auto",
    broker: Annotated[
        str,
        typer.Option(help="Kafka broker, as for `bench pipeline`. The embedded one slows down with every record."),
    ] = "kafka",
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="CSV file for all samples. Default: none.")] = None,
) -> None:
    """Run a worker under steady load; fail if its memory grows by more than 2 % or its lag exceeds 10 seconds."""
    from brandpulse.bench.soak import run

    run(minutes=minutes, load=load, engine=engine, posts_per_second=posts_per_second, broker=broker, out=out)


@app.command()
def serve(
    data: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="File of posts, JSON lines with a text.")],
    weights: WeightsOption = None,
    engine: Annotated[Engine, typer.Option(help="Scoring engine.")] = "auto",
    seconds: Annotated[float, typer.Option(min=0.5, help="Seconds per measurement.")] = 5.0,
) -> None:
    """Measure requests per second of `brandpulse model serve`, with and without dynamic batching."""
    from brandpulse.bench.model.serving import run

    run(data, weights=weights, engine=engine, seconds=seconds)


@app.command()
def urgency(
    *,
    weights: WeightsOption = None,
    engine: EngineOption = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Number of CPU threads. Default: all cores.")] = None,
    json_out: JsonOption = None,
    choose: Annotated[
        bool, typer.Option("--choose", help="Choose the rule's thresholds again and print them.")
    ] = False,
    mix: Annotated[str, typer.Option(help="Shares of low, medium and high urgency in your stream.")] = "0.70,0.25,0.05",
) -> None:
    """Measure the urgency rule on labelled posts and tickets: precision and recall of high urgency, expected cost."""
    from model.evaluation.urgency_evaluation import measure

    measure(weights, engine=engine, threads=threads, json_out=json_out, show_choice=choose, mix=mix)


@app.command()
def volume(
    series: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="Folder of CSV files with timestamp,value.")
    ],
    labels: Annotated[
        Path,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="JSON file of labels: for each file name, the first and last times of its anomalies.",
        ),
    ],
    leave_one_out: Annotated[
        bool,
        typer.Option(
            "--leave-one-out", help="Also score each series with constants chosen without it; takes some minutes."
        ),
    ] = False,
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed of the surges that are planted to choose the constants.")
    ] = 1,
) -> None:
    """Score the volume rule on labelled series (NAB, standard profile); thresholds chosen with and without each."""
    from brandpulse.bench.alerting.volume_nab import run

    run(series, labels=labels, leave_one_out=leave_one_out, seed=seed)


@app.command("volume-rhythms")
def volume_rhythms(
    brands: Annotated[int, typer.Option(min=1, help="Number of simulated brands per table cell.")] = 6,
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed of the first brand. Seeds below 1000 were used to design the rule.")
    ] = 1000,
) -> None:
    """Count pages and found surges of the volume rule, for brands with daily and weekly rhythms and clock changes."""
    from brandpulse.bench.alerting.volume_rhythms import run

    run(brands=brands, seed=seed)


@app.command()
def delay(
    brands: Annotated[int, typer.Option(min=1, help="Number of simulated brands per table row.")] = 60,
    false_alarms: FalseAlarmsOption = 1.0,
    found: Annotated[
        float, typer.Option(min=0.01, max=1, help="Share of negative posts that the model calls negative.")
    ] = 1.0,
    mistaken: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share of other posts that the model calls negative.")
    ] = 0.0,
) -> None:
    """Measure the detection delay after a step of the negative share, against the statistical minimum."""
    from brandpulse.bench.alerting.detection_delay import run

    run(brands=brands, false_alarms=false_alarms, found=found, mistaken=mistaken)


@app.command()
def facets(
    brands: Annotated[int, typer.Option(min=1, help="Number of simulated brands per table cell.")] = 20,
    false_alarms: FalseAlarmsOption = 1.0,
) -> None:
    """Measure false pages of a steady facet, and the detection delay of a facet that trebles."""
    from brandpulse.bench.alerting.facet_rules import run

    run(brands=brands, false_alarms=false_alarms)


@app.command()
def rhythm(
    brands: Annotated[int, typer.Option(min=1, help="Number of simulated brands per table cell, on all cores.")] = 4,
    false_alarms: FalseAlarmsOption = 1.0,
    uneven: Annotated[
        float,
        typer.Option(
            min=0, max=0.2, help="Variation of hourly shares around the rhythm, as overdispersion rho; 0: none."
        ),
    ] = 0.0,
) -> None:
    """Count false pages and found rises for brands with daily and weekly rhythms, across clock changes."""
    from brandpulse.bench.alerting.rhythm import run

    run(brands=brands, false_alarms=false_alarms, uneven=uneven)


@app.command()
def tick(  # noqa: PLR0917 - typer's options
    brands: Annotated[int, typer.Option(min=1, help="Number of brands.")] = 1_000,
    partitions: Annotated[int, typer.Option(min=1, help="Number of partitions.")] = 4,
    posts_a_minute: Annotated[float, typer.Option(min=0.01, help="Posts per minute of each brand.")] = 1.0,
    ticks: Annotated[int, typer.Option(min=1, help="Number of evaluations, one per minute of event time.")] = 15,
    facets: Annotated[
        int, typer.Option(min=0, max=20, help="Number of facet rules, each evaluated for every brand.")
    ] = 0,
    days: Annotated[
        int, typer.Option(min=1, max=90, help="Days of history. 28 days of 1,000 brands take a gigabyte.")
    ] = 3,
) -> None:
    """Measure the seconds that one evaluation by the alerter takes over many brands."""
    from brandpulse.bench.alerting.evaluation_time import run

    run(brands=brands, partitions=partitions, posts_a_minute=posts_a_minute, ticks=ticks, days=days, facets=facets)


@app.command()
def notify(
    alerts: Annotated[int, typer.Option(min=1, help="Number of alerts.")] = 500,
    per_second: Annotated[float, typer.Option(min=0.01, help="Average alerts per second, at random times.")] = 10.0,
    fsync: Annotated[
        Literal["everysec", "always"], typer.Option(help="Redis setting appendfsync; an alert waits for it.")
    ] = "everysec",
) -> None:
    """Measure the seconds from the decision to alert to the request to the receiver, without faults."""
    from brandpulse.bench.alerting.notification_latency import run

    run(alerts=alerts, per_second=per_second, fsync=fsync)


@app.command()
def masking(
    data: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="File of labelled texts: tests/data/masking.jsonl.")
    ],
    texts: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="File of posts to measure the time on, JSON lines with a text. Default: the labelled texts.",
        ),
    ] = None,
) -> None:
    """Measure the masking of personal data: recall and false masks by kind and country, and time per post."""
    from brandpulse.bench.masking import run

    run(data, texts=texts)


@app.command()
def copies() -> None:
    """Measure how copies of a text are found: recall at 90 % similar and false merges, on the shipped texts."""
    from brandpulse.bench.copies import run

    run()


@app.command()
def stages(
    *,
    posts: Annotated[
        int,
        typer.Option(min=100_000, help="Number of posts the worker reads; with fewer, the start is too large a part."),
    ] = 200_000,
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds; the medians are shown.")] = 3,
    broker: BrokerOption = "embedded",
    json_out: JsonOption = None,
) -> None:
    """Measure the CPU time a post of text form, matching, language and copies, against a worker without a model."""
    from brandpulse.bench.stages import run

    run(posts=posts, rounds=rounds, broker=broker, json_out=json_out)


@app.command()
def languages(
    data: Annotated[
        list[Path] | None,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="Files of posts, JSON lines with `text` and `lang`; a row without `lang` is English. Default: the "
            "shipped posts of 34 languages.",
        ),
    ] = None,
    supported: Annotated[
        str, typer.Option(help="Languages of the model, comma-separated; all others are `other`.")
    ] = "en,ar,de,es,fr,hi,it,pt",
    json_out: JsonOption = None,
) -> None:
    """Measure the language identification: accuracy by language and length of text, time and memory."""
    from brandpulse.bench.languages import GOLD_FILE, run

    run(data or [GOLD_FILE], languages=[code.strip() for code in supported.split(",")], json_out=json_out)


@app.command()
def webhook(
    seconds: Annotated[float, typer.Option(min=0.5, help="Seconds per measurement.")] = 5.0,
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds; the medians are shown.")] = 3,
) -> None:
    """Measure posts per second of the webhook receiver, against a bare aiohttp handler with a Kafka producer."""
    from brandpulse.bench.webhook import run

    run(seconds=seconds, rounds=rounds)

"""`brandpulse model preset …`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from brandpulse.errors import ConfigError
from model.spec.options import Engine, Precision
from model.spec.weights import WEIGHTS

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Whole tasks on data you have, each with its table of figures."
)

DataOption = Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder with the files `list` names.")]
JsonOption = Annotated[Path | None, typer.Option("--json", dir_okay=False, help="Write the figures here.")]
OutOption = Annotated[Path, typer.Option(help="Folder of the weights to write; what a killed run needs is in OUT.run.")]
WeightsOption = Annotated[
    Path, typer.Option(exists=True, file_okay=False, help="Weights; the shipped ones by default.")
]
EngineOption = Annotated[Engine, typer.Option(help="auto: torch where there is a CUDA device, else openvino.")]
PrecisionOption = Annotated[Precision, typer.Option(help="Of openvino.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="CPU cores to use; all by default.")]
RowsOption = Annotated[int | None, typer.Option(min=1, help="Train on only so many rows: a quick try.")]
TaggerOption = Annotated[Path, typer.Option(exists=True, file_okay=False, help="What `aspects --out` wrote.")]


def _check_torch() -> None:
    from model.loader import torch_is_installed

    if not torch_is_installed():
        raise ConfigError("This preset trains, and that needs torch and transformers: pip install 'brandpulse[train]'.")


@app.command("list")
def list_presets() -> None:
    """Name each preset's data, their files and terms."""
    from model.presets.preset import presets

    for one in presets():
        typer.echo(f"{one.name}: {one.title}" + ("" if one.recipe else " (nothing is trained)"))
        for data in one.data:
            typer.echo(f"  {data.name}: {', '.join(data.files) or 'nothing to give'}; {data.terms}")


@app.command()
def tweets(
    *,
    data: DataOption,
    json_out: JsonOption = None,
    weights: WeightsOption = WEIGHTS,
    engine: EngineOption = "auto",
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Judge the weights on tweets, three classes."""
    from model.presets import sentence_sentiment as sentences
    from model.presets.preset import preset
    from model.report.evaluation_run import EvaluatedModel

    subject = EvaluatedModel(weights=weights, engine=engine, precision=precision, threads=threads)
    sentences.tweets(preset("tweets"), data, subject, json_out=json_out)


@app.command()
def finance(
    *,
    data: DataOption,
    out: OutOption,
    json_out: JsonOption = None,
    weights: WeightsOption = WEIGHTS,
    rows: RowsOption = None,
) -> None:
    """Train on financial news and judge there, before and after."""
    from model.presets import sentence_sentiment as sentences
    from model.presets.preset import preset
    from model.report.evaluation_run import EvaluatedModel

    _check_torch()
    sentences.finance(preset("finance"), data, EvaluatedModel(weights=weights), out, json_out=json_out, rows=rows)


@app.command()
def reviews(
    *,
    data: DataOption,
    out: OutOption,
    imdb: Annotated[Path | None, typer.Option(exists=True, help="IMDB: the folder aclImdb, or a CSV file.")] = None,
    json_out: JsonOption = None,
    weights: WeightsOption = WEIGHTS,
    rows: RowsOption = None,
) -> None:
    """Train on 3,000 reviews, positive or negative, and judge on 300 and on all others."""
    from model.presets import sentence_sentiment as sentences
    from model.presets.preset import preset
    from model.report.evaluation_run import EvaluatedModel

    _check_torch()
    subject = EvaluatedModel(weights=weights)
    sentences.reviews(preset("reviews"), data, subject, out, imdb=imdb, json_out=json_out, rows=rows)


@app.command()
def tickets(
    *,
    data: DataOption,
    json_out: JsonOption = None,
    weights: WeightsOption = WEIGHTS,
    engine: EngineOption = "auto",
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Judge sentiment, emotion, complaint and urgency of what customers write."""
    from model.presets import support_tickets as station
    from model.presets.preset import preset
    from model.report.evaluation_run import EvaluatedModel

    subject = EvaluatedModel(weights=weights, engine=engine, precision=precision, threads=threads)
    station.run(preset("tickets"), data, subject, json_out=json_out)


@app.command()
def aspects(
    *,
    data: DataOption,
    out: OutOption,
    json_out: JsonOption = None,
    weights: WeightsOption = WEIGHTS,
    publishable: Annotated[
        bool, typer.Option("--publishable", help="Train the tagger only on sets whose terms let it be passed on.")
    ] = False,
    rows: RowsOption = None,
    engine: EngineOption = "auto",
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Train a tagger of aspect terms; judge what it finds and the sentiment towards each. Then see `summarise`."""
    from model.loader import load_scorer
    from model.presets.aspects import preset as station
    from model.presets.aspects.tagger import Tagger
    from model.presets.preset import preset

    _check_torch()
    chosen = preset("aspects")
    station.train_from_preset(chosen, data, out, base=weights, publishable=publishable, rows=rows)
    tagger, scorer = Tagger(out, threads=threads), load_scorer(engine, weights, threads, precision=precision)
    station.evaluate_tagger(chosen, data, tagger, scorer, json_out=json_out)


@app.command()
def summarise(
    texts: Annotated[list[str] | None, typer.Argument(help="Reviews; lines of standard input if none.")] = None,
    *,
    tagger: TaggerOption,
    categories: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="YAML with a map.")] = None,
    category_map: Annotated[
        str, typer.Option("--map", help="Its name; ours: restaurants, electronics.")
    ] = "restaurants",
    weights: WeightsOption = WEIGHTS,
    engine: EngineOption = "auto",
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Print each review as one line of JSON: its aspects, how each is spoken of, and the count by category."""
    from model.loader import load_scorer
    from model.presets.aspects.categories import MAPS, Categories, read_map
    from model.presets.aspects.review_summary import summaries
    from model.presets.aspects.tagger import Tagger

    found = Tagger(tagger, threads=threads)
    scorer = load_scorer(engine, weights, threads, precision=precision)
    sort = Categories(read_map(category_map, categories or MAPS), found.vector)
    for review in texts or (line.rstrip("\n") for line in sys.stdin):
        for summary in summaries([review], tagger=found, scorer=scorer, categories=sort):
            typer.echo(json.dumps(summary, ensure_ascii=False))

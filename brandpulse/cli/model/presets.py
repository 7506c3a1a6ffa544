"""`brandpulse model preset`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brandpulse.cli.model.options import (
    EngineOption,
    PrecisionOption,
    TextsArgument,
    ThreadsOption,
)
from model.spec.options import Engine, Precision
from model.spec.weights import WEIGHTS

if TYPE_CHECKING:
    from model.presets.preset import Preset
    from model.report.evaluation_run import EvaluatedModel

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Run a whole task on your data and print a table of results."
)

DataOption = Annotated[
    Path, typer.Option(exists=True, file_okay=False, help="Folder with the files that `preset list` names.")
]
WeightsOption = Annotated[
    Path, typer.Option(exists=True, file_okay=False, help="Weights folder.", show_default="the shipped weights")
]
JsonOption = Annotated[Path | None, typer.Option("--json", dir_okay=False, help="Write the results to this file.")]
OutOption = Annotated[
    Path, typer.Option(help="Weights folder to write. OUT.run keeps the state to resume a killed run.")
]
RowsOption = Annotated[int | None, typer.Option(min=1, help="Maximum number of training rows, for a quick test.")]
TaggerOption = Annotated[
    Path, typer.Option(exists=True, file_okay=False, help="Tagger folder that `preset aspects --out` wrote.")
]


@app.command("list")
def list_presets() -> None:
    """List the presets, their data files and the terms of each data set."""
    from model.presets.preset import presets

    for one in presets():
        typer.echo(f"{one.name}: {one.title}" + ("" if one.recipe else " (no training)"))
        for data in one.data:
            typer.echo(f"  {data.name}: {', '.join(data.files) or 'no files needed'}; {data.terms}")


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
    """Evaluate the weights on tweets with three classes."""
    from model.presets import sentence_sentiment

    model = _model(weights, engine, precision, threads)
    sentence_sentiment.tweets(_preset("tweets"), data, model, json_out=json_out)


@app.command()
def finance(
    *,
    data: DataOption,
    out: OutOption,
    json_out: JsonOption = None,
    weights: WeightsOption = WEIGHTS,
    rows: RowsOption = None,
) -> None:
    """Train on financial news and evaluate before and after."""
    from model.presets import sentence_sentiment

    chosen = _preset("finance", trains=True)
    sentence_sentiment.finance(chosen, data, _model(weights), out, json_out=json_out, rows=rows)


@app.command()
def reviews(
    *,
    data: DataOption,
    out: OutOption,
    imdb: Annotated[
        Path | None, typer.Option(exists=True, help="IMDB data: the folder aclImdb, or a CSV file. Default: SST-2.")
    ] = None,
    json_out: JsonOption = None,
    weights: WeightsOption = WEIGHTS,
    rows: RowsOption = None,
) -> None:
    """Train on 3,000 reviews with two classes and evaluate on 300 others and on all others."""
    from model.presets import sentence_sentiment

    chosen = _preset("reviews", trains=True)
    sentence_sentiment.reviews(chosen, data, _model(weights), out, imdb=imdb, json_out=json_out, rows=rows)


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
    """Evaluate sentiment, emotion, complaint and urgency on support tickets."""
    from model.presets import support_tickets

    support_tickets.run(_preset("tickets"), data, _model(weights, engine, precision, threads), json_out=json_out)


@app.command()
def aspects(
    *,
    data: DataOption,
    out: OutOption,
    json_out: JsonOption = None,
    weights: WeightsOption = WEIGHTS,
    publishable: Annotated[
        bool, typer.Option("--publishable", help="Train only on data sets whose terms allow redistribution.")
    ] = False,
    rows: RowsOption = None,
    engine: EngineOption = "auto",
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Train a tagger of aspect terms, and evaluate its terms and their sentiment. Next command: `summarise`."""
    from model.loader import load_scorer
    from model.presets.aspects.preset import evaluate_tagger, train_from_preset
    from model.presets.aspects.tagger import Tagger

    chosen = _preset("aspects", trains=True)
    train_from_preset(chosen, data, out, base=weights, publishable=publishable, rows=rows)
    tagger, scorer = Tagger(out, threads=threads), load_scorer(engine, weights, threads, precision=precision)
    evaluate_tagger(chosen, data, tagger, scorer, json_out=json_out)


@app.command()
def summarise(
    texts: TextsArgument = None,
    *,
    tagger: TaggerOption,
    categories: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="YAML file with category maps. Default: ours.")
    ] = None,
    category_map: Annotated[
        str, typer.Option("--map", help="Name of the category map; shipped: restaurants, electronics.")
    ] = "restaurants",
    weights: WeightsOption = WEIGHTS,
    engine: EngineOption = "auto",
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Print one JSON line per review: aspects, their sentiment, and counts by category."""
    from model.loader import load_scorer
    from model.presets.aspects.categories import MAPS, Categories, read_map
    from model.presets.aspects.review_summary import summaries
    from model.presets.aspects.tagger import Tagger

    loaded = Tagger(tagger, threads=threads)
    scorer = load_scorer(engine, weights, threads, precision=precision)
    category_of = Categories(read_map(category_map, categories or MAPS), loaded.vector)
    for review in texts or (line.rstrip("\n") for line in sys.stdin):
        for summary in summaries([review], tagger=loaded, scorer=scorer, categories=category_of):
            typer.echo(json.dumps(summary, ensure_ascii=False))


def _model(
    weights: Path, engine: Engine = "auto", precision: Precision = "auto", threads: int | None = None
) -> "EvaluatedModel":
    from model.report.evaluation_run import EvaluatedModel

    return EvaluatedModel(weights=weights, engine=engine, precision=precision, threads=threads)


def _preset(name: str, *, trains: bool = False) -> "Preset":
    """The preset *name*. Raises ConfigError if it *trains* and torch is not installed."""
    from brandpulse.errors import ConfigError
    from model.loader import torch_is_installed
    from model.presets.preset import preset

    if trains and not torch_is_installed():
        raise ConfigError("This preset trains a model, which needs torch: pip install 'brandpulse[train]'.")
    return preset(name)

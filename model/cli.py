"""`brandpulse model …`: train, evaluate and try the classifier."""

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from model.choices import Engine, Precision
from model.load import WEIGHTS

app = typer.Typer(add_completion=False, help="Train, evaluate and try the sentiment model.", no_args_is_help=True)

WeightsOption = Annotated[Path, typer.Option(help="Weights folder; the shipped one by default.")]
EngineOption = Annotated[Engine, typer.Option(help="auto: torch where there is a CUDA device, else openvino.")]
PrecisionOption = Annotated[
    Precision, typer.Option(help="Of openvino; auto: int8 where the processor has it, else fp32.")
]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="CPU cores to use; all by default.")]

_CHUNK = 512


@app.command()
def score(
    texts: Annotated[list[str] | None, typer.Argument(help="Posts; lines of standard input if none.")] = None,
    *,
    engine: EngineOption = "auto",
    weights: WeightsOption = WEIGHTS,
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per post.")] = False,
) -> None:
    """Print the label and the probabilities of each post."""
    from model.engine import LABELS
    from model.load import load_classifier

    classifier = load_classifier(engine, weights, threads, precision=precision)
    for chunk in _chunks(texts if texts else (line.rstrip("\n") for line in sys.stdin)):
        for text, row in zip(chunk, classifier.probabilities(chunk).tolist(), strict=True):
            label = LABELS[row.index(max(row))]
            shares = {name: round(share, 4) for name, share in zip(LABELS, row, strict=True)}
            if as_json:
                typer.echo(json.dumps({"label": label, "probabilities": shares, "text": text}))
            else:
                typer.echo("  ".join([f"{label:<8}", *(f"{name} {share:.2f}" for name, share in shares.items()), text]))


@app.command()
def evaluate(
    *,
    data: Annotated[Path, typer.Option(exists=True, dir_okay=False, help=".jsonl[.gz] with text and sentiment.")],
    json_out: Annotated[Path | None, typer.Option("--json", help="Write the whole report here.")] = None,
    task: Annotated[str, typer.Option(help="Only sentiment so far.")] = "sentiment",
    engine: EngineOption = "auto",
    weights: WeightsOption = WEIGHTS,
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Measure the classifier on posts with a gold label."""
    if task != "sentiment":
        raise typer.BadParameter(f"no task {task!r}: only sentiment", param_hint="--task")
    from model.checkpoint import read_manifest
    from model.evaluate import evaluate as report_on
    from model.evaluate import write_report
    from model.labelled import read_labelled
    from model.load import load_classifier

    classifier = load_classifier(engine, weights, threads, precision=precision)
    temperature = None if engine in ("keyword", "null") else read_manifest(weights).temperature
    report = {"task": task, "data": data.name} | report_on(classifier, read_labelled(data), temperature=temperature)
    if json_out is not None:
        write_report(report, json_out)
    low, high = report["ci"]["macro_recall"]
    typer.echo(
        f"{report['n']} posts: accuracy {report['accuracy']:.3f}, macro recall {report['macro_recall']:.3f} "
        f"[{low:.3f}, {high:.3f}], macro F1 {report['macro_f1']:.3f}, ECE {report['ece']:.3f}"
    )


@app.command()
def train(
    *,
    data: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder with the files the recipe names.")],
    out: Annotated[Path, typer.Option(help="Weights folder to write.")],
    recipe: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="YAML; ours if none.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Use only so many training posts: a quick try.")] = None,
    base: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="Encoder; MiniLM-L6 if none.")] = None,
) -> None:
    """Fine-tune the encoder (about 25 minutes on two quiet cores) and write a weights folder."""
    from dataclasses import replace

    from model.train import RECIPES, default_base, read_recipe
    from model.train import train as fit

    chosen = read_recipe(recipe or RECIPES / "sentiment.yaml")
    if epochs is not None:
        chosen = replace(chosen, epochs=epochs)
    manifest = fit(data, out, recipe=chosen, base=base or default_base(), rows=rows)
    typer.echo(f"wrote {out}, version {manifest.version}; next: brandpulse model evaluate --weights {out} --data FILE")


@app.command()
def finish(
    *,
    run: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of a run: snap/ and tokenizer.json.")],
    data: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder with the files the recipe names.")],
    out: Annotated[Path, typer.Option(help="Weights folder to write.")],
    recipe: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="YAML; ours if none.")] = None,
    base: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="Encoder; MiniLM-L6 if none.")] = None,
) -> None:
    """Choose, calibrate and pack weights from the snapshots of a training run, also of one that still runs."""
    from model.finish import finish as pack
    from model.train import RECIPES, default_base
    from model.trainer import read_recipe

    manifest = pack(run, data, out, recipe=read_recipe(recipe or RECIPES / "brand.yaml"), base=base or default_base())
    typer.echo(f"wrote {out}, version {manifest.version}; figures in {out / 'training.json'}")


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    """*texts* in lists, so that a pipe of any length is scored in the same memory."""
    remaining = iter(texts)
    while chunk := list(islice(remaining, _CHUNK)):
        yield chunk

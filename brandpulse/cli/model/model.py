"""`brandpulse model`: train, evaluate, export and serve the model."""

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from brandpulse.cli.model import presets, validation
from brandpulse.cli.model.export import export
from brandpulse.cli.model.options import (
    EngineOption,
    PrecisionOption,
    TextsArgument,
    ThreadsOption,
    TiersOption,
    WeightsOption,
)
from brandpulse.cli.model.training import register
from model.spec.options import TargetWords, Task
from model.spec.weights import WEIGHTS

app = typer.Typer(add_completion=False, help="Train, evaluate, export and serve the model.", no_args_is_help=True)

register(app)
validation.register(app)
app.command()(export)
app.add_typer(presets.app, name="preset")

_CHUNK = 512


@app.command()
def score(
    texts: TextsArgument = None,
    *,
    target: Annotated[
        list[str] | None, typer.Option(help="Brand to score each text towards. Repeat it for several brands.")
    ] = None,
    engine: EngineOption = "auto",
    weights: WeightsOption = WEIGHTS,
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per text, with all heads.")] = False,
) -> None:
    """Print the sentiment of each text, and towards each brand."""
    from model.language_weights import load_language_model
    from model.text_scoring import TextRequest, batch_scoring, score_json

    model = load_language_model(engine, weights, threads, precision=precision)
    score_batch = batch_scoring(model.scorer, model.identifier)
    for chunk in _chunks(texts if texts else (line.rstrip("\n") for line in sys.stdin)):
        requests = [TextRequest(text, tuple(target or ())) for text in chunk]
        for request, scores in zip(requests, score_batch(requests), strict=True):
            facts = model.facts_of(scores.language)
            result = score_json(request, scores, facts.thresholds, weights=facts.name if model.routed else "")
            if as_json:
                typer.echo(json.dumps(result["sentiment"] | {"text": request.text} | result))
                continue
            probabilities = (f"{name} {value:.2f}" for name, value in result["sentiment"]["probabilities"].items())
            targets = (f"{found['target']}: {found['label']}" for found in result["targets"])
            typer.echo("  ".join([f"{result['sentiment']['label']:<8}", *probabilities, *targets, request.text]))


@app.command()
def evaluate(
    *,
    data: Annotated[
        Path,
        typer.Option(
            exists=True, dir_okay=False, help="Labelled rows: .jsonl or .jsonl.gz with `text` and gold labels."
        ),
    ],
    task: Annotated[Task, typer.Option(help="Task of the gold labels.")] = "sentiment",
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Write the report to this file, predictions and charts beside it.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Labels to evaluate, as a,b,c. Default: all labels in the file.")
    ] = None,
    by: Annotated[
        str, typer.Option(help="Field of the rows, such as `kind`: print a table with a row per value. Default: none.")
    ] = "",
    against: Annotated[
        Path | None,
        typer.Option(exists=True, help="Model to compare with: its report on the same rows, or its weights."),
    ] = None,
    target_words: Annotated[
        TargetWords, typer.Option(help="Keep the words of a target (aspects) or replace them by a marker (brands).")
    ] = "auto",
    no_texts: Annotated[bool, typer.Option("--no-texts", help="Leave the texts of posts out of the page.")] = False,
    engine: EngineOption = "auto",
    weights: WeightsOption = WEIGHTS,
    precision: PrecisionOption = "auto",
    tiers: TiersOption = "full",
    threads: ThreadsOption = None,
) -> None:
    """Measure the model on rows with gold labels. The exit code is 0 for any result."""
    from model.report.evaluation_run import EvaluatedModel, evaluate_file, summary, write_files

    if json_out is not None and (not json_out.parent.is_dir() or json_out.suffix == ".html"):
        raise typer.BadParameter(f"expected a .json file in an existing folder, got {json_out}", param_hint="--json")
    model = EvaluatedModel(weights=weights, engine=engine, precision=precision, exit_policy=tiers, threads=threads)
    chosen = None if labels is None else [label.strip() for label in labels.split(",")]
    evaluation, answers = evaluate_file(
        model, data, task=task, labels=chosen, target_words=target_words, by=by, against=against
    )
    if json_out is not None and write_files(evaluation, answers, json_out, texts=not no_texts) is None:
        typer.echo("The page with charts was not written. To write it: pip install 'brandpulse[evaluate]'.", err=True)
    typer.echo(summary(evaluation.report))
    if by:
        from brandpulse.runtime.console import Console
        from model.evaluation.subset_metrics import subset_table

        Console().print(subset_table(evaluation.report["by"], evaluation.report.get("against", {}).get("by")))


@app.command()
def agreement(
    first: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="Rows of one person, with `id`, `text` and the label.")
    ],
    second: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="The same rows, labelled by another person.")
    ],
    *,
    field: Annotated[str, typer.Option(help="Field of the label.")] = "target_sentiment",
    second_field: Annotated[
        str | None, typer.Option(help="Field of the label in the second file. Default: that of --field.")
    ] = None,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Write the report and the differing rows to this file. Default: none.")
    ] = None,
) -> None:
    """Measure how far two people agree on the labels of a file: share of equal labels and Cohen's kappa, by kind."""
    from brandpulse.runtime.console import Console
    from model.evaluation.evaluator import write_report
    from model.evaluation.label_agreement import agreement_report, agreement_table, read_label_pairs

    if json_out is not None and not json_out.parent.is_dir():
        raise typer.BadParameter(f"expected a file in an existing folder, got {json_out}", param_hint="--json")
    report = agreement_report(read_label_pairs(first, second, field, second_field))
    if json_out is not None:
        write_report(report, json_out)
    Console().print(agreement_table(report))


@app.command()
def bias(
    *, engine: EngineOption = "auto", weights: WeightsOption = WEIGHTS, precision: PrecisionOption = "auto"
) -> None:
    """Print how the sentiment changes when a sentence names another group of people."""
    from model.evaluation.bias_probe import group_shifts
    from model.loader import load_scorer

    for shift in group_shifts(load_scorer(engine, weights, precision=precision)):
        typer.echo(f"{shift.kind:12} {shift.group:18} shift {shift.shift:+.3f}  other label {shift.flips:.0%}")


@app.command()
def serve(
    *,
    engine: EngineOption = "auto",
    weights: WeightsOption = WEIGHTS,
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: BRANDPULSE_SERVE_HOST.")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0: any free port. Default: BRANDPULSE_SERVE_PORT.")
    ] = None,
) -> None:
    """Serve the model over HTTP until SIGTERM, with a page to try it. Settings: BRANDPULSE_SERVE_*."""
    import os

    # Options become environment variables, so that one place checks both and its errors name the variable.
    given = {"BRANDPULSE_SERVE_HOST": host, "BRANDPULSE_SERVE_PORT": port}
    os.environ.update({name: str(value) for name, value in given.items() if value is not None})
    try:
        from model.serve.run import main
    except ModuleNotFoundError as error:
        from brandpulse.errors import ConfigError

        raise ConfigError(f"`model serve` needs {error.name}: pip install 'brandpulse[serve]'.") from error
    raise typer.Exit(main(engine=engine, weights=weights, threads=threads, precision=precision))


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    """*texts* in lists of bounded size: input of any length needs the same memory."""
    remaining = iter(texts)
    while chunk := list(islice(remaining, _CHUNK)):
        yield chunk

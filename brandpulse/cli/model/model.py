"""`brandpulse model …`: train, evaluate and try the classifier."""

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from brandpulse.cli.model.export import export
from brandpulse.cli.model.presets import app as presets
from brandpulse.cli.model.training import register
from model.spec.options import Engine, ExitPolicy, Precision, TargetWords, Task
from model.spec.weights import WEIGHTS

app = typer.Typer(add_completion=False, help="Train, evaluate and try the sentiment model.", no_args_is_help=True)

WeightsOption = Annotated[Path, typer.Option(help="Weights folder; the shipped one by default.")]
EngineOption = Annotated[Engine, typer.Option(help="auto: torch where there is a CUDA device, else openvino.")]
PrecisionOption = Annotated[Precision, typer.Option(help="Of openvino; auto: what this machine is fastest at.")]
TiersOption = Annotated[
    ExitPolicy, typer.Option(help="early: half the layers settle the posts of which they are sure. Of openvino.")
]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="CPU cores to use; all by default.")]

register(app)
app.command()(export)
app.add_typer(presets, name="preset")

_CHUNK = 512


@app.command()
def score(
    texts: Annotated[list[str] | None, typer.Argument(help="Posts; lines of standard input if none.")] = None,
    *,
    target: Annotated[
        list[str] | None, typer.Option(help="A brand to judge each post towards; may be given several times.")
    ] = None,
    engine: EngineOption = "auto",
    weights: WeightsOption = WEIGHTS,
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per post, with all heads.")] = False,
) -> None:
    """Print what the model says of each post, and of each brand in it."""
    from model.loader import label_thresholds, load_scorer
    from model.text_scoring import TextRequest, batch_scoring, score_json

    work = batch_scoring(load_scorer(engine, weights, threads, precision=precision))
    thresholds = label_thresholds(engine, weights)
    for chunk in _chunks(texts if texts else (line.rstrip("\n") for line in sys.stdin)):
        asked = [TextRequest(text, tuple(target or ())) for text in chunk]
        for one, judged in zip(asked, work(asked), strict=True):
            found = score_json(one, judged, thresholds)
            if as_json:
                typer.echo(json.dumps(found["sentiment"] | {"text": one.text} | found))
                continue
            shares = (f"{name} {share:.2f}" for name, share in found["sentiment"]["probabilities"].items())
            towards = (f"{verdict['target']}: {verdict['label']}" for verdict in found["targets"])
            typer.echo("  ".join([f"{found['sentiment']['label']:<8}", *shares, *towards, one.text]))


@app.command()
def evaluate(
    *,
    data: Annotated[Path, typer.Option(exists=True, dir_okay=False, help=".jsonl[.gz] with text and gold labels.")],
    task: Annotated[Task, typer.Option(help="What the rows' labels are about.")] = "sentiment",
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Write the report here, the answers and a page of charts beside it.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Judge only these, as a,b,c; by default all that occur in the file.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(exists=True, help="Another model: its report on the same rows, or its weights.")
    ] = None,
    target_words: Annotated[
        TargetWords, typer.Option(help="Keep a target's words behind its marker (aspects) or not (brands).")
    ] = "auto",
    no_texts: Annotated[bool, typer.Option("--no-texts", help="No post stands in the page.")] = False,
    engine: EngineOption = "auto",
    weights: WeightsOption = WEIGHTS,
    precision: PrecisionOption = "auto",
    tiers: TiersOption = "full",
    threads: ThreadsOption = None,
) -> None:
    """Measure the model on rows with gold labels. Exits with 0 whatever the figures."""
    from model.report.evaluation_run import EvaluatedModel, evaluate_file, summary, write_files

    if json_out is not None and (not json_out.parent.is_dir() or json_out.suffix == ".html"):
        raise typer.BadParameter(f"expected a .json file in an existing folder, got {json_out}", param_hint="--json")
    subject = EvaluatedModel(weights=weights, engine=engine, precision=precision, exit_policy=tiers, threads=threads)
    wanted = None if labels is None else [label.strip() for label in labels.split(",")]
    evaluation, answers = evaluate_file(
        subject, data, task=task, labels=wanted, target_words=target_words, against=against
    )
    if json_out is not None and write_files(evaluation, answers, json_out, texts=not no_texts) is None:
        typer.echo("No page beside the report: pip install 'brandpulse[evaluate]' for its charts.", err=True)
    typer.echo(summary(evaluation.report))


@app.command()
def bias(
    *, engine: EngineOption = "auto", weights: WeightsOption = WEIGHTS, precision: PrecisionOption = "auto"
) -> None:
    """Print how far the verdict moves when a sentence names another group of people."""
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
    host: Annotated[str | None, typer.Option(help="Instead of BRANDPULSE_SERVE_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Instead of BRANDPULSE_SERVE_PORT; 0 takes any free one.")] = None,
) -> None:
    """Serve the model over HTTP until SIGTERM, with a page to try it. Settings: BRANDPULSE_SERVE_*."""
    import os

    # An option is its variable, given here: one place checks both, and its errors name the variable.
    given = {"BRANDPULSE_SERVE_HOST": host, "BRANDPULSE_SERVE_PORT": port}
    os.environ.update({name: str(value) for name, value in given.items() if value is not None})
    try:
        from model.serve.run import main
    except ModuleNotFoundError as error:
        from brandpulse.errors import ConfigError

        raise ConfigError(f"The service needs {error.name}: pip install 'brandpulse[serve]'.") from error
    raise typer.Exit(main(engine=engine, weights=weights, threads=threads, precision=precision))


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    """*texts* in lists, so that a pipe of any length is scored in the same memory."""
    remaining = iter(texts)
    while chunk := list(islice(remaining, _CHUNK)):
        yield chunk

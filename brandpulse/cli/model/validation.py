"""Commands of `brandpulse model` that make validation parts and measure on them."""

from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from brandpulse.cli.model.options import (
    EngineOption,
    PrecisionOption,
    ThreadsOption,
    TiersOption,
    WeightsOption,
    existing_folder,
)
from brandpulse.cli.model.training import BaseOption, RecipeOption
from model.spec.options import Precision
from model.spec.weights import WEIGHTS

FolderOption = Annotated[Path, existing_folder("Folder with the data sets.")]


def split(
    *,
    data: FolderOption,
    out: Annotated[Path, typer.Option(help="Folder to write: empty, or the result of an earlier split.")],
    rule: Annotated[str, typer.Option(help="Name of a shipped rule, or a YAML file.")] = "semeval",
    seed: Annotated[str | None, typer.Option(help="Draw other topics and posts. Default: the rule's seed.")] = None,
) -> None:
    """Make validation parts by topic, time or column, that no training file keeps."""
    from model.training.fit.recipe import read_recipe
    from model.training.parts.folder import split_folder
    from model.training.parts.rule import SplitRule, find_rule

    chosen = read_recipe(find_rule(rule), SplitRule)
    if seed is not None:
        chosen = SplitRule.model_validate(chosen.model_dump() | {"seed": seed})
    manifest = split_folder(data, out, chosen)
    for name, part in manifest.parts.items():
        topics = "" if part.topics is None else f", {part.topics:,} topics"
        period = "" if part.first is None or part.last is None else f", {part.first[:10]} to {part.last[:10]}"
        typer.echo(f"{name:24} {part.rows:>7,} rows of {part.of}{topics}{period}")
    for name, facts in manifest.sets.items():
        typer.echo(f"{name:24} {facts.kept:>7,} of {facts.read:,} rows remain for the training")
    lost = {name: count for name, count in manifest.copied_texts.items() if count}
    verb = "have the text of a part" if manifest.copies == "kept" else "had the text of a part and were removed"
    for name, count in lost.items():
        typer.echo(f"{name:24} {count:>7,} training rows {verb}")
    typer.echo(f"wrote {out / 'parts.json'}; next: name the parts in `held_out` of a recipe")


def gap(
    *,
    data: Annotated[Path, existing_folder("Folder that `model split` wrote.")],
    weights: Annotated[
        list[Path] | None,
        existing_folder(
            "Weights folder. Repeat it for several seeds: the mean and the spread are reported. "
            "Default: the shipped weights."
        ),
    ] = None,
    against: Annotated[
        list[Path] | None, existing_folder("Weights to compare with (paired). Repeat it for its seeds. Default: none.")
    ] = None,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Write the report to this file. Default: none.")
    ] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Maximum number of posts of each part. Default: all.")] = None,
    engine: EngineOption = "auto",
    precision: PrecisionOption = "auto",
    tiers: TiersOption = "full",
    threads: ThreadsOption = None,
) -> None:
    """Measure both sentiment heads on validation parts, and what new topics, months and sources cost."""
    from model.evaluation.evaluator import write_report
    from model.report.evaluation_run import EvaluatedModel
    from model.report.gap_table import tables
    from model.report.generalisation import measure_gap

    if json_out is not None and not json_out.parent.is_dir():
        raise typer.BadParameter(f"expected a file in an existing folder, got {json_out}", param_hint="--json")
    models, others = (
        [
            EvaluatedModel(weights=folder, engine=engine, precision=precision, exit_policy=tiers, threads=threads)
            for folder in folders
        ]
        for folders in (weights or [WEIGHTS], against or [])
    )
    report = measure_gap(data, models, against=others, limit=rows)
    if json_out is not None:
        write_report(report, json_out)
    typer.echo(tables(report))


def figures(
    *,
    data: Annotated[Path, existing_folder("Folder with NAME.val.jsonl.gz of the known sets.")],
    weights: WeightsOption = WEIGHTS,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Write the report to this file. Default: none.")
    ] = None,
    against: Annotated[Path | None, existing_folder("Weights to compare with on the same rows. Default: none.")] = None,
    precision: Annotated[
        # typer refuses a list of literals.
        list[str] | None,
        typer.Option(
            metavar=f"[{'|'.join(get_args(Precision))}]",
            help="Precision to measure. Repeatable. Default: int8 and fp32.",
        ),
    ] = None,
    engine: EngineOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Measure weights on all known sets and our own gold sets: report.json, and the table of the model card."""
    from model.evaluation.evaluator import write_report
    from model.report.evaluation_run import EvaluatedModel
    from model.report.weights_figures import figures_table, weights_figures

    if json_out is not None and not json_out.parent.is_dir():
        raise typer.BadParameter(f"expected a file in an existing folder, got {json_out}", param_hint="--json")
    if unknown := [one for one in precision or () if one not in get_args(Precision)]:
        raise typer.BadParameter(
            f"expected {', '.join(get_args(Precision))}, got {unknown[0]}", param_hint="--precision"
        )
    model = EvaluatedModel(weights=weights, engine=engine, threads=threads)
    precisions = cast("list[Precision]", precision or ["int8", "fp32"])
    report = weights_figures(data, model, precisions=precisions, against=against)
    if json_out is not None:
        write_report(report, json_out)
    typer.echo(figures_table(report))
    if missing := report.get("missing"):
        typer.echo(f"sets without a file in {data}: {', '.join(missing)}", err=True)


def leave_out(
    *,
    data: FolderOption,
    out: Annotated[Path, typer.Option(help="Folder for the runs and the report. Called again, it continues.")],
    recipe: RecipeOption = "short",
    source: Annotated[
        list[str] | None,
        typer.Option(help="Set to leave out. Repeatable. Default: each set of the recipe with targets."),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Maximum number of training posts of each run.")] = 12_000,
    base: BaseOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Train a short run without each source, and measure it on that source's posts."""
    from model.training.fit.initial_weights import default_base
    from model.training.fit.recipe import HeadsRecipe, find_recipe, read_recipe
    from model.training.leave_one_out import leave_one_out, table

    chosen = read_recipe(find_recipe(recipe), HeadsRecipe)
    report = leave_one_out(
        data, out, recipe=chosen, base=base or default_base(), sources=source or (), rows=rows, threads=threads
    )
    typer.echo(table(report))
    typer.echo(f"wrote {out / 'leave_out.json'}")


def register(app: typer.Typer) -> None:
    """Adds the commands to *app*."""
    for command in (split, gap, figures, leave_out):
        app.command()(command)

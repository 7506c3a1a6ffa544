"""Commands of `brandpulse model` that make validation parts and measure on them."""

from pathlib import Path
from typing import Annotated

import typer

FolderOption = Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder with the data sets.")]


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


def register(app: typer.Typer) -> None:
    """Adds the commands to *app*."""
    for command in (split,):
        app.command()(command)

"""The commands of `brandpulse model` that train."""

from pathlib import Path
from typing import Annotated

import typer

DataOption = Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder with the files the recipe names.")]
OutOption = Annotated[Path, typer.Option(help="Weights folder to write; what a killed run needs lies in OUT.run.")]
BaseOption = Annotated[
    Path | None, typer.Option(exists=True, file_okay=False, help="Encoder or weights to start from; MiniLM-L6 if none.")
]
EpochsOption = Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")]
RowsOption = Annotated[int | None, typer.Option(min=1, help="Use only so many training posts: a quick try.")]
TestOption = Annotated[
    list[Path] | None, typer.Option("--test", exists=True, dir_okay=False, help="Posts that must be seen nowhere.")
]


def train(
    *,
    data: DataOption,
    out: OutOption,
    recipe: Annotated[str, typer.Option(help="One of ours by name, or a YAML file.")] = "brand",
    base: BaseOption = None,
    teacher: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="Weights to learn from.")] = None,
    test: TestOption = None,
    epochs: EpochsOption = None,
    rows: RowsOption = None,
) -> None:
    """Train an encoder's heads and write a weights folder; called again, a killed run goes on."""
    from model.train import train as run
    from model.training.recipe import HeadsRecipe, find_recipe, read_recipe
    from model.training.start import default_base

    chosen = read_recipe(find_recipe(recipe), HeadsRecipe)
    if epochs is not None:
        chosen = chosen.model_copy(update={"epochs": epochs})
    version = run(data, out, recipe=chosen, base=base or default_base(), teacher=teacher, tests=test or (), rows=rows)
    if version:
        typer.echo(f"wrote {out}, version {version}; next: brandpulse model evaluate --weights {out} --data FILE")


def finish(
    *,
    run: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of a run: snap/ and tokenizer.json.")],
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Weights folder to write.")],
    recipe: Annotated[str, typer.Option(help="One of ours by name, or a YAML file.")] = "brand",
    base: BaseOption = None,
) -> None:
    """Choose, calibrate and pack weights from the snapshots of a training run, also of one that still runs."""
    from model.train import finish_run
    from model.training.corpus import check, read_parts
    from model.training.recipe import HeadsRecipe, find_recipe, read_recipe
    from model.training.start import default_base

    chosen = read_recipe(find_recipe(recipe), HeadsRecipe)
    texts = check(read_parts(data, chosen))
    version = finish_run(run, out, texts, recipe=chosen, base=base or default_base())
    typer.echo(f"wrote {out}, version {version}; figures in {out / 'training.json'}")


def register(app: typer.Typer) -> None:
    """Adds the commands to *app*."""
    for command in (train, finish):
        app.command()(command)

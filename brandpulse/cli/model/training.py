"""The commands of `brandpulse model` that train."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

DataOption = Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder with the files the recipe names.")]
OutOption = Annotated[Path, typer.Option(help="Folder to write; what a killed run needs to go on lies in OUT.run.")]
RecipeOption = Annotated[str, typer.Option(help="One of ours by name, or a YAML file.")]
BaseOption = Annotated[
    Path | None, typer.Option(exists=True, file_okay=False, help="Encoder or weights to start from; MiniLM-L6 if none.")
]
WeightsFolder = Annotated[Path, typer.Option(exists=True, file_okay=False, help="Weights to learn from.")]
EpochsOption = Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")]
RowsOption = Annotated[int | None, typer.Option(min=1, help="Use only so many training posts: a quick try.")]
TestOption = Annotated[
    list[Path] | None, typer.Option("--test", exists=True, dir_okay=False, help="Posts that must be seen nowhere.")
]
MlflowOption = Annotated[
    str | None, typer.Option(help="Log to MLflow: `local` (the SQLite file mlflow.db beside OUT) or a tracking URI.")
]
TextOption = Annotated[str, typer.Option(help="Column of the post.")]
LabelOption = Annotated[str, typer.Option(help="Column of the label.")]


def train(
    *,
    data: DataOption,
    out: OutOption,
    recipe: RecipeOption = "brand",
    base: BaseOption = None,
    teacher: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="Weights to learn from.")] = None,
    test: TestOption = None,
    epochs: EpochsOption = None,
    rows: RowsOption = None,
    mlflow: MlflowOption = None,
) -> None:
    """Train an encoder's heads and write a weights folder; called again, a killed run goes on."""
    from model.training.fit.initial_weights import default_base
    from model.training.fit.mlflow_tracking import tracked
    from model.training.fit.recipe import HeadsRecipe, find_recipe, read_recipe
    from model.training.run import train as run

    chosen = read_recipe(find_recipe(recipe), HeadsRecipe)
    if epochs is not None:
        chosen = chosen.model_copy(update={"epochs": epochs})
    with tracked(mlflow, name=chosen.name, settings=chosen.model_dump(mode="json"), out=out):
        version = run(
            data, out, recipe=chosen, base=base or default_base(), teacher=teacher, tests=test or (), rows=rows
        )
    if version:
        typer.echo(f"wrote {out}, version {version}; next: brandpulse model evaluate --weights {out} --data FILE")


def distil(
    *,
    teacher: WeightsFolder,
    data: DataOption,
    out: OutOption,
    recipe: RecipeOption = "student",
    test: TestOption = None,
    rows: RowsOption = None,
    mlflow: MlflowOption = None,
) -> None:
    """Teach a shallower student, made of some of the teacher's own layers, to answer as the teacher does."""
    train(data=data, out=out, recipe=recipe, base=teacher, teacher=teacher, test=test, rows=rows, mlflow=mlflow)


def finish(
    *,
    run: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of a run: snap/ and tokenizer.json.")],
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Weights folder to write.")],
    snapshots: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="RUN/snap if none.")] = None,
    recipe: RecipeOption = "brand",
    base: BaseOption = None,
) -> None:
    """Choose, calibrate and pack weights from the snapshots of a training run, also of one that still runs."""
    from model.training.data.corpus import check_sources, read_sources
    from model.training.fit.initial_weights import default_base
    from model.training.fit.recipe import HeadsRecipe, find_recipe, read_recipe
    from model.training.run import finish_run

    chosen = read_recipe(find_recipe(recipe), HeadsRecipe)
    texts = check_sources(read_sources(data, chosen))
    version = finish_run(run, out, texts, recipe=chosen, base=base or default_base(), snapshots=snapshots)
    typer.echo(f"wrote {out}, version {version}; figures in {out / 'training.json'}")


def adapt(
    *,
    data: Annotated[
        list[Path],
        typer.Option(exists=True, dir_okay=False, help="Posts: CSV or JSON lines with `text`, or .txt lines."),
    ],
    out: OutOption,
    recipe: RecipeOption = "mlm",
    base: BaseOption = None,
    test: TestOption = None,
    mlflow: MlflowOption = None,
) -> None:
    """Go on with the encoder's own training, masked words, on posts without labels; the result is a --base."""
    from model.training.fit.initial_weights import default_base
    from model.training.fit.mlflow_tracking import tracked
    from model.training.fit.recipe import MlmRecipe, find_recipe, read_recipe
    from model.training.masked_lm import adapt as run

    chosen = read_recipe(find_recipe(recipe), MlmRecipe)
    with tracked(mlflow, name=chosen.name, settings=chosen.model_dump(mode="json"), out=out):
        before, after = run(data, out, recipe=chosen, base=base or default_base(), tests=test or ())
    typer.echo(
        f"wrote {out}; loss on held-out posts {before:.3f}, now {after:.3f}; next: brandpulse model train --base"
    )


def few_shot(
    *,
    data: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="CSV with a header, or JSON lines.")],
    out: OutOption,
    text: TextOption = "text",
    label: LabelOption = "label",
    test: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Labelled posts to judge by, not trained on.")
    ] = None,
    recipe: RecipeOption = "fewshot",
    base: BaseOption = None,
) -> None:
    """Train a classifier of your own labels from 8 to 64 examples of each."""
    from model.training.few_shot import few_shot as run
    from model.training.few_shot import read_examples
    from model.training.fit.initial_weights import default_base
    from model.training.fit.recipe import FewShotRecipe, find_recipe, read_recipe

    examples = read_examples(data, text=text, label=label)
    held_out = read_examples(test, text=text, label=label, labels=examples.labels) if test else None
    chosen = read_recipe(find_recipe(recipe), FewShotRecipe)
    recall = run(examples, out, recipe=chosen, base=base or default_base(), held_out=held_out)
    told = f"; macro recall {recall:.3f} on {test}" if recall is not None else ""
    typer.echo(f"wrote {out} for {', '.join(examples.labels)}{told}; next: brandpulse model label --weights {out}")


def label(
    texts: Annotated[list[str] | None, typer.Argument(help="Posts; lines of standard input if none.")] = None,
    *,
    weights: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder that few-shot wrote.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per post.")] = False,
) -> None:
    """Print your own label of each post, and how likely it is."""
    from model.training.few_shot import CustomLabelClassifier

    classifier = CustomLabelClassifier(weights)
    for post in texts or (line.rstrip("\n") for line in sys.stdin):
        row = classifier.probabilities([post])[0].tolist()
        best = row.index(max(row))
        if as_json:
            shares = {name: round(share, 4) for name, share in zip(classifier.labels, row, strict=True)}
            typer.echo(json.dumps({"label": classifier.labels[best], "probabilities": shares, "text": post}))
        else:
            typer.echo(f"{classifier.labels[best]}  {row[best]:.2f}  {post}")


def register(app: typer.Typer) -> None:
    """Adds the commands to *app*."""
    for command in (train, distil, adapt, few_shot, label, finish):
        app.command()(command)

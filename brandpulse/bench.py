"""`brandpulse bench`: figures measured here, against peers, in one run."""

import importlib
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def model(
    data: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Labelled posts, JSON lines.")],
    posts: Annotated[int, typer.Option(min=32)] = 1_000,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
) -> None:
    """Posts per second of each engine and precision, against the Hugging Face pipeline."""
    importlib.import_module("model.bench").run(data, posts=posts, rounds=rounds)

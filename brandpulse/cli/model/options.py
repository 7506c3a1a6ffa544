"""Options that several commands of `brandpulse model` share."""

from pathlib import Path
from typing import Annotated, Any

import typer

from model.spec.options import Engine, ExitPolicy, Precision

WeightsOption = Annotated[Path, typer.Option(help="Weights folder.", show_default="the shipped weights")]
EngineOption = Annotated[
    Engine, typer.Option(help="Inference engine. auto: torch if a CUDA device is present, else openvino.")
]
PrecisionOption = Annotated[
    Precision, typer.Option(help="Precision of the openvino engine. auto: the fastest on this machine.")
]
TiersOption = Annotated[
    ExitPolicy,
    typer.Option(help="Early exit of the openvino engine. early: confident posts skip half of the layers."),
]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="Number of CPU cores to use. Default: all.")]
TextsArgument = Annotated[list[str] | None, typer.Argument(help="Texts. Default: the lines of standard input.")]


def existing_folder(text: str) -> Any:
    """An option that takes a folder that exists; *text* is its help."""
    return typer.Option(exists=True, file_okay=False, help=text)

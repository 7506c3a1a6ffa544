"""`brandpulse model export`."""

from pathlib import Path
from typing import Annotated

import typer

from model.spec.options import ExportFormat, ExportPrecision
from model.spec.weights import WEIGHTS


def export(
    *,
    to: Annotated[ExportFormat, typer.Option(help="tensorrt needs a GPU and its package.")],
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder to write.")],
    precision: Annotated[
        ExportPrecision,
        typer.Option(help="fp32 everywhere; int8 of openvino and onnx, fp16 of the others and openvino."),
    ] = "fp32",
    weights: Annotated[Path, typer.Option(help="Weights folder; the shipped one by default.")] = WEIGHTS,
    data: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="JSON lines with texts to verify it on, too.")
    ] = None,
) -> None:
    """Write the model for another runtime and verify it: exit 1 if it says something else than the model in fp32."""
    from model.data.labelled_posts import read_texts
    from model.export.exporter import export as write

    texts = [] if data is None else read_texts(data, limit=500)
    found = write(weights, to, out, precision=precision, texts=texts)
    typer.echo(
        f"wrote {out}: {', '.join(found.files)}\n"
        f"{found.posts} posts, read back and run: largest difference of a probability {found.largest_difference:.6f}, "
        f"{found.agreement:.1%} of the sentiment labels agree with fp32"
    )
    if not found.ok:
        typer.echo("It says something else than the model: do not use it.", err=True)
        raise typer.Exit(1)

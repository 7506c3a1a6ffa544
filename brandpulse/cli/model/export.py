"""`brandpulse model export`."""

from pathlib import Path
from typing import Annotated

import typer

from brandpulse.cli.model.options import WeightsOption
from model.spec.options import ExportFormat, ExportPrecision
from model.spec.weights import WEIGHTS


def export(
    *,
    to: Annotated[ExportFormat, typer.Option(help="Format to write. tensorrt needs a GPU and its package.")],
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder to write.")],
    precision: Annotated[
        ExportPrecision,
        typer.Option(help="Precision. fp32: all formats; int8: openvino, onnx; fp16: all but onnx."),
    ] = "fp32",
    weights: WeightsOption = WEIGHTS,
    data: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="JSON lines with `text`: more posts for the verification."),
    ] = None,
) -> None:
    """Write the model in another format and verify it. Exit code 1 if its answers differ from the fp32 model."""
    from model.data.labelled_posts import read_texts
    from model.export import exporter

    texts = [] if data is None else read_texts(data, limit=500)
    check = exporter.export(weights, to, out, precision=precision, texts=texts)
    typer.echo(
        f"wrote {out}: {', '.join(check.files)}\n"
        f"verified on {check.posts} posts: largest difference of a probability {check.largest_difference:.6f}, "
        f"{check.agreement:.1%} of the sentiment labels agree with fp32"
    )
    if not check.ok:
        typer.echo("The exported model differs from the original. Do not use it.", err=True)
        raise typer.Exit(1)

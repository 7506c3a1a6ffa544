"""Exports the model to another format, reads the files back and compares their scores with the fp32 reference."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from brandpulse.errors import ConfigError
from model.checkpoints.multi_head import HeadsCheckpoint, load_heads
from model.checkpoints.weights_folder import kind_of
from model.export.formats import onnx_file, openvino_files, safetensors_file, tensorrt_file
from model.inference.scorer import Scores
from model.inputs.target_marking import MarkedText, mark, plain
from model.spec.options import ExportFormat, ExportPrecision
from model.spec.weights import MULTI_HEAD

Run = Callable[[Sequence[MarkedText]], Scores]
"""Scores posts with the exported files."""

PRECISIONS: dict[ExportFormat, tuple[ExportPrecision, ...]] = {
    "openvino": ("fp32", "fp16", "int8"),
    "onnx": ("fp32", "int8"),
    "safetensors": ("fp32", "fp16"),
    "tensorrt": ("fp32", "fp16"),
}

_MAX_DIFFERENCE: dict[ExportPrecision, float] = {"fp32": 0.001, "fp16": 0.02, "int8": 0.6}
"""Maximum difference of a probability from the reference."""
_MIN_AGREEMENT: dict[ExportPrecision, float] = {"fp32": 0.995, "fp16": 0.99, "int8": 0.92}
"""Minimum share of sentiment labels, of posts and targets together, that equal the reference's."""

SAMPLES = (
    plain(""),
    plain("The train leaves from platform 4 at nine"),
    plain("yesss we won!!! soooo proud of this team 😍"),
    mark("Acme lost my bag again, never flying with @acme", ["Acme"]),
    mark("I left Acme for Globex and it is so much better", ["Acme", "Globex"]),
    mark("the battery life is awful but the screen is lovely", ["battery life", "screen"], keep_words=True),
    mark("nobody is named here", ["Initech"]),
    mark("word " * 150 + "and then Acme called me back", ["Acme"]),
)
"""All kinds of posts: empty, short, long; without a target, with one, with several, with an unnamed one."""


@dataclass(frozen=True, slots=True)
class ExportCheck:
    """Comparison of an exported model with the reference on the same posts."""

    files: tuple[str, ...]
    largest_difference: float
    """Over all probabilities of all heads."""
    agreement: float
    """Share of equal sentiment labels of posts and targets."""
    posts: int
    ok: bool


def export(
    weights: Path,
    to: ExportFormat,
    out: Path,
    *,
    precision: ExportPrecision = "fp32",
    texts: Sequence[str] = (),
) -> ExportCheck:
    """Writes *weights* in the format *to* into the folder *out*, and verifies them on `SAMPLES` and *texts*.

    Also writes `tokenizer.json`, `model.json` (labels, temperatures) and README.md, which describes the inputs.
    Raises ConfigError if the weights are of another kind or unusable, the format does not support the precision, or a
    package or device is missing.
    """
    if precision not in PRECISIONS[to]:
        raise ConfigError(f"--to {to} supports --precision {', '.join(PRECISIONS[to])}, not {precision}.")
    if kind_of(weights) != MULTI_HEAD:
        raise ConfigError(f"The weights in {weights} score whole posts only: export weights with many heads.")
    checkpoint = load_heads(weights)
    if precision == "int8" and to == "openvino" and not checkpoint.manifest.ranges:
        raise ConfigError(f"The weights in {weights} contain no ranges for int8: use --precision fp32.")
    writers: dict[ExportFormat, Callable[[HeadsCheckpoint, Path, ExportPrecision], tuple[str, Run]]] = {
        "openvino": openvino_files,
        "onnx": onnx_file,
        "safetensors": safetensors_file,
        "tensorrt": tensorrt_file,
    }
    out.mkdir(parents=True, exist_ok=True)
    inputs, run = writers[to](checkpoint, out, precision)
    shutil.copyfile(weights / "tokenizer.json", out / "tokenizer.json")
    if to != "safetensors":  # with model.json the folder would look like a brandpulse weights folder
        shutil.copyfile(weights / "model.json", out / "model.json")
    (out / "README.md").write_text(_readme(checkpoint, to, precision, inputs), encoding="utf-8")
    files = tuple(sorted(path.name for path in out.iterdir() if path.is_file()))
    return _check(checkpoint, run, [*SAMPLES, *(plain(text) for text in texts)], precision=precision, files=files)


def _check(
    checkpoint: HeadsCheckpoint,
    run: Run,
    posts: Sequence[MarkedText],
    *,
    precision: ExportPrecision,
    files: tuple[str, ...],
) -> ExportCheck:
    from model.export.formats import run_openvino
    from model.graphs.openvino_multihead import multi_head_graph

    reference, ours = run_openvino(checkpoint, multi_head_graph(checkpoint))(posts), run(posts)
    pairs = [(reference.heads[name], ours.heads[name]) for name in reference.heads]
    pairs.append((reference.target, ours.target))
    largest = max(float(np.abs(theirs - mine).max(initial=0.0)) for theirs, mine in pairs)
    labelled = [(reference.heads["sentiment"], ours.heads["sentiment"]), (reference.target, ours.target)]
    same = np.concatenate([theirs.argmax(axis=1) == mine.argmax(axis=1) for theirs, mine in labelled])
    agreement = float(same.mean())
    finite = all(np.isfinite(mine).all() for _, mine in pairs)
    ok = finite and largest <= _MAX_DIFFERENCE[precision] and agreement >= _MIN_AGREEMENT[precision]
    return ExportCheck(files, largest, agreement, len(posts), ok)


def _readme(checkpoint: HeadsCheckpoint, to: str, precision: str, inputs: str) -> str:
    manifest = checkpoint.manifest
    return f"""# {manifest.name}, version {manifest.version}, as {to} {precision}

{inputs}

Input texts are normalized by `brandpulse.text.normalization.normalize`, with the character U+E000 in place of each
mention of a brand (`model.inputs.target_marking`); its token is {checkpoint.marker}. Read `tokenizer.json` with the
library `tokenizers` and truncate at {manifest.max_tokens} tokens. Probabilities are softmax(logits / temperature) for
sentiment, target and mood, and sigmoid(logits / temperature) for emotion, risk and sarcasm. A target's logits are the
mean over its markers.

Labels: {json.dumps({name: list(labels) for name, labels in manifest.heads.items()})}
Temperatures: {json.dumps(dict(manifest.temperatures))}
"""

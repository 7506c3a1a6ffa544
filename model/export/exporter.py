"""Writes the model in another runtime's form, reads it back, and compares what it says with the fp32 reference."""

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
"""What an exported model says, computed from the files that were written."""

PRECISIONS: dict[ExportFormat, tuple[ExportPrecision, ...]] = {
    "openvino": ("fp32", "fp16", "int8"),
    "onnx": ("fp32", "int8"),
    "safetensors": ("fp32", "fp16"),
    "tensorrt": ("fp32", "fp16"),
}

_MAX_DIFFERENCE: dict[ExportPrecision, float] = {"fp32": 0.001, "fp16": 0.02, "int8": 0.6}
"""How far a probability may lie from the reference's."""
_MIN_AGREEMENT: dict[ExportPrecision, float] = {"fp32": 0.995, "fp16": 0.99, "int8": 0.92}
"""Share of sentiment labels, of posts and targets together, that must be the reference's."""

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
"""Of every shape that a post has: empty, short, long, with no target, one, several, and one that is not named."""


@dataclass(frozen=True, slots=True)
class ExportCheck:
    """How an exported model compares with the reference on the same posts."""

    files: tuple[str, ...]
    largest_difference: float
    """Of any probability of any head."""
    agreement: float
    """Share of equal sentiment labels, of posts and of targets."""
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
    """Writes the weights folder *weights* into the folder *out* as *to*, and verifies it on `SAMPLES` and *texts*.

    Beside the model lie `tokenizer.json`, `model.json` (labels, temperatures) and README.md, which tells its inputs.
    Raises ConfigError when the weights are of another kind or unusable, when the precision is not offered, or when a
    package or a device is missing.
    """
    if precision not in PRECISIONS[to]:
        raise ConfigError(f"--to {to} offers --precision {', '.join(PRECISIONS[to])}, not {precision}.")
    if kind_of(weights) != MULTI_HEAD:
        raise ConfigError(f"The weights in {weights} judge whole posts: only those with many heads are exported.")
    checkpoint = load_heads(weights)
    if precision == "int8" and to == "openvino" and not checkpoint.manifest.ranges:
        raise ConfigError(f"The weights in {weights} hold no ranges for int8: use --precision fp32.")
    writers: dict[ExportFormat, Callable[[HeadsCheckpoint, Path, ExportPrecision], tuple[str, Run]]] = {
        "openvino": openvino_files,
        "onnx": onnx_file,
        "safetensors": safetensors_file,
        "tensorrt": tensorrt_file,
    }
    out.mkdir(parents=True, exist_ok=True)
    inputs, run = writers[to](checkpoint, out, precision)
    shutil.copyfile(weights / "tokenizer.json", out / "tokenizer.json")
    if to != "safetensors":  # beside safetensors it would say that they are packed as ours
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
    judged = [(reference.heads["sentiment"], ours.heads["sentiment"]), (reference.target, ours.target)]
    same = np.concatenate([theirs.argmax(axis=1) == mine.argmax(axis=1) for theirs, mine in judged])
    agreement = float(same.mean())
    finite = all(np.isfinite(mine).all() for _, mine in pairs)
    ok = finite and largest <= _MAX_DIFFERENCE[precision] and agreement >= _MIN_AGREEMENT[precision]
    return ExportCheck(files, largest, agreement, len(posts), ok)


def _readme(checkpoint: HeadsCheckpoint, to: str, precision: str, inputs: str) -> str:
    manifest = checkpoint.manifest
    return f"""# {manifest.name}, version {manifest.version}, as {to} {precision}

{inputs}

Text comes in as `brandpulse.text.normalization.normalize` leaves it, with the character U+E000 in place of each mention of a brand
(`model.inputs.target_marking`); token {checkpoint.marker} stands for it. `tokenizer.json` is read by the library `tokenizers`; cut at
{manifest.max_tokens} tokens. Probabilities are softmax(logits / temperature) for sentiment, target and mood, and
sigmoid(logits / temperature) for emotion, risk and sarcasm. A target's logits are the mean over its markers.

Labels: {json.dumps({name: list(labels) for name, labels in manifest.heads.items()})}
Temperatures: {json.dumps(dict(manifest.temperatures))}
"""

"""Writes each export format and runs the written files."""

import json
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from brandpulse.errors import ConfigError
from model.checkpoints.multi_head import HeadsCheckpoint
from model.inference.logits_decoder import Floats, LogitTable, concatenated_ranges
from model.inference.padded_scoring import MarkerPositions, score_padded
from model.inference.scorer import Scores
from model.inputs.target_marking import MarkedText
from model.inputs.token_batches import MarkedBatch, tokenize_marked
from model.spec.heads import SENTIMENT
from model.spec.options import ExportPrecision

if TYPE_CHECKING:
    import openvino as ov

Run = Callable[[Sequence[MarkedText]], Scores]

_PADDED_INPUTS = """Inputs, int64: `ids` and `mask` (batch, length), mask 1 for tokens, 0 for padding; `places`
(markers, 2), row and position of each marker. Outputs: the logits of each head by name, (batch, labels); `target`
(markers, 4)."""
_PACKED_INPUTS = """`model.xml` is the full depth; `early.xml` and `rest.xml` are its two parts, if it has early heads.
Several posts may share a row. Inputs, int32: `ids`, `positions` (of each token within its post) and `segments` (number
of the post within its row, -1 for padding), all (rows, length); `wanted` (rows, reads), the positions of [CLS] tokens
and markers in each row; `firsts` (posts,), index of each post's [CLS] in the flattened `wanted`; `marks` (2, markers),
index of each marker and of the [CLS] of its post. Outputs, logits: `post` (posts, labels of sentiment, emotion, mood,
risk and sarcasm concatenated) and `mention` (markers, 4). `rest.xml` takes `states` of `early.xml` instead of `ids` and
`positions`."""
_SAFETENSORS_INPUTS = """`model.safetensors` contains the tensors of `model.graphs.torch_multihead.MultiHead`, and the
head `sentiment` again under the names of BertForSequenceClassification: `AutoModelForSequenceClassification` of
transformers can load the folder."""


def openvino_files(checkpoint: HeadsCheckpoint, out: Path, precision: ExportPrecision) -> tuple[str, Run]:
    import openvino as ov

    from model.cpu.openvino_core import openvino_core
    from model.graphs.openvino_multihead import multi_head_graph

    ranges = checkpoint.manifest.ranges if precision == "int8" else None
    cuts: dict[str, tuple[int, int | None]] = {"model": (0, None)}
    if layer := checkpoint.manifest.exit_layer:
        cuts |= {"early": (0, layer), "rest": (layer - 1, None)}
    for name, (first, last) in cuts.items():
        graph = multi_head_graph(checkpoint, ranges=ranges, first=first, last=last)
        ov.save_model(graph, out / f"{name}.xml", compress_to_fp16=precision == "fp16")
    return _PACKED_INPUTS, run_openvino(checkpoint, openvino_core().read_model(out / "model.xml"))


def run_openvino(checkpoint: HeadsCheckpoint, graph: "ov.Model") -> Run:
    """Runs a full-depth graph of `model.graphs.openvino_multihead` in fp32, except for its quantized parts."""
    from model.cpu.openvino_core import openvino_core
    from model.inputs.packed_batches import packed_batches

    compiled = openvino_core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    manifest = checkpoint.manifest

    def run(posts: Sequence[MarkedText]) -> Scores:
        table = LogitTable.for_posts(posts)
        tokens = tokenize_marked(posts, checkpoint.tokenizer, marker=checkpoint.marker, max_tokens=manifest.max_tokens)
        places = [post.places for post in tokens]
        for batch in packed_batches([len(post.ids) for post in tokens], places, limit=manifest.max_tokens):
            chosen = [tokens[row] for row in batch.posts]
            ids = np.zeros(batch.positions.shape, dtype=np.int32)
            ids.reshape(-1)[batch.tokens] = np.concatenate([post.ids for post in chosen])
            found = compiled([ids, batch.positions, batch.segments, batch.wanted, batch.firsts, batch.marks])
            counts = np.array([len(post.places) for post in chosen])
            first = table.first_marker[batch.posts] + [post.skipped for post in chosen]
            table.write(
                batch.posts,
                found[0][: len(chosen)],
                concatenated_ranges(first, first + counts),
                found[1][: counts.sum()],
            )
        return table.scores(manifest)

    return run


def onnx_file(checkpoint: HeadsCheckpoint, out: Path, precision: ExportPrecision) -> tuple[str, Run]:
    _require("onnx", "onnxruntime", extra="export")
    import onnx
    import onnxruntime

    from model.graphs.onnx_padded import padded_onnx_model

    path = out / "model.onnx"
    graph = padded_onnx_model(checkpoint)
    onnx.checker.check_model(graph)
    onnx.save(graph, path)
    if precision == "int8":
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(path, path, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul"])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def logits(batch: MarkedBatch, places: MarkerPositions) -> dict[str, Floats]:
        inputs = {"ids": batch.ids.astype(np.int64), "mask": batch.mask.astype(np.int64), "places": places}
        return dict(zip(_names(session.get_outputs()), session.run(None, inputs), strict=True))

    return _PADDED_INPUTS, lambda posts: score_padded(posts, checkpoint, logits, batch_size=8)


def safetensors_file(checkpoint: HeadsCheckpoint, out: Path, precision: ExportPrecision) -> tuple[str, Run]:
    _require("torch", "transformers", extra="gpu")
    import torch
    from safetensors.numpy import load_file, save_file

    from model.graphs.torch_multihead import MultiHead
    from model.inference.torch_classifier import WHOLE_POST_NAMES

    kind = np.float16 if precision == "fp16" else np.float32
    tensors = {name: np.ascontiguousarray(tensor.astype(kind)) for name, tensor in checkpoint.tensors.items()}
    twice = {
        theirs + part: tensors[ours + part] for ours, theirs in WHOLE_POST_NAMES.items() for part in ("weight", "bias")
    }
    save_file(tensors | twice, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)
    names = {"id2label": dict(enumerate(SENTIMENT)), "label2id": {label: at for at, label in enumerate(SENTIMENT)}}
    config = dict(checkpoint.config) | names | {"architectures": ["BertForSequenceClassification"]}
    (out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    model = MultiHead.from_config(checkpoint.config, from_sentiment=checkpoint.from_sentiment)
    read = {
        name: torch.from_numpy(tensor.astype(np.float32))
        for name, tensor in load_file(out / "model.safetensors").items()
    }
    model.load_state_dict({name: tensor for name, tensor in read.items() if name not in twice})
    model.eval()

    def logits(batch: MarkedBatch, places: MarkerPositions) -> dict[str, Floats]:
        with torch.inference_mode():
            ids, mask = torch.from_numpy(batch.ids).long(), torch.from_numpy(batch.mask).long()
            full, _ = model(ids, mask, torch.from_numpy(places))
            return {name: tensor.numpy() for name, tensor in full.items()}

    return _SAFETENSORS_INPUTS, lambda posts: score_padded(posts, checkpoint, logits, batch_size=8)


def tensorrt_file(checkpoint: HeadsCheckpoint, out: Path, precision: ExportPrecision) -> tuple[str, Run]:
    """Writes an engine for the GPU of this machine; it does not run on other kinds of GPU."""
    _require("tensorrt", "torch", "onnx", extra="gpu")
    import torch

    if not torch.cuda.is_available():
        raise ConfigError("--to tensorrt needs a GPU in this machine, but torch finds none.")
    from model.export.tensorrt_engine import build_engine, engine_function

    path = out / "model.plan"
    path.write_bytes(build_engine(checkpoint, halves=precision == "fp16"))
    logits = engine_function(path)
    return _PADDED_INPUTS, lambda posts: score_padded(posts, checkpoint, logits, batch_size=8)


def _names(values: Sequence[Any]) -> list[str]:
    return [value.name for value in values]


def _require(*packages: str, extra: str) -> None:
    for package in packages:
        if find_spec(package) is None:
            raise ConfigError(f"This export needs {package}: pip install {package}, or 'brandpulse[{extra}]'.")

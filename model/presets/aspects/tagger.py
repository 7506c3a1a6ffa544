"""Finds the aspect terms of a text. Runs on OpenVINO, without torch; `train_tagger` writes its folder.

model.safetensors   the encoder's tensors as in `model.checkpoints.whole_post`, and the head `tagger.*`
config.json, tokenizer.json   as in `model.checkpoints.weights_folder`
model.json          the manifest, with facts about the training
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from brandpulse.config.validation import reason_of
from brandpulse.errors import ConfigError
from brandpulse.text.normalization import normalize
from model.checkpoints.tensor_files import WORD_TABLE, Floats, read_tensors
from model.checkpoints.weights_folder import unusable
from model.presets.aspects.bio_tags import spans_of_tags
from model.presets.aspects.data import Span

if TYPE_CHECKING:
    import openvino

KIND = "aspect-tagger"
_BATCH = 32


class Tagger:
    """Finds the aspect terms of texts on *threads* CPU cores (default: all available)."""

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        """Raises ConfigError that names *folder* if it is not a tagger."""
        from tokenizers import Tokenizer

        from model.cpu.cpu_info import available_cores
        from model.cpu.inference_streams import cpu_settings
        from model.cpu.openvino_core import openvino_core

        try:
            self.manifest: Mapping[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
            if self.manifest.get("kind") != KIND:
                raise ConfigError(f"{folder} is not a tagger. Train one with `brandpulse model preset aspects --out`.")
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            tensors = read_tensors(folder / "model.safetensors")
            self._tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError) as error:
            raise unusable(folder, reason_of(error)) from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self.manifest["max_tokens"])
        settings = cpu_settings("f32", streams=1, threads=threads or available_cores())
        self._model = openvino_core().compile_model(tagger_graph(tensors, config), "CPU", settings)
        self._words = tensors[WORD_TABLE] - tensors[WORD_TABLE].mean(axis=0)

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """The spans of the aspect terms of each of the normalized *texts*, in order."""
        encodings = self._tokenizer.encode_batch(list(texts))
        order = sorted(range(len(texts)), key=lambda at: len(encodings[at].ids))
        found: list[list[Span]] = [[] for _ in texts]
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            length = -(-max(len(encodings[row].ids) for row in rows) // 8) * 8
            ids = np.zeros((len(rows), length), dtype=np.int32)
            mask = np.zeros((len(rows), length), dtype=np.float32)
            for place, row in enumerate(rows):
                ids[place, : len(encodings[row].ids)] = encodings[row].ids
                mask[place, : len(encodings[row].ids)] = 1.0
            said = self._model([ids, mask])[0].argmax(axis=2)  # (batch, length)
            for place, row in enumerate(rows):
                found[row] = spans_of_tags(encodings[row], said[place].tolist(), len(encodings[row].ids))
        return found

    def vector(self, words: str) -> Floats:
        """(width,): the mean of the word table's rows for *words*, minus the mean of all rows."""
        pieces = self._tokenizer.encode(normalize(words), add_special_tokens=False).ids
        return np.asarray(self._words[pieces].mean(axis=0) if pieces else self._words[0])

    def terms(self, text: str) -> list[str]:
        """The aspect terms of one text, not normalized."""
        clean = normalize(text)
        return [clean[start:end] for start, end in self.spans([clean])[0]]


def tagger_graph(tensors: Mapping[str, Floats], config: Mapping[str, Any]) -> "openvino.Model":
    """Inputs `ids` int32 and `mask` float32, both (batch, length); output logits float32 (batch, length, 3)."""
    import openvino as ov
    from openvino import opset13 as ops

    from model.graphs.openvino_bert import MASKED, GraphWeights, attention, axes, feed_forward

    weights = GraphWeights(tensors, epsilon=config["layer_norm_eps"], ranges={})
    ids = ops.parameter([-1, -1], np.int32, name="ids")
    mask = ops.parameter([-1, -1], np.float32, name="mask")
    length = ops.gather(ops.shape_of(ids), axes(1), np.int64(0))
    positions = ops.slice(weights.positions(), axes(0), length, axes(1), axes(0))
    words = ops.gather(weights.constant(WORD_TABLE), ids, np.int64(0))
    state = weights.norm(ops.add(words, positions), "bert.embeddings.LayerNorm")  # (batch, length, width)
    spread = ops.unsqueeze(mask, axes(1, 2))  # (batch, 1, 1, length)
    bias = ops.multiply(ops.subtract(spread, np.float32(1.0)), np.float32(-MASKED))
    for layer in range(config["num_hidden_layers"]):
        name, heads = f"bert.encoder.layer.{layer}", config["num_attention_heads"]
        attended = attention(state, state, bias, weights=weights, name=f"{name}.attention.self", heads=heads)
        state = feed_forward(ops.add(state, weights.dense(attended, f"{name}.attention.output.dense")), weights, name)
    return ov.Model([ops.result(weights.dense(state, "tagger"), name="logits")], [ids, mask], KIND)

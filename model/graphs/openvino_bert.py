"""A BERT classifier as an OpenVINO graph, built from its tensors: no torch, no export step."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from model.checkpoints.tensor_files import WORD_TABLE, Floats
from model.checkpoints.whole_post import WholePostCheckpoint

MASKED = -1e4
"""Added to the attention scores of padding: exp(-10,000) is 0 in float32, and float16 can represent -10,000."""


Ranges = Mapping[str, tuple[float, float]]
"""Smallest and largest input of each dense layer, by the name of its (first) tensor."""

_SHARED_INPUT = {"value": "key", "key": "query"}
"""Layers with the same input: older weights store the range of only one of them."""


def bert_graph(checkpoint: WholePostCheckpoint, *, ranges: Ranges | None = None, observe: bool = False) -> ov.Model:
    """Inputs `ids` int32 and `mask` float32, both (batch, length); output logits float32 (batch, 3).

    Formulas: Devlin et al., 2019, as in transformers' `BertForSequenceClassification` with one segment. The classifier
    reads only the first token's state, so the last layer computes only that row, which saves a seventh of the work.
    """
    config = checkpoint.config
    weights = GraphWeights(checkpoint.tensors, epsilon=config["layer_norm_eps"], ranges=ranges or {})
    ids = ops.parameter([-1, -1], np.int32, name="ids")
    mask = ops.parameter([-1, -1], np.float32, name="mask")

    length = ops.gather(ops.shape_of(ids), axes(1), np.int64(0))
    positions = ops.slice(weights.positions(), axes(0), length, axes(1), axes(0))
    state = embeddings(ids, positions, weights)  # (batch, length, width)
    spread = ops.unsqueeze(mask, axes(1, 2))  # (batch, 1, 1, length)
    bias = ops.multiply(ops.subtract(spread, np.float32(1.0)), np.float32(-MASKED))
    for layer in range(config["num_hidden_layers"]):
        wanted = state if layer < config["num_hidden_layers"] - 1 else _first(state)
        name, heads = f"bert.encoder.layer.{layer}", config["num_attention_heads"]
        attended = attention(state, wanted, bias, weights=weights, name=f"{name}.attention.self", heads=heads)
        state = feed_forward(ops.add(wanted, weights.dense(attended, f"{name}.attention.output.dense")), weights, name)
    first = ops.squeeze(state, axes(1))  # (batch, width)
    pooled = ops.tanh(weights.dense(first, "bert.pooler.dense"))
    outputs = {"logits": weights.dense(pooled, "classifier")}
    if observe:
        outputs |= weights.observed
    results = [ops.result(output, name=name) for name, output in outputs.items()]
    return ov.Model(results, [ids, mask], checkpoint.manifest.name)


def input_range(ranges: Ranges, name: str) -> tuple[float, float] | None:
    """The range of the inputs of the dense layer *name*; None if *ranges* does not contain it."""
    while name not in ranges:
        stem, _, part = name.rpartition(".")
        if part not in _SHARED_INPUT:
            return None
        name = f"{stem}.{_SHARED_INPUT[part]}"
    return ranges[name]


class GraphWeights:
    """The checkpoint's tensors by name, as operations of the graph."""

    def __init__(self, tensors: Mapping[str, Floats], *, epsilon: float, ranges: Ranges) -> None:
        self._tensors = tensors
        self._epsilon = epsilon
        self._ranges = ranges
        self.observed: dict[str, Any] = {}
        """The input of each dense layer, by the name of its first tensor."""

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def constant(self, *names: str) -> Any:
        return ops.constant(np.ascontiguousarray(np.concatenate([self._tensors[name] for name in names])))

    def dense(self, state: Any, *names: str) -> Any:
        """state · Wᵀ + b; several *names* are computed in one multiplication, their results concatenated."""
        self.observed[names[0]] = state
        matrix = self.constant(*(f"{name}.weight" for name in names))
        if (bounds := input_range(self._ranges, names[0])) is not None:
            state, matrix = _quantized(state, bounds), self._quantized_matrix(*names)
        product = ops.matmul(state, matrix, False, True)
        return ops.add(product, self.constant(*(f"{name}.bias" for name in names)))

    def _quantized_matrix(self, *names: str) -> Any:
        values = np.concatenate([self._tensors[f"{name}.weight"] for name in names])
        limit = np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-6)
        return ops.fake_quantize(ops.constant(values), -limit, limit, -limit, limit, 255)

    def norm(self, state: Any, name: str) -> Any:
        flat = ops.mvn(state, axes(-1), True, self._epsilon, "inside_sqrt")
        return ops.add(ops.multiply(flat, self.constant(f"{name}.weight")), self.constant(f"{name}.bias"))

    def positions(self) -> Any:
        """(positions, width): position and first-segment embedding in one table."""
        segment = self._tensors["bert.embeddings.token_type_embeddings.weight"][0]
        return ops.constant(self._tensors["bert.embeddings.position_embeddings.weight"] + segment)


def _quantized(state: Any, bounds: tuple[float, float]) -> Any:
    low, high = np.float32(bounds[0]), np.float32(bounds[1])
    return ops.fake_quantize(state, low, high, low, high, 256)


def embeddings(ids: Any, positions: Any, weights: GraphWeights) -> Any:
    """(batch, length, width); *positions* are rows of the position table, for each token or each column."""
    words = ops.gather(weights.constant(WORD_TABLE), ids, np.int64(0))
    return weights.norm(ops.add(words, positions), "bert.embeddings.LayerNorm")


def feed_forward(state: Any, weights: GraphWeights, name: str) -> Any:
    state = weights.norm(state, f"{name}.attention.output.LayerNorm")
    inner = ops.gelu(weights.dense(state, f"{name}.intermediate.dense"), "erf")
    return weights.norm(ops.add(state, weights.dense(inner, f"{name}.output.dense")), f"{name}.output.LayerNorm")


def attention(state: Any, wanted: Any, bias: Any, *, weights: GraphWeights, name: str, heads: int) -> Any:
    """(batch, wanted, width): the attention of the *wanted* tokens to all tokens of *state*."""
    # Three multiplications: splitting the result of a single one costs a tenth of the total time.
    query, key, value = (
        _by_head(weights.dense(read, f"{name}.{part}"), heads)
        for part, read in (("query", wanted), ("key", state), ("value", state))
    )  # (batch, heads, length, width / heads)
    attended = ops.transpose(ops.scaled_dot_product_attention(query, key, value, bias), axes(0, 2, 1, 3))
    return ops.reshape(attended, axes(0, 0, -1), True)


def _by_head(part: Any, heads: int) -> Any:
    return ops.transpose(ops.reshape(part, axes(0, 0, heads, -1), True), axes(0, 2, 1, 3))


def _first(state: Any) -> Any:
    return ops.slice(state, axes(0), axes(1), axes(1), axes(1))


def axes(*values: int) -> Any:
    return ops.constant(np.array(values, dtype=np.int64))

"""The network with many heads as OpenVINO graphs, built straight from its tensors."""

from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from model.bert_graph import MASKED, Ranges, Weights, attention, axes, embeddings, feed_forward
from model.heads_checkpoint import HeadsCheckpoint
from model.sheet import POST_HEADS


def heads_graph(
    checkpoint: HeadsCheckpoint, *, ranges: Ranges | None = None, first: int = 0, last: int | None = None
) -> ov.Model:
    """The layers from *first* up to *last* (not included; all by default), and the heads that read the last of them.

    Inputs: `ids` int32 (batch, length), or, when *first* is not 0, `states` float32 (batch, length, width); `mask`
    float32 (batch, length); `wanted` int32 (batch, 1 + markers), the positions that the heads read, [CLS] first.
    Outputs: `post` float32 (batch, all labels of `POST_HEADS`) and `mention` float32 (batch, markers, 4), logits.
    Below the full depth the heads are the early ones, and there is an output `states` for the graph that goes on.

    Of the last layer only the states that the heads read are computed, which saves a seventh of the work.
    """
    config = checkpoint.config
    depth = config["num_hidden_layers"]
    last = depth if last is None else last
    weights = Weights(checkpoint.tensors, epsilon=config["layer_norm_eps"], ranges=ranges or {})
    mask = ops.parameter([-1, -1], np.float32, name="mask")
    wanted = ops.parameter([-1, -1], np.int32, name="wanted")
    if first == 0:
        start = ops.parameter([-1, -1], np.int32, name="ids")
        state = embeddings(start, weights)
    else:
        start = state = ops.parameter([-1, -1, config["hidden_size"]], np.float32, name="states")
    spread = ops.unsqueeze(mask, axes(1, 2))  # (batch, 1, 1, length)
    bias = ops.multiply(ops.subtract(spread, np.float32(1.0)), np.float32(-MASKED))
    for layer in range(first, last):
        read = state if layer < depth - 1 else _at(state, wanted)
        name, heads = f"bert.encoder.layer.{layer}", config["num_attention_heads"]
        attended = attention(state, read, bias, weights=weights, name=f"{name}.attention.self", heads=heads)
        state = feed_forward(ops.add(read, weights.dense(attended, f"{name}.attention.output.dense")), weights, name)
    side = "heads" if last == depth else "exit"
    post, mention = _heads(state if last == depth else _at(state, wanted), weights, side)
    outputs = {"post": post, "mention": mention} | ({} if last == depth else {"states": state})
    results = [ops.result(output, name=name) for name, output in outputs.items()]
    return ov.Model(results, [start, mask, wanted], f"{checkpoint.manifest.name} {first}-{last}")


def _heads(states: Any, weights: Weights, side: str) -> tuple[Any, Any]:
    """The logits of all heads from *states* (batch, 1 + markers, width), [CLS]'s first."""
    first = ops.slice(states, axes(0), axes(1), axes(1), axes(1))  # (batch, 1, width)
    marks = ops.slice(states, axes(1), axes(np.iinfo(np.int64).max), axes(1), axes(1))
    inner = ops.tanh(weights.dense(ops.squeeze(first, axes(1)), *(f"{side}.dense.{head.name}" for head in POST_HEADS)))
    parts = ops.split(inner, np.int64(1), len(POST_HEADS)).outputs()
    logits = [weights.dense(part, f"{side}.out.{head.name}") for part, head in zip(parts, POST_HEADS, strict=True)]
    about = ops.concat([marks, ops.broadcast(first, ops.shape_of(marks))], -1)  # (batch, markers, 2 x width)
    mention = weights.dense(ops.tanh(weights.dense(about, f"{side}.dense.target")), f"{side}.out.target")
    return ops.concat(logits, -1), mention


def _at(state: Any, wanted: Any) -> Any:
    """(batch, length, width) at the positions *wanted*: (batch, wanted, width)."""
    return ops.gather(state, wanted, np.int64(1), batch_dims=1)

"""The network with many heads as OpenVINO graphs over packed rows, built from its tensors."""

from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from model.checkpoints.multi_head import TARGET_FROM_SENTIMENT, HeadsCheckpoint, check_servable
from model.graphs.openvino_bert import MASKED, GraphWeights, Ranges, attention, axes, embeddings, feed_forward
from model.spec.heads import POST_HEADS, TARGET


def multi_head_graph(
    checkpoint: HeadsCheckpoint,
    *,
    ranges: Ranges | None = None,
    first: int = 0,
    last: int | None = None,
    observe: bool = False,
) -> ov.Model:
    """The layers from *first* to *last* (exclusive; default: all), and the heads that read the last of them.

    Inputs, as in `model.inputs.packed_batches.PackedBatch`: `ids` and `positions` int32 (rows, length), or `states`
    float32 (rows, length, width) if *first* is not 0; then `segments`, `wanted`, `firsts` and `marks`.
    Outputs, logits: `post` float32 (posts or more, all labels of `POST_HEADS`), `mention` float32 (markers or more, 4).
    Below the full depth the heads are the early ones, and `states` are those before the last layer.

    The last layer computes only the states that are read, which saves a sixth of the work at full depth and a third
    before the early heads. *observe* adds the input of each dense layer as an output, named after its first tensor.
    """
    check_servable(checkpoint)
    config = checkpoint.config
    depth = config["num_hidden_layers"]
    last = depth if last is None else last
    weights = GraphWeights(checkpoint.tensors, epsilon=config["layer_norm_eps"], ranges=ranges or {})
    segments, wanted = _ints("segments", 2), _ints("wanted", 2)
    firsts, marks = _ints("firsts", 1), _ints("marks", 2)
    if first == 0:
        start = [_ints("ids", 2), _ints("positions", 2)]
        state = embeddings(start[0], ops.gather(weights.positions(), start[1], np.int64(0)), weights)
    else:
        start = [ops.parameter([-1, -1, config["hidden_size"]], np.float32, name="states")]
        state = start[0]
    bias = _bias(segments)  # (rows, length, length)
    before = state
    for layer in range(first, last):
        before = state
        read = state if layer < last - 1 else _at(state, wanted)
        seen = bias if layer < last - 1 else _at(bias, wanted)
        name, heads = f"bert.encoder.layer.{layer}", config["num_attention_heads"]
        attended = attention(
            state, read, ops.unsqueeze(seen, axes(1)), weights=weights, name=f"{name}.attention.self", heads=heads
        )
        state = feed_forward(ops.add(read, weights.dense(attended, f"{name}.attention.output.dense")), weights, name)
    flat = ops.reshape(state, axes(-1, config["hidden_size"]), False)  # (rows x reads, width)
    outputs = _heads(flat, firsts, marks, weights, "heads" if last == depth else "exit")
    if last < depth:
        outputs["states"] = before
    if observe:
        outputs |= weights.observed
    results = [ops.result(output, name=name) for name, output in outputs.items()]
    inputs = [*start, segments, wanted, firsts, marks]
    return ov.Model(results, inputs, f"{checkpoint.manifest.name} {first}-{last}")


def _heads(states: Any, firsts: Any, marks: Any, weights: GraphWeights, side: str) -> dict[str, Any]:
    """The logits of all heads; *states* is (states that are read, width)."""
    posts = ops.gather(states, firsts, np.int64(0))
    inner = ops.tanh(weights.dense(posts, *(f"{side}.dense.{head.name}" for head in POST_HEADS)))
    parts = ops.split(inner, np.int64(1), len(POST_HEADS)).outputs()
    logits = [weights.dense(part, f"{side}.out.{head.name}") for part, head in zip(parts, POST_HEADS, strict=True)]
    own, post = ops.split(ops.gather(states, marks, np.int64(0)), np.int64(0), 2).outputs()  # (1, markers, width) each
    about = ops.squeeze(ops.concat([own, post], -1), axes(0))
    mention = weights.dense(ops.tanh(weights.dense(about, f"{side}.dense.target")), f"{side}.out.target")
    if (name := f"{side}.{TARGET_FROM_SENTIMENT}") in weights:
        added = ops.matmul(logits[0], weights.constant(name), False, True)  # (posts, 4)
        # A mark refers to its post by the place of the post's [CLS] among the states, as `firsts` does.
        reads = ops.gather(ops.shape_of(states), axes(0), np.int64(0))
        empty = ops.broadcast(np.float32(0.0), ops.concat([reads, axes(len(TARGET))], 0))
        by_place = ops.scatter_update(empty, firsts, added, np.int64(0))  # (states that are read, 4)
        mention = ops.add(mention, ops.gather(by_place, ops.gather(marks, np.int64(1), np.int64(0)), np.int64(0)))
    return {"post": ops.concat(logits, -1), "mention": mention}


def _bias(segments: Any) -> Any:
    """(rows, length, length), added to the attention scores: 0 within a post, else `MASKED`."""
    same = ops.equal(ops.unsqueeze(segments, axes(2)), ops.unsqueeze(segments, axes(1)))
    return ops.select(same, np.float32(0.0), np.float32(MASKED))


def _at(state: Any, wanted: Any) -> Any:
    """(rows, length, …) at the places *wanted*: (rows, reads, …)."""
    return ops.gather(state, wanted, np.int64(1), batch_dims=1)


def _ints(name: str, rank: int) -> Any:
    return ops.parameter([-1] * rank, np.int32, name=name)

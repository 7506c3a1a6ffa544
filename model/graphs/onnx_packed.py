"""The network with many heads as ONNX graphs over packed rows, for processors on which OpenVINO's int8 is slow."""

from typing import Any

import numpy as np

from model.checkpoints.multi_head import TARGET_FROM_SENTIMENT, HeadsCheckpoint, check_servable
from model.checkpoints.tensor_files import WORD_TABLE
from model.graphs.onnx_builder import RUNTIME_ONLY, OnnxBuilder
from model.graphs.openvino_bert import MASKED, Ranges
from model.spec.heads import POST_HEADS, TARGET


def packed_onnx_model(
    checkpoint: HeadsCheckpoint, *, ranges: Ranges | None = None, first: int = 0, last: int | None = None
) -> Any:
    """An `onnx.ModelProto` with the inputs and outputs of `model.graphs.openvino_multihead.multi_head_graph`.

    It needs onnxruntime. With *ranges* the dense layers are quantized to int8.
    """
    from onnx import TensorProto, helper

    check_servable(checkpoint)
    config = checkpoint.config
    depth = config["num_hidden_layers"]
    last = depth if last is None else last
    graph = _PackedBuilder(checkpoint.tensors, epsilon=config["layer_norm_eps"], ranges=ranges)
    heads, width = config["num_attention_heads"], config["hidden_size"]
    bias = graph.bias("segments")
    wanted = graph.places("wanted")
    state = "states" if first else graph.embeddings("ids", "positions")
    before = state
    for layer in range(first, last):
        before = state
        final = layer == last - 1
        state = graph.layer(
            state,
            graph.at(state, wanted) if final else state,
            graph.at(bias, wanted) if final else bias,
            f"bert.encoder.layer.{layer}",
            heads=heads,
        )
    graph.heads(state, "heads" if last == depth else "exit", width=width)

    def ints(name: str, *shape: str | int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.INT32, list(shape))

    def floats(name: str, *shape: str | int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))

    begin = [ints("ids", "rows", "length"), ints("positions", "rows", "length")]
    inputs = [floats("states", "rows", "length", width)] if first else begin
    inputs += [ints("segments", "rows", "length"), ints("wanted", "rows", "reads")]
    inputs += [ints("firsts", "posts"), ints("marks", 2, "markers")]
    labels = sum(len(head.labels) for head in POST_HEADS)
    outputs = [floats("post", "posts", labels), floats("mention", "markers", 4)]
    if last < depth:
        outputs.append(floats("before", "rows", "length", width))
        graph.op("Identity", before, output="before")
    return graph.model(f"{checkpoint.manifest.name} {first}-{last}", inputs, outputs)


class _PackedBuilder(OnnxBuilder):
    """Builds the network over rows that several posts share."""

    def embeddings(self, ids: str, positions: str) -> str:
        words = self.op("Gather", self.tensor(WORD_TABLE), ids, axis=0)
        places = self.op("Gather", self.constant("positions.table", self.position_table()), positions, axis=0)
        return self.norm(self.op("Add", words, places), "bert.embeddings.LayerNorm")

    def bias(self, segments: str) -> str:
        """(rows, length, length): 0 within a post, else `MASKED`."""
        down = self.op("Unsqueeze", segments, self.ints("second", [2]))
        across = self.op("Unsqueeze", segments, self.ints("first", [1]))
        within, without = self.constant("within", np.float32(0.0)), self.constant("without", np.float32(MASKED))
        return self.op("Where", self.op("Equal", down, across), within, without)

    def places(self, wanted: str) -> str:
        return self.op("Unsqueeze", self.op("Cast", wanted, to=7), self.ints("second", [2]))

    def at(self, state: str, places: str) -> str:
        """(rows, length, …) at *places*: (rows, reads, …)."""
        return self.op("GatherND", state, places, batch_dims=1)

    def layer(self, state: str, read: str, bias: str, name: str, *, heads: int) -> str:
        """The states *read* after a layer in which they attend to *state*."""
        query, key, value = (
            self.dense(of, f"{name}.attention.self.{part}")
            for part, of in (("query", read), ("key", state), ("value", state))
        )
        seen = self.op("Unsqueeze", bias, self.ints("first", [1]))
        gathered = self.op("MultiHeadAttention", query, key, value, "", "", seen, domain=RUNTIME_ONLY, num_heads=heads)
        attended = self.op("Add", read, self.dense(gathered, f"{name}.attention.output.dense"))
        state = self.norm(attended, f"{name}.attention.output.LayerNorm")
        inner = self.op("Gelu", self.dense(state, f"{name}.intermediate.dense"))
        return self.norm(self.op("Add", state, self.dense(inner, f"{name}.output.dense")), f"{name}.output.LayerNorm")

    def heads(self, state: str, side: str, *, width: int) -> None:
        """Adds the outputs `post` and `mention`: the logits of all heads."""
        flat = self.op("Reshape", state, self.ints("flat", [-1, width]))
        posts = self.op("Gather", flat, "firsts", axis=0)
        inner = self.op("Tanh", self.dense(posts, *(f"{side}.dense.{head.name}" for head in POST_HEADS)))
        parts = self.split(inner, len(POST_HEADS), axis=1)
        logits = [self.dense(part, f"{side}.out.{head.name}") for part, head in zip(parts, POST_HEADS, strict=True)]
        self.op("Concat", *logits, axis=1, output="post")
        own, post = self.split(self.op("Gather", flat, "marks", axis=0), 2, axis=0)
        about = self.op("Squeeze", self.op("Concat", own, post, axis=2), self.ints("zeroth", [0]))
        inner = self.op("Tanh", self.dense(about, f"{side}.dense.target"))
        if (name := f"{side}.{TARGET_FROM_SENTIMENT}") not in self.tensors:
            self.dense(inner, f"{side}.out.target", output="mention")
            return
        added = self.op("MatMul", logits[0], self.constant(name, self.tensors[name].T))  # (posts, 4)
        # A mark refers to its post by the place of the post's [CLS] among the states, as `firsts` does.
        reads = self.op("Gather", self.op("Shape", flat), self.ints("zeroth", [0]), axis=0)
        empty = self.op("ConstantOfShape", self.op("Concat", reads, self.ints("labels", [len(TARGET)]), axis=0))
        places = self.op("Unsqueeze", self.op("Cast", "firsts", to=7), self.ints("first", [1]))
        by_place = self.op("ScatterND", empty, places, added)  # (states that are read, 4)
        owners = self.op("Gather", "marks", self.ints("owner", 1), axis=0)
        own_logits = self.dense(inner, f"{side}.out.target")
        self.op("Add", own_logits, self.op("Gather", by_place, owners, axis=0), output="mention")

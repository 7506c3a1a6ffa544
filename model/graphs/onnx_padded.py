"""The network with many heads as an ONNX graph over padded rows, built from its tensors: no torch, no export step."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from model.checkpoints.multi_head import TARGET_FROM_SENTIMENT, HeadsCheckpoint, check_servable
from model.checkpoints.tensor_files import WORD_TABLE
from model.graphs.onnx_builder import OnnxBuilder
from model.graphs.openvino_bert import MASKED
from model.spec.heads import HEADS


def padded_onnx_model(checkpoint: HeadsCheckpoint) -> Any:
    """An `onnx.ModelProto` of the full depth.

    Inputs: `ids` and `mask` int64 (batch, length), mask 1 for tokens, 0 for padding; `places` int64 (markers, 2), row
    and position of each marker. Outputs: the logits of each head by name, float32 (batch, labels), or (markers, labels)
    for the head that reads mentions.
    """
    from onnx import TensorProto, helper

    check_servable(checkpoint)
    graph = _PaddedBuilder(checkpoint.tensors, epsilon=checkpoint.config["layer_norm_eps"])
    config = checkpoint.config
    bias = graph.bias("mask")
    state = graph.embeddings("ids")
    for layer in range(config["num_hidden_layers"]):
        state = graph.layer(state, bias, f"bert.encoder.layer.{layer}", heads=config["num_attention_heads"])
    graph.heads(state, "places")

    def value(name: str, kind: int, shape: Sequence[str | int]) -> Any:
        return helper.make_tensor_value_info(name, kind, list(shape))

    inputs = [
        value("ids", TensorProto.INT64, ["batch", "length"]),
        value("mask", TensorProto.INT64, ["batch", "length"]),
        value("places", TensorProto.INT64, ["markers", 2]),
    ]
    outputs = [
        value(head.name, TensorProto.FLOAT, ["markers" if head.reads == "mention" else "batch", len(head.labels)])
        for head in HEADS
    ]
    return graph.model(checkpoint.manifest.name, inputs, outputs)


class _PaddedBuilder(OnnxBuilder):
    """Builds the network over padded rows."""

    def embeddings(self, ids: str) -> str:
        words = self.op("Gather", self.tensor(WORD_TABLE), ids, axis=0)
        length = self.op("Gather", self.op("Shape", ids), self.ints("one", [1]), axis=0)  # (1,)
        positions = self.op("Slice", self.constant("positions", self.position_table()), self.ints("zero", [0]), length)
        return self.norm(self.op("Add", words, positions), "bert.embeddings.LayerNorm")

    def bias(self, mask: str) -> str:
        """(batch, 1, 1, length), added to the attention scores."""
        absent = self.op("Cast", self.op("Equal", mask, self.ints("none", 0)), to=1)
        spread = self.op("Unsqueeze", absent, self.ints("middle", [1, 2]))
        return self.op("Mul", spread, self.constant("masked", np.float32(MASKED)))

    def layer(self, state: str, bias: str, name: str, *, heads: int) -> str:
        width = self.tensors[WORD_TABLE].shape[1]
        split = self.ints(f"by_head_{heads}", [0, 0, heads, width // heads])

        def by_head(part: str, order: Sequence[int]) -> str:
            dense = self.dense(state, f"{name}.attention.self.{part}")
            return self.op("Transpose", self.op("Reshape", dense, split), perm=list(order))

        query, value = by_head("query", (0, 2, 1, 3)), by_head("value", (0, 2, 1, 3))
        scale = self.constant("scale", np.float32((width // heads) ** -0.5))
        scores = self.op("Mul", self.op("MatMul", query, by_head("key", (0, 2, 3, 1))), scale)
        weights = self.op("Softmax", self.op("Add", scores, bias), axis=-1)  # (batch, heads, length, length)
        gathered = self.op("Transpose", self.op("MatMul", weights, value), perm=[0, 2, 1, 3])
        joined = self.op("Reshape", gathered, self.ints("joined", [0, 0, width]))
        attended = self.op("Add", state, self.dense(joined, f"{name}.attention.output.dense"))
        state = self.norm(attended, f"{name}.attention.output.LayerNorm")
        inner = self.op("Gelu", self.dense(state, f"{name}.intermediate.dense"))
        return self.norm(self.op("Add", state, self.dense(inner, f"{name}.output.dense")), f"{name}.output.LayerNorm")

    def heads(self, state: str, places: str) -> None:
        post = self.op("Gather", state, self.ints("first", 0), axis=1)  # (batch, width)
        rows = self.op("Gather", places, self.ints("first", 0), axis=1)
        marks = self.op("Concat", self.op("GatherND", state, places), self.op("Gather", post, rows, axis=0), axis=1)
        for head in HEADS:
            read = marks if head.reads == "mention" else post
            inner = self.op("Tanh", self.dense(read, f"heads.dense.{head.name}"))
            if head.reads == "mention" and (name := f"heads.{TARGET_FROM_SENTIMENT}") in self.tensors:
                of_post = self.op("Gather", "sentiment", rows, axis=0)  # (markers, 3)
                added = self.op("MatMul", of_post, self.constant(name, self.tensors[name].T))
                self.op("Add", self.dense(inner, f"heads.out.{head.name}"), added, output=head.name)
            else:
                self.dense(inner, f"heads.out.{head.name}", output=head.name)

"""The network with many heads as an ONNX graph, built straight from its tensors: no torch, no export step."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from model.bert_graph import MASKED
from model.checkpoint import WORD_TABLE, Floats
from model.heads import HEADS
from model.heads_checkpoint import HeadsCheckpoint

OPSET = 20
"""The first with Gelu; onnxruntime reads it since 1.17."""
IR_VERSION = 10


def onnx_graph(checkpoint: HeadsCheckpoint) -> Any:
    """An `onnx.ModelProto` of the full depth.

    Inputs: `ids` and `mask` int64 (batch, length), mask 1 where there is a token; `places` int64 (markers, 2), row and
    position of each marker. Outputs: the logits of each head by its name, float32 (batch, labels), or (markers, labels)
    for the one that reads mentions.
    """
    from onnx import TensorProto, helper

    graph = _Graph(checkpoint.tensors, epsilon=checkpoint.config["layer_norm_eps"])
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
    made = helper.make_graph(graph.nodes, checkpoint.manifest.name, inputs, outputs, graph.constants)
    return helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="brandpulse"
    )


class _Graph:
    """Nodes and constants as they are put down; every method gives the name of what it computes."""

    def __init__(self, tensors: Mapping[str, Floats], *, epsilon: float) -> None:
        self._tensors = tensors
        self._epsilon = epsilon
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._known: set[str] = set()

    def embeddings(self, ids: str) -> str:
        words = self._op("Gather", self._tensor(WORD_TABLE), ids, axis=0)
        table = self._tensors["bert.embeddings.position_embeddings.weight"]
        segment = self._tensors["bert.embeddings.token_type_embeddings.weight"][0]
        length = self._op("Gather", self._op("Shape", ids), self._ints("one", [1]), axis=0)  # (1,)
        positions = self._op("Slice", self._constant("positions", table + segment), self._ints("zero", [0]), length)
        return self._norm(self._op("Add", words, positions), "bert.embeddings.LayerNorm")

    def bias(self, mask: str) -> str:
        """(batch, 1, 1, length), added to the attention scores."""
        absent = self._op("Cast", self._op("Equal", mask, self._ints("none", 0)), to=1)
        spread = self._op("Unsqueeze", absent, self._ints("middle", [1, 2]))
        return self._op("Mul", spread, self._constant("masked", np.float32(MASKED)))

    def layer(self, state: str, bias: str, name: str, *, heads: int) -> str:
        width = self._tensors[WORD_TABLE].shape[1]
        split = self._ints(f"by_head_{heads}", [0, 0, heads, width // heads])

        def by_head(part: str, order: Sequence[int]) -> str:
            dense = self._dense(state, f"{name}.attention.self.{part}")
            return self._op("Transpose", self._op("Reshape", dense, split), perm=list(order))

        query, value = by_head("query", (0, 2, 1, 3)), by_head("value", (0, 2, 1, 3))
        scale = self._constant("scale", np.float32((width // heads) ** -0.5))
        scores = self._op("Mul", self._op("MatMul", query, by_head("key", (0, 2, 3, 1))), scale)
        weights = self._op("Softmax", self._op("Add", scores, bias), axis=-1)  # (batch, heads, length, length)
        gathered = self._op("Transpose", self._op("MatMul", weights, value), perm=[0, 2, 1, 3])
        joined = self._op("Reshape", gathered, self._ints("joined", [0, 0, width]))
        attended = self._op("Add", state, self._dense(joined, f"{name}.attention.output.dense"))
        state = self._norm(attended, f"{name}.attention.output.LayerNorm")
        inner = self._op("Gelu", self._dense(state, f"{name}.intermediate.dense"))
        return self._norm(
            self._op("Add", state, self._dense(inner, f"{name}.output.dense")), f"{name}.output.LayerNorm"
        )

    def heads(self, state: str, places: str) -> None:
        post = self._op("Gather", state, self._ints("first", 0), axis=1)  # (batch, width)
        rows = self._op("Gather", places, self._ints("first", 0), axis=1)
        marks = self._op("Concat", self._op("GatherND", state, places), self._op("Gather", post, rows, axis=0), axis=1)
        for head in HEADS:
            read = marks if head.reads == "mention" else post
            inner = self._op("Tanh", self._dense(read, f"heads.dense.{head.name}"))
            self._dense(inner, f"heads.out.{head.name}", output=head.name)

    def _dense(self, state: str, name: str, *, output: str | None = None) -> str:
        matrix = self._constant(f"{name}.weight.t", self._tensors[f"{name}.weight"].T)
        return self._op("Add", self._op("MatMul", state, matrix), self._tensor(f"{name}.bias"), output=output)

    def _norm(self, state: str, name: str) -> str:
        weight, bias = self._tensor(f"{name}.weight"), self._tensor(f"{name}.bias")
        return self._op("LayerNormalization", state, weight, bias, axis=-1, epsilon=self._epsilon)

    def _op(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        from onnx import helper

        name = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=f"{kind}_{len(self.nodes)}", **attributes))
        return name

    def _tensor(self, name: str) -> str:
        return self._constant(name, self._tensors[name])

    def _ints(self, name: str, values: Sequence[int] | int) -> str:
        return self._constant(name, np.array(values, dtype=np.int64))

    def _constant(self, name: str, values: npt.NDArray[Any] | np.generic) -> str:
        from onnx import numpy_helper

        if name not in self._known:
            self._known.add(name)
            self.constants.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name

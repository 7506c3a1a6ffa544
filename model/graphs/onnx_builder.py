"""Builds an ONNX graph from a checkpoint's tensors, operation by operation: no torch, no export step."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from model.checkpoints.tensor_files import Floats
from model.graphs.openvino_bert import Ranges, input_range

OPSET = 20
"""The first with Gelu; onnxruntime reads it since 1.17."""
IR_VERSION = 10
RUNTIME_ONLY = "com.microsoft"
"""Domain of operations that only onnxruntime supports."""
_MAX_WEIGHT = 127
"""Largest int8 weight. Without VNNI onnxruntime adds two products in 16 bits, which may saturate. 64, or unsigned
weights (a quarter slower), would prevent that, but neither was more accurate on 2,000 labelled posts."""


class OnnxBuilder:
    """Collects nodes and constants; every method returns the name of its result."""

    def __init__(self, tensors: Mapping[str, Floats], *, epsilon: float, ranges: Ranges | None = None) -> None:
        """Dense layers with an input range in *ranges* are quantized to int8, which only onnxruntime can run."""
        self.tensors = tensors
        self._epsilon = epsilon
        self._ranges = ranges or {}
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._known: set[str] = set()
        self._bytes_of: dict[tuple[str, float, int], str] = {}

    def dense(self, state: str, *names: str, output: str | None = None) -> str:
        """state · Wᵀ + b; several *names* are computed in one multiplication, their results concatenated."""
        matrix = np.concatenate([self.tensors[f"{name}.weight"] for name in names])
        bias = self.constant(f"{names[0]}.bias.{len(names)}", self._side_by_side("bias", names))
        bounds = input_range(self._ranges, names[0])
        if bounds is None:
            matrix_name = self.constant(f"{names[0]}.weight.{len(names)}", matrix.T)
            return self.op("Add", self.op("MatMul", state, matrix_name), bias, output=output)
        inputs = self._bytes(state, bounds, names[0], matrix)
        return self.op("MatMulIntegerToFloat", *inputs, bias, output=output, domain=RUNTIME_ONLY)

    def _bytes(self, state: str, bounds: tuple[float, float], name: str, matrix: Floats) -> list[str]:
        """Inputs of the int8 product: the state as 0 to 255 over its range, weights as -127 to 127 per row, and scales.

        The sums are integers, so the scores of a post do not depend on the other posts of its batch.
        """
        low, high = min(bounds[0], 0.0), max(bounds[1], 0.0)
        step = np.float32(max(high - low, 1e-6) / 255)
        zero = np.uint8(np.clip(round(-low / float(step)), 0, 255))
        steps, zeros = self.constant(f"{name}.step", step), self.constant(f"{name}.zero", zero)
        seen = (state, float(step), int(zero))
        if seen not in self._bytes_of:
            self._bytes_of[seen] = self.op("QuantizeLinear", state, steps, zeros)
        scale = np.maximum(np.abs(matrix).max(axis=1), 1e-6).astype(np.float32) / _MAX_WEIGHT
        whole = np.clip(np.round(matrix / scale[:, None]), -_MAX_WEIGHT, _MAX_WEIGHT).astype(np.int8)
        weights, scales = self.constant(f"{name}.bytes", whole.T), self.constant(f"{name}.scale", scale)
        return [self._bytes_of[seen], weights, steps, scales, zeros, ""]

    def norm(self, state: str, name: str) -> str:
        weight, bias = self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias")
        return self.op("LayerNormalization", state, weight, bias, axis=-1, epsilon=self._epsilon)

    def op(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        [name] = self.ops(kind, *inputs, outputs=[output or f"{kind.lower()}_{len(self.nodes)}"], **attributes)
        return name

    def split(self, state: str, parts: int, *, axis: int) -> list[str]:
        outputs = [f"split_{len(self.nodes)}_{part}" for part in range(parts)]
        return self.ops("Split", state, outputs=outputs, axis=axis, num_outputs=parts)

    def ops(self, kind: str, *inputs: str, outputs: list[str], **attributes: Any) -> list[str]:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(inputs), outputs, name=f"{kind}_{len(self.nodes)}", **attributes))
        return outputs

    def tensor(self, name: str) -> str:
        return self.constant(name, self.tensors[name])

    def ints(self, name: str, values: Sequence[int] | int) -> str:
        return self.constant(name, np.array(values, dtype=np.int64))

    def constant(self, name: str, values: npt.NDArray[Any] | np.generic) -> str:
        from onnx import numpy_helper

        if name not in self._known:
            self._known.add(name)
            self.constants.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name

    def position_table(self) -> Floats:
        """(positions, width): position and first-segment embedding in one table."""
        table: Floats = self.tensors["bert.embeddings.position_embeddings.weight"]
        first: Floats = self.tensors["bert.embeddings.token_type_embeddings.weight"][0]
        return table + first

    def model(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """The `onnx.ModelProto` of all collected nodes."""
        from onnx import helper

        made = helper.make_graph(self.nodes, name, list(inputs), list(outputs), self.constants)
        sets = [helper.make_opsetid("", OPSET), helper.make_opsetid(RUNTIME_ONLY, 1)]
        used = sets if any(node.domain == RUNTIME_ONLY for node in self.nodes) else sets[:1]
        return helper.make_model(made, opset_imports=used, ir_version=IR_VERSION, producer_name="brandpulse")

    def _side_by_side(self, part: str, names: Sequence[str]) -> Floats:
        return np.concatenate([self.tensors[f"{name}.{part}"] for name in names])

"""Batches through onnxruntime: bytes multiplied fast on processors without instructions made for it."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from model.cpu.inference_streams import Request


def onnx_is_installed() -> bool:
    """Whether onnxruntime and what writes graphs for it are there."""
    return find_spec("onnxruntime") is not None and find_spec("onnx") is not None


class OnnxRequest:
    """Several share one session; each keeps its own answer. A batch is worked on by the thread that brings it."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._names = [one.name for one in session.get_inputs()]
        self._found: list[Any] = []

    def infer(self, inputs: Sequence[Any], /) -> None:
        self._found = self._session.run(None, dict(zip(self._names, inputs, strict=True)))

    def output(self, number: int) -> Any:
        return self._found[number]


def onnx_requests(graph: Any, count: int) -> list[Request]:
    """*count* of them for *graph*, an `onnx.ModelProto`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # A thread for each batch: threads within one would wait for each other at every small operation.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # It remembers how each shape used memory; there are dozens of shapes.
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
        # Its sum and norm in one are slower than the two: without, a batch is done in an eighth less time.
        disabled_optimizers=["SkipLayerNormFusion"],
    )
    return [OnnxRequest(session) for _ in range(count)]

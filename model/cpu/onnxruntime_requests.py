"""Runs batches with onnxruntime: fast int8 on processors without int8 instructions."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from model.cpu.inference_streams import Request


def onnx_is_installed() -> bool:
    """Whether the packages onnxruntime and onnx are installed."""
    return find_spec("onnxruntime") is not None and find_spec("onnx") is not None


class OnnxRequest:
    """Requests share one session; each keeps its own outputs. A batch runs on the calling thread."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._names = [one.name for one in session.get_inputs()]
        self._outputs: list[Any] = []

    def infer(self, inputs: Sequence[Any], /) -> None:
        self._outputs = self._session.run(None, dict(zip(self._names, inputs, strict=True)))

    def output(self, number: int) -> Any:
        return self._outputs[number]


def onnx_requests(graph: Any, count: int) -> list[Request]:
    """*count* requests for *graph*, an `onnx.ModelProto`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # One thread per batch: several threads in a batch would wait for each other at every small operation.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # onnxruntime stores a memory plan for each shape; there are dozens of shapes.
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
        # The fused operation is slower than its parts: without fusion a batch takes an eighth less time.
        disabled_optimizers=["SkipLayerNormFusion"],
    )
    return [OnnxRequest(session) for _ in range(count)]

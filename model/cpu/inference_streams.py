"""Runs several batches in parallel on the processor's cores."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import openvino as ov

from model.cpu.openvino_core import openvino_core


def cpu_settings(hint: str, *, streams: int, threads: int) -> dict[str, Any]:
    """OpenVINO's settings for *streams* parallel requests on *threads* cores; *hint* is the precision, `f32` or `bf16`.

    Threads are not pinned to cores. By default OpenVINO pins them to the first cores in every process, so that several
    workers, or containers with a quota, would share two cores while the others are idle.
    """
    return {
        "INFERENCE_PRECISION_HINT": hint,
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,
    }


class Request(Protocol):
    """Computes one batch at a time and keeps its outputs until the next."""

    def infer(self, inputs: Sequence[Any], /) -> object: ...

    def output(self, number: int) -> Any: ...


class _OpenVinoRequest:
    def __init__(self, request: Any) -> None:
        self._request = request

    def infer(self, inputs: Sequence[Any], /) -> None:
        self._request.infer(inputs)

    def output(self, number: int) -> Any:
        return self._request.get_output_tensor(number).data


def openvino_requests(graph: ov.Model, settings: dict[str, Any], count: int) -> list[Request]:
    """*count* requests for *graph*; *settings* must provide as many streams."""
    compiled = openvino_core().compile_model(graph, "CPU", settings)
    return [_OpenVinoRequest(compiled.create_infer_request()) for _ in range(count)]


class Streams:
    """Runs the requests of one graph on several batches, also on those of two calls at a time.

    Used instead of `ov.AsyncInferQueue`, which can only wait for all batches of all callers and reports a failed batch
    only then.
    """

    def __init__(self, requests: Sequence[Request]) -> None:
        self._idle: queue.SimpleQueue[Request] = queue.SimpleQueue()
        for request in requests:
            self._idle.put(request)
        # One batch is queued while the streams work; otherwise each stream would wait for the next submission.
        self._slots = threading.BoundedSemaphore(len(requests) + 1)
        self._threads = ThreadPoolExecutor(len(requests), thread_name_prefix="stream")

    def start(self, inputs: Sequence[Any], on_result: Callable[[Request], None]) -> "Future[None]":
        """Submits a batch when a slot is free; *on_result* gets the request with its outputs, on another thread.

        May be called from any thread. The future raises any error, including those of *on_result*.
        """
        self._slots.acquire()
        try:
            return self._threads.submit(self._run, inputs, on_result)
        except BaseException:
            self._slots.release()
            raise

    def warm_up(self, inputs: Sequence[Any]) -> None:
        """Runs *inputs* once on each stream, so that each allocates its memory for a batch of that size now."""

        def ignore(_request: Request) -> None: ...

        # The queue returns the request that was idle longest, so each request gets one batch.
        for running in [self.start(inputs, ignore) for _ in range(self._idle.qsize())]:
            running.result()

    def _run(self, inputs: Sequence[Any], on_result: Callable[[Request], None]) -> None:
        request = self._idle.get()
        try:
            request.infer(inputs)
            on_result(request)
        finally:
            self._idle.put(request)
            self._slots.release()

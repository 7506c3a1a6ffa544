"""Batches side by side on the processor's cores, and how OpenVINO uses these."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import openvino as ov


def cpu_settings(hint: str, *, streams: int, threads: int) -> dict[str, Any]:
    """To compile a graph for *streams* requests at a time on *threads* cores; *hint* is the precision, `f32` or `bf16`.

    No thread is bound to a core. Left to itself OpenVINO binds them to the first ones, in each process to the same: of
    workers side by side, or in containers with a quota, all would share two cores while the others idle.
    """
    return {
        "INFERENCE_PRECISION_HINT": hint,
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,
    }


class Request(Protocol):
    """Works on one batch at a time, and holds its answer until the next."""

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
    """*count* of them for *graph*, which `cpu_settings` has as many streams for."""
    compiled = ov.Core().compile_model(graph, "CPU", settings)
    return [_OpenVinoRequest(compiled.create_infer_request()) for _ in range(count)]


class Streams:
    """Requests of one graph at work on several batches, those of one call and the first of the next among them.

    In place of `ov.AsyncInferQueue`, which waits for all that it was ever given, whosesoever it is, and tells nobody
    of a batch that failed until then.
    """

    def __init__(self, requests: Sequence[Request]) -> None:
        self._idle: queue.SimpleQueue[Request] = queue.SimpleQueue()
        for request in requests:
            self._idle.put(request)
        # One batch lies ready while the streams work, or each would wait for whoever hands the next one over.
        self._room = threading.BoundedSemaphore(len(requests) + 1)
        self._threads = ThreadPoolExecutor(len(requests), thread_name_prefix="stream")

    def start(self, inputs: Sequence[Any], keep: Callable[[Request], None]) -> "Future[None]":
        """Hands a batch over, as soon as there is room; *keep* gets the request that has its answer, on another thread.

        May be called from any thread. What goes wrong, in *keep* too, the future raises.
        """
        self._room.acquire()
        try:
            return self._threads.submit(self._run, inputs, keep)
        except BaseException:
            self._room.release()
            raise

    def warm_up(self, inputs: Sequence[Any]) -> None:
        """Works on *inputs* once on each stream: what each holds for a batch of that size, it holds from now on."""

        def forget(_request: Request) -> None: ...

        # Whatever thread takes which: the request that was idle longest comes next.
        for running in [self.start(inputs, forget) for _ in range(self._idle.qsize())]:
            running.result()

    def _run(self, inputs: Sequence[Any], keep: Callable[[Request], None]) -> None:
        request = self._idle.get()
        try:
            request.infer(inputs)
            keep(request)
        finally:
            self._idle.put(request)
            self._room.release()

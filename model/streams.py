"""How OpenVINO uses the processor."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

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


class Streams:
    """A graph that works on several batches at a time, those of one call and the first of the next among them.

    In place of `ov.AsyncInferQueue`, which waits for all that it was ever given, whosesoever it is, and tells nobody
    of a batch that failed until then.
    """

    def __init__(self, graph: ov.Model, settings: dict[str, Any], *, streams: int) -> None:
        compiled = ov.Core().compile_model(graph, "CPU", settings)
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(streams):
            self._idle.put(compiled.create_infer_request())
        # One batch lies ready while the streams work, or each would wait for whoever hands the next one over.
        self._room = threading.BoundedSemaphore(streams + 1)
        self._threads = ThreadPoolExecutor(streams, thread_name_prefix="stream")

    def start(self, inputs: Sequence[Any], keep: Callable[[Any], None]) -> "Future[None]":
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

        def forget(_request: Any) -> None: ...

        # Whatever thread takes which: the request that was idle longest comes next.
        for running in [self.start(inputs, forget) for _ in range(self._idle.qsize())]:
            running.result()

    def _run(self, inputs: Sequence[Any], keep: Callable[[Any], None]) -> None:
        request = self._idle.get()
        try:
            request.infer(inputs)
            keep(request)
        finally:
            self._idle.put(request)
            self._room.release()

"""How OpenVINO uses the processor."""

from typing import Any


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

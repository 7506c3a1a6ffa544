"""The one OpenVINO runtime of this process."""

import threading

import openvino as ov

_LOCK = threading.Lock()
_CORES: list[ov.Core] = []


def openvino_core() -> ov.Core:
    """The Core that every model of this process shares. It is never released.

    OpenVINO's CPU plugin (seen in 2026.4) gives the thread that loads it another stack for signal handlers, and frees
    that stack with the last object of the plugin, in whichever thread drops it. If the threads differ, the next signal
    (SIGTERM, for example) makes the process crash: the kernel has no stack for Python's signal handler.
    """
    with _LOCK:
        if not _CORES:
            _CORES.append(ov.Core())
        return _CORES[0]

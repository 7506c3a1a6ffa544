"""The runtime that all OpenVINO models of a process share."""

import subprocess
import sys

from tests.support.repository import ROOT

USED_AND_DROPPED = """
import gc, os, signal, threading
import numpy as np
from openvino import Model
from openvino import opset13 as ops

{core}

caught = []
signal.signal(signal.SIGTERM, lambda number, frame: caught.append(number))
one = ops.parameter([1, 4], np.float32)
models = [openvino_core().compile_model(Model([ops.relu(one)], [one]), "CPU")]
thread = threading.Thread(target=lambda: (models.clear(), gc.collect()))
thread.start()
thread.join()
os.kill(os.getpid(), signal.SIGTERM)
print("caught", len(caught))
"""


def after_a_model_is_dropped(core: str) -> subprocess.CompletedProcess[str]:
    """A process that loads a model in one thread, drops it in another, and sends itself SIGTERM.

    With a Core of its own (`from openvino import Core as openvino_core`) it ends with SIGSEGV.
    """
    code = USED_AND_DROPPED.format(core=core)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_a_signal_is_handled_after_a_thread_dropped_the_model() -> None:
    done = after_a_model_is_dropped("from model.cpu.openvino_core import openvino_core")
    assert (done.returncode, done.stdout.strip()) == (0, "caught 1"), done.stderr


def test_the_core_is_one_object_in_all_threads() -> None:
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from model.cpu.openvino_core import openvino_core\n"
        "with ThreadPoolExecutor(4) as pool:\n"
        "    print(len({id(core) for core in pool.map(lambda _: openvino_core(), range(16))}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_only_one_module_creates_a_core() -> None:
    creators = [path.name for path in (ROOT / "model").rglob("*.py") if ".Core(" in path.read_text(encoding="utf-8")]
    assert creators == ["openvino_core.py"]

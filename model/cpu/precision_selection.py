"""At which precision this machine runs the model: tried out at the first start, and remembered from then on.

A label must not hinge on noise. So the trial is pinned in a file of the user's cache: whoever starts on this machine
with the same weights, cores and packages gets what the first one chose, until one of these changes.
"""

import hashlib
import json
import logging
import os
import platform
import tempfile
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from model.checkpoints.multi_head import HeadsCheckpoint
from model.cpu.cpu_info import CPU_INFO, has_int8_instructions
from model.cpu.inference_streams import Request, cpu_settings, openvino_requests
from model.cpu.onnxruntime_requests import onnx_is_installed, onnx_requests
from model.graphs.onnx_packed import packed_onnx_model
from model.graphs.openvino_multihead import multi_head_graph
from model.inputs.packed_batches import BATCH_ROWS, ROW_LENGTHS, packed_batches

log = logging.getLogger(__name__)

HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""Precision -> OpenVINO's hint; the 8 bits of int8 stand in the graph."""
MIN_SPEEDUP = 1.15
"""A less exact precision must be so many times as fast as a more exact one."""
BUDGET_SECONDS = 3.0
ONNXRUNTIME_INT8 = "int8-onnxruntime"
_MOST_EXACT_FIRST = ("fp32", "bf16", "int8", ONNXRUNTIME_INT8)
_ROUNDS = 4
_LAYERS = 2


def select_precision(checkpoint: HeadsCheckpoint, *, threads: int, cache: Path | None = None) -> str:
    """The precision that this machine has used for these weights, else the one that a trial of 1 to 3 seconds favours.

    The trial's result stays in *cache*, by default a folder of the user's cache. Without a trial, because the time is
    up before it is over, the processor's flags decide and nothing is written. A cache that cannot be read or written
    costs one warning.
    """
    path = (cache or cache_folder()) / f"engine-{machine_key(checkpoint.manifest.version, threads)}.json"
    offered = _candidates(checkpoint)
    if (known := _cached_precision(path, offered)) is not None:
        return known
    speeds = measure_speeds(checkpoint)
    if speeds is None:
        if not checkpoint.manifest.ranges:
            return "fp32"
        return "int8" if has_int8_instructions() else ONNXRUNTIME_INT8 if _tries_onnxruntime() else "fp32"
    precision = best_precision(speeds)
    log.info("precision chosen", extra={"precision": precision, "tokens_per_core_second": _rounded(speeds)})
    if checkpoint.manifest.ranges and not has_int8_instructions() and not onnx_is_installed():
        log.info("a faster int8 can be had for this processor", extra={"remedy": "pip install 'brandpulse[int8]'"})
    return _store_precision(path, precision, speeds)


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/brandpulse`, by default under `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "brandpulse"


def machine_key(weights: str, threads: int, cpu_info: Path = CPU_INFO) -> str:
    """Changes with all that a precision's speed hangs on: weights, cores, processor, packages."""
    try:
        lines = cpu_info.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    told = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in reversed(lines)}
    processor = [told.get("model name", platform.processor()), " ".join(sorted(told.get("flags", "").split()))]
    packages = [version(package) for package in ("openvino", "numpy")]
    packages += [version("onnxruntime")] if find_spec("onnxruntime") else []
    facts = [weights, threads, platform.machine(), *processor, *packages]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def best_precision(speeds: Mapping[str, float]) -> str:
    """The fastest of *speeds*, but none that is not `MIN_SPEEDUP` faster than a more exact one."""
    best, *others = [precision for precision in _MOST_EXACT_FIRST if precision in speeds]
    for precision in others:
        if speeds[precision] >= MIN_SPEEDUP * speeds[best]:
            best = precision
    return best


def measure_speeds(checkpoint: HeadsCheckpoint, budget: float = BUDGET_SECONDS) -> dict[str, float] | None:
    """Tokens per core-second of the first two layers at each precision that the weights offer; None if time is up.

    By processor time on one core, so that what else runs here weighs little.
    """
    started = time.monotonic()
    speeds: dict[str, float] = {}
    inputs = _sample_batch(checkpoint)
    tokens = inputs[0].size
    # Below the full depth the graph ends in the early heads, which a shallow student has not.
    last = min(_LAYERS, checkpoint.config["num_hidden_layers"] - 1) if checkpoint.manifest.exit_layer else None
    for precision in _candidates(checkpoint):
        if time.monotonic() - started > budget:
            log.warning("no time to try out precisions: the processor's flags decide", extra={"seconds": budget})
            return None
        ranges = checkpoint.manifest.ranges if precision.startswith("int8") else None
        if precision == ONNXRUNTIME_INT8:
            [request] = onnx_requests(packed_onnx_model(checkpoint, ranges=ranges, last=last), 1)
        else:
            settings = cpu_settings(HINTS[precision], streams=1, threads=1)
            [request] = openvino_requests(multi_head_graph(checkpoint, ranges=ranges, last=last), settings, 1)
        speeds[precision] = tokens / min(_core_seconds(request, inputs) for _ in range(_ROUNDS))
    return speeds


def _candidates(checkpoint: HeadsCheckpoint) -> list[str]:
    """Precisions to try, the more exact first."""
    ranges = bool(checkpoint.manifest.ranges)
    allowed = {"int8": ranges, ONNXRUNTIME_INT8: ranges and _tries_onnxruntime()}
    return [precision for precision in _MOST_EXACT_FIRST if allowed.get(precision, True)]


def _tries_onnxruntime() -> bool:
    """Whether onnxruntime's bytes are worth a trial. With instructions for bytes OpenVINO was the faster one: on a Zen
    4 1.6 times."""
    return not has_int8_instructions() and onnx_is_installed()


def _core_seconds(request: Request, inputs: list[Any]) -> float:
    started = time.process_time()
    request.infer(inputs)
    return time.process_time() - started


def _sample_batch(checkpoint: HeadsCheckpoint) -> list[Any]:
    """A full batch of posts of half a row each, of any words."""
    length = min(ROW_LENGTHS[-1], checkpoint.manifest.max_tokens) // 2
    batch = next(
        packed_batches([length] * 2 * BATCH_ROWS, [[1]] * 2 * BATCH_ROWS, limit=checkpoint.manifest.max_tokens)
    )
    words = np.arange(batch.positions.size, dtype=np.int32) % checkpoint.config["vocab_size"]
    ids = words.reshape(batch.positions.shape)
    return [ids, batch.positions, batch.segments, batch.wanted, batch.firsts, batch.marks]


def _cached_precision(path: Path, offered: Collection[str]) -> str | None:
    try:
        precision = json.loads(path.read_text(encoding="utf-8"))["precision"]
        if precision in offered:
            return str(precision)
        damage = f"precision {precision!r}, expected one of {', '.join(offered)}"
    except OSError:  # not there, or not to be read: then it cannot be written either, and that is told
        return None
    except (ValueError, KeyError, TypeError) as error:
        damage = repr(error)
    log.warning("the precision chosen before is unreadable: trying anew", extra={"path": path, "error": damage})
    with suppress(OSError):
        path.unlink()
    return None


def _store_precision(path: Path, precision: str, speeds: Mapping[str, float]) -> str:
    """Writes the choice, unless another process was first: then its choice counts."""
    content = {"precision": precision, "tokens_per_core_second": _rounded(speeds)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.flush()
            with suppress(FileExistsError):
                os.link(file.name, path)
        return _cached_precision(path, speeds) or precision
    except OSError as error:
        log.warning(
            "cannot remember the precision: the next start may choose another one",
            extra={"precision": precision, "path": path, "error": repr(error)},
        )
        return precision


def _rounded(speeds: Mapping[str, float]) -> dict[str, int]:
    return {precision: round(speed) for precision, speed in speeds.items()}

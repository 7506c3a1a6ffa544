"""Selects the precision at which this machine runs the model: measured at the first start, then cached.

Labels must not depend on measurement noise. The selection is stored in a file of the user's cache, and every process
with the same weights, cores and packages uses it.
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
"""Precision -> OpenVINO's hint; int8 quantization is part of the graph."""
MIN_SPEEDUP = 1.15
"""Minimum speed of a less exact precision, relative to a more exact one."""
BUDGET_SECONDS = 3.0
ONNXRUNTIME_INT8 = "int8-onnxruntime"
_MOST_EXACT_FIRST = ("fp32", "bf16", "int8", ONNXRUNTIME_INT8)
_ROUNDS = 4
_LAYERS = 2


def select_precision(checkpoint: HeadsCheckpoint, *, threads: int, cache: Path | None = None) -> str:
    """The cached precision for these weights, else the best one in a measurement of 1 to 3 seconds.

    The result is stored in *cache* (default: a folder of the user's cache). If the time is up before the measurement
    ends, the processor's flags decide and nothing is stored. A cache that cannot be used causes one warning.
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
        log.info("faster int8 available for this processor", extra={"remedy": "pip install 'brandpulse[int8]'"})
    return _store_precision(path, precision, speeds)


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/brandpulse`, by default under `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "brandpulse"


def machine_key(weights: str, threads: int, cpu_info: Path = CPU_INFO) -> str:
    """A hash of everything that the speed depends on: weights, cores, processor, packages."""
    try:
        lines = cpu_info.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    info = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in reversed(lines)}
    processor = [info.get("model name", platform.processor()), " ".join(sorted(info.get("flags", "").split()))]
    packages = [version(package) for package in ("openvino", "numpy")]
    packages += [version("onnxruntime")] if find_spec("onnxruntime") else []
    facts = [weights, threads, platform.machine(), *processor, *packages]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def best_precision(speeds: Mapping[str, float]) -> str:
    """The fastest of *speeds* that is at least `MIN_SPEEDUP` times as fast as every more exact one."""
    best, *others = [precision for precision in _MOST_EXACT_FIRST if precision in speeds]
    for precision in others:
        if speeds[precision] >= MIN_SPEEDUP * speeds[best]:
            best = precision
    return best


def measure_speeds(checkpoint: HeadsCheckpoint, budget: float = BUDGET_SECONDS) -> dict[str, float] | None:
    """Tokens per core-second of the first two layers at each supported precision; None if *budget* seconds are over.

    Measured in processor time on one core, so that other processes have little influence.
    """
    started = time.monotonic()
    speeds: dict[str, float] = {}
    inputs = _sample_batch(checkpoint)
    tokens = inputs[0].size
    # Below the full depth the graph ends in the early heads, which a shallow student lacks.
    last = min(_LAYERS, checkpoint.config["num_hidden_layers"] - 1) if checkpoint.manifest.exit_layer else None
    for precision in _candidates(checkpoint):
        if time.monotonic() - started > budget:
            log.warning("precision measurement timed out: the processor's flags decide", extra={"seconds": budget})
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
    """Precisions to measure, the most exact first."""
    ranges = bool(checkpoint.manifest.ranges)
    allowed = {"int8": ranges, ONNXRUNTIME_INT8: ranges and _tries_onnxruntime()}
    return [precision for precision in _MOST_EXACT_FIRST if allowed.get(precision, True)]


def _tries_onnxruntime() -> bool:
    """Whether onnxruntime's int8 is measured. With int8 instructions OpenVINO is faster: 1.6 times on a Zen 4."""
    return not has_int8_instructions() and onnx_is_installed()


def _core_seconds(request: Request, inputs: list[Any]) -> float:
    started = time.process_time()
    request.infer(inputs)
    return time.process_time() - started


def _sample_batch(checkpoint: HeadsCheckpoint) -> list[Any]:
    """A full batch of posts of half a row each, with arbitrary tokens."""
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
    except OSError:  # missing, or unreadable: then writing fails too and logs a warning
        return None
    except (ValueError, KeyError, TypeError) as error:
        damage = repr(error)
    log.warning("cached precision unreadable: measuring again", extra={"path": path, "error": damage})
    with suppress(OSError):
        path.unlink()
    return None


def _store_precision(path: Path, precision: str, speeds: Mapping[str, float]) -> str:
    """Stores the selection, unless another process was first; returns the stored one."""
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
            "precision not stored: the next start may select another one",
            extra={"precision": precision, "path": path, "error": repr(error)},
        )
        return precision


def _rounded(speeds: Mapping[str, float]) -> dict[str, int]:
    return {precision: round(speed) for precision, speed in speeds.items()}

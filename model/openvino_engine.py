"""The CPU engine: OpenVINO, without torch."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from brandpulse.errors import ConfigError
from model.bert_graph import bert_graph
from model.checkpoint import Checkpoint, load
from model.cores import available_cores
from model.encoding import TokenBatch, token_batches
from model.engine import LABELS, Probabilities
from model.load import Precision
from model.metrics import softmax

_HINT = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
_TRIAL_SHAPE = (8, 32)
_TRIAL_ROUNDS = 4


class OpenVinoClassifier:
    """Scores posts with a BERT classifier on the CPU; call it from one thread at a time.

    *threads* is the number of cores to use, all available ones by default. *precision* `auto` takes the faster of
    fp32 and bf16 by a trial of a third of a second: with AMX bf16 wins by far, and on a Xeon with avx512_bf16 but
    without AMX fp32 was 1.6 times faster. `int8` is for those who ask for it: 2.5 times the speed of fp32 there and
    the same macro recall, but one label in fifty differs. The interpreter's lock is free while posts are scored.
    """

    batch_size = 32

    def __init__(self, weights: Path, *, threads: int | None = None, precision: Precision = "auto") -> None:
        checkpoint = load(weights)
        self._temperature = checkpoint.manifest.temperature
        self._tokenizer = checkpoint.tokenizer
        self._threads = threads or available_cores()
        # One stream leaves cores idle between the small operations; two hide that. More than a few cost memory.
        self._streams = min(self._threads, max(2, self._threads // 4))
        self._precision, self._compiled = self._compile(checkpoint, precision)
        self._queue = ov.AsyncInferQueue(self._compiled, self._streams)
        self.version = checkpoint.manifest.version + ("-int8" if self._precision == "int8" else "")

    @property
    def name(self) -> str:
        return f"openvino {self._precision}"

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        logits = np.zeros((len(texts), len(LABELS)), dtype=np.float32)
        if not texts:
            return logits

        def keep(request: Any, rows: list[int]) -> None:
            logits[rows] = request.get_output_tensor(0).data

        self._queue.set_callback(keep)
        try:
            for batch in token_batches(texts, self._tokenizer, batch_size=self.batch_size, lanes=self._streams):
                self._queue.start_async({0: batch.ids, 1: batch.mask}, batch.rows)
        finally:
            self._queue.wait_all()  # also after an error: no stream may write into this call's rows later on
        return softmax(logits / self._temperature).astype(np.float32)

    def _compile(self, checkpoint: Checkpoint, precision: Precision) -> tuple[str, Any]:
        if precision == "int8" and not checkpoint.manifest.ranges:
            raise ConfigError("These weights hold no ranges for int8: use precision fp32, bf16 or auto.")
        core = ov.Core()
        graph = bert_graph(checkpoint, ranges=checkpoint.manifest.ranges if precision == "int8" else None)
        choices = [precision] if precision != "auto" else ["fp32"]
        if precision == "auto" and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            choices.append("bf16")
        compiled = {choice: core.compile_model(graph, "CPU", self._settings(choice)) for choice in choices}
        fastest = min(compiled, key=lambda choice: _trial_seconds(compiled[choice])) if len(choices) > 1 else choices[0]
        return fastest, compiled[fastest]

    def _settings(self, precision: str) -> dict[str, Any]:
        return {
            "INFERENCE_PRECISION_HINT": _HINT[precision],
            "NUM_STREAMS": self._streams,
            "INFERENCE_NUM_THREADS": self._threads,
        }


def _trial_seconds(compiled: Any) -> float:
    """The quickest of a few rounds on one batch: other processes only ever add time."""
    batch = TokenBatch([], np.ones(_TRIAL_SHAPE, dtype=np.int32), np.ones(_TRIAL_SHAPE, dtype=np.float32))
    request = compiled.create_infer_request()
    rounds = []
    for _ in range(_TRIAL_ROUNDS):
        started = time.perf_counter()
        request.infer({0: batch.ids, 1: batch.mask})
        rounds.append(time.perf_counter() - started)
    return min(rounds)

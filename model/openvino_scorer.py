"""The CPU engine for the model with many heads: OpenVINO, without torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openvino as ov

from brandpulse.errors import ConfigError
from model.choices import Precision
from model.cores import available_cores, multiplies_bytes
from model.encoding import marked_batches, tokens_of
from model.engine import Scores
from model.heads import HEADS
from model.heads_checkpoint import HeadsCheckpoint, load_heads
from model.heads_graph import heads_graph
from model.marking import MarkedText
from model.sheet import Sheet, joined

_HINT = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
_WINDOW = 1024


class OpenVinoScorer:
    """Scores marked posts on the CPU; call it from one thread at a time.

    *threads* is the number of cores to use, all available ones by default. The interpreter's lock is free while posts
    are scored.
    """

    heads = tuple(head.name for head in HEADS)
    batch_size = 32

    def __init__(self, weights: Path, *, threads: int | None = None, precision: Precision = "auto") -> None:
        self._checkpoint = load_heads(weights)
        self._threads = threads or available_cores()
        # One stream leaves cores idle between the small operations; two hide that. More than a few cost memory.
        self._streams = min(self._threads, max(2, self._threads // 4))
        self._precision = _resolved(self._checkpoint, precision)
        graph = heads_graph(self._checkpoint, ranges=self._ranges())
        self._queue = ov.AsyncInferQueue(ov.Core().compile_model(graph, "CPU", self._settings()), self._streams)
        self.version = self._checkpoint.manifest.version + ("-int8" if self._precision == "int8" else "")

    @property
    def name(self) -> str:
        return f"openvino {self._precision}"

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        windows = [posts[start : start + _WINDOW] for start in range(0, len(posts), _WINDOW)]
        return joined([self._window(window) for window in windows or [[]]])

    def _window(self, posts: Sequence[MarkedText]) -> Scores:
        checkpoint = self._checkpoint
        tokens = tokens_of(
            posts, checkpoint.tokenizer, marker=checkpoint.marker, max_tokens=checkpoint.manifest.max_tokens
        )
        sheet = Sheet.blank(posts, tokens)

        def keep(request: Any, rows: list[int]) -> None:
            sheet.write(rows, request.get_output_tensor(0).data, request.get_output_tensor(1).data)

        self._queue.set_callback(keep)
        try:
            for batch in marked_batches(tokens, batch_size=self.batch_size, lanes=self._streams):
                self._queue.start_async({0: batch.ids, 1: batch.mask, 2: batch.wanted}, batch.rows)
        finally:
            self._queue.wait_all()  # also after an error: no stream may write into this call's rows later on
        return sheet.scores(checkpoint.manifest)

    def _ranges(self) -> Any:
        return self._checkpoint.manifest.ranges if self._precision == "int8" else None

    def _settings(self) -> dict[str, Any]:
        return {
            "INFERENCE_PRECISION_HINT": _HINT[self._precision],
            "NUM_STREAMS": self._streams,
            "INFERENCE_NUM_THREADS": self._threads,
        }


def _resolved(checkpoint: HeadsCheckpoint, precision: Precision) -> str:
    if precision == "int8" and not checkpoint.manifest.ranges:
        raise ConfigError("These weights hold no ranges for int8: use precision fp32, bf16 or auto.")
    if precision == "auto":
        return "int8" if checkpoint.manifest.ranges and multiplies_bytes() else "fp32"
    return precision

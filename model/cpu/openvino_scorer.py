"""The CPU engine for the model with many heads: OpenVINO, or onnxruntime for int8 without VNNI; without torch."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from brandpulse.errors import ConfigError
from model.checkpoints.multi_head import HeadsCheckpoint, load_heads
from model.cpu.cpu_info import available_cores
from model.cpu.inference_streams import Request, Streams, cpu_settings, openvino_requests
from model.cpu.onnxruntime_requests import onnx_is_installed, onnx_requests
from model.cpu.precision_selection import HINTS, ONNXRUNTIME_INT8, select_precision
from model.graphs.onnx_packed import packed_onnx_model
from model.graphs.openvino_multihead import multi_head_graph
from model.inference.logits_decoder import LogitTable, concatenated_ranges
from model.inference.scorer import Scores, scorer_version
from model.inputs.packed_batches import BATCH_ROWS, ROW_LENGTHS, PackedBatch, packed_batches
from model.inputs.target_marking import MarkedText
from model.inputs.token_batches import MarkedTokens, batch_sizes, even_sizes, tokenize_marked
from model.spec.options import ExitPolicy, Precision

_FIRST_WINDOW, _WINDOW = 64, 512
"""Posts tokenized in one call, while earlier ones are scored. The first window is small: all streams wait for it."""
_MAX_DOUBTFUL_TOKENS = 1 << 15
"""Maximum tokens of low-confidence posts in memory before the later layers run: at 384 numbers each, 50 MB."""


@dataclass(frozen=True, slots=True)
class _PendingPost:
    """A post, and its states before the layers that come next."""

    row: int
    tokens: MarkedTokens
    states: npt.NDArray[np.float32] | None = None
    """(tokens, width); None before the first layer."""


class _ResultHandler(Protocol):
    """Called on a stream's thread with the finished request, the posts of the batch in packing order, and the batch."""

    def __call__(self, request: Request, chosen: list[_PendingPost], batch: PackedBatch) -> None: ...


_Running = list["Future[None]"]
"""The submitted batches of a call."""


class OpenVinoScorer:
    """Scores marked posts on the CPU. Several threads may call it; they submit their posts one after another.

    With *exit_policy* `early`, the early heads answer first, and only posts below the manifest's `exit_confidence` go
    through the other layers. *overloaded* is called once per call: while it returns True, these posts keep the early
    answer and are listed in `Scores.degraded`. *threads* is the number of cores (default: all available); *precision*
    `auto` is the fastest on this machine (`model.cpu.precision_selection`). The GIL is released while posts are scored.
    """

    def __init__(
        self,
        weights: Path,
        *,
        threads: int | None = None,
        precision: Precision = "auto",
        exit_policy: ExitPolicy = "full",
        overloaded: Callable[[], bool] | None = None,
    ) -> None:
        checkpoint = load_heads(weights)
        self._manifest, self._tokenizer, self._marker = checkpoint.manifest, checkpoint.tokenizer, checkpoint.marker
        self.heads = checkpoint.manifest.answered
        self._threads = threads or available_cores()
        self._precision = _checked_precision(checkpoint, precision, self._threads)
        # One stream leaves cores idle between small operations, two do not. More than a few cost memory.
        self._streams = min(self._threads, max(2, self._threads // 4))
        self._sizes = batch_sizes
        if self._precision == ONNXRUNTIME_INT8:
            self._streams, self._sizes = self._threads, even_sizes
        self._overloaded = overloaded or (lambda: False)
        self._early = _uses_early_exit(checkpoint, exit_policy)
        cuts = [0, self._manifest.exit_layer, None] if self._early else [0, None]
        self._parts = [
            self._compile(checkpoint, first=max(0, (first or 0) - 1), last=last) for first, last in pairwise(cuts)
        ]
        self._early_only: Streams | None = None
        """The early heads for overload. At full depth they have a graph of their own: splitting the full graph in two
        parts makes every post a quarter slower, and overload is rare."""
        if overloaded is not None and _has_early_exit(checkpoint):
            shallow = partial(self._compile, checkpoint, first=0, last=self._manifest.exit_layer)
            self._early_only = self._parts[0] if self._early else shallow()
        self.version = scorer_version(self._manifest.version, self._precision, *["early"] * self._early)
        self.settled = 0
        """Posts with a confident early answer since the start."""
        self.degraded = 0
        """Posts with a low-confidence early answer since the start."""
        self._submit_lock = threading.Lock()
        self._warm_up(checkpoint.config["hidden_size"])

    @property
    def name(self) -> str:
        kind = "onnxruntime int8" if self._precision == ONNXRUNTIME_INT8 else f"openvino {self._precision}"
        return f"{kind}{' early' if self._early else ''}"

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        return self.begin(posts)()

    def begin(self, posts: Sequence[MarkedText]) -> Callable[[], Scores]:
        """As `model.inference.scorer.PipelinedScorer`: returns once all *posts* are submitted to the streams."""
        table = LogitTable.for_posts(posts)
        doubtful: list[_PendingPost] = []
        degraded: list[int] = []
        running: _Running = []
        first, keep = self._parts[0], _result_handler(table)
        if self._early_only is not None and self._overloaded():
            first, keep = self._early_only, self._early_result_handler(table, doubtful, degraded)
        elif self._early:
            keep = self._early_result_handler(table, doubtful, None)
        with self._submit_lock:
            try:
                for window in self._tokenized_windows(posts):
                    self._submit(first, window, keep, running)
                    if sum(len(post.tokens.ids) for post in doubtful) > _MAX_DOUBTFUL_TOKENS:
                        _wait_for(running)
                        self._finish_doubtful(doubtful, table)
            except BaseException:
                wait(running)
                raise

        def finish() -> Scores:
            _wait_for(running)
            self._finish_doubtful(doubtful, table)
            self.degraded += len(degraded)
            self.settled += int(table.early.sum()) - len(degraded)
            return table.scores(self._manifest, degraded)

        return finish

    def _warm_up(self, width: int) -> None:
        """Runs the largest batch once on each stream, so that all memory is allocated at the start. Otherwise the first
        burst would allocate it hours later, and growing memory causes an alert."""
        limit = self._manifest.max_tokens
        tokens = MarkedTokens([0] * (min(ROW_LENGTHS[-1], limit) // 2), (1,))
        early_only = [] if self._early_only is None or self._early else [self._early_only]
        for streams in (*self._parts, *early_only):
            takes_states = self._early and streams is self._parts[-1]
            states = np.zeros((len(tokens.ids), width), dtype=np.float32) if takes_states else None
            posts = [_PendingPost(row, tokens, states) for row in range(2 * BATCH_ROWS)]
            batch = next(packed_batches([len(tokens.ids)] * len(posts), [tokens.places] * len(posts), limit=limit))
            streams.warm_up(_batch_inputs(posts, batch))

    def _tokenized_windows(self, posts: Sequence[MarkedText]) -> Iterator[list[_PendingPost]]:
        """*posts* in windows; the next window is tokenized while the caller processes this one."""

        def tokenize(start: int, end: int) -> list[_PendingPost]:
            tokens = tokenize_marked(
                posts[start:end], self._tokenizer, marker=self._marker, max_tokens=self._manifest.max_tokens
            )
            return [_PendingPost(start + at, post) for at, post in enumerate(tokens)]

        edges = [0, *range(_FIRST_WINDOW, len(posts), _WINDOW), len(posts)]
        with ThreadPoolExecutor(1, thread_name_prefix="tokenize") as thread:
            coming = deque[Future[list[_PendingPost]]]()
            for start, end in pairwise(edges):
                coming.append(thread.submit(tokenize, start, end))
                if len(coming) > 1:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()

    def _submit(self, streams: Streams, posts: Sequence[_PendingPost], keep: _ResultHandler, running: _Running) -> None:
        """Submits *posts* to *streams* in batches."""
        lengths, places = [len(post.tokens.ids) for post in posts], [post.tokens.places for post in posts]
        limit = self._manifest.max_tokens
        for batch in packed_batches(lengths, places, limit=limit, streams=self._streams, sizes=self._sizes):
            chosen = [posts[number] for number in batch.posts.tolist()]
            running.append(streams.start(_batch_inputs(chosen, batch), partial(keep, chosen=chosen, batch=batch)))

    def _finish_doubtful(self, doubtful: list[_PendingPost], table: LogitTable) -> None:
        """Runs the *doubtful* posts through the remaining layers."""
        running: _Running = []
        try:
            # Sorted, so that the batches do not depend on the timing of the streams.
            self._submit(self._parts[-1], sorted(doubtful, key=lambda post: post.row), _result_handler(table), running)
        finally:
            _wait_for(running)
        doubtful.clear()

    def _early_result_handler(
        self, table: LogitTable, doubtful: list[_PendingPost], degraded: list[int] | None
    ) -> _ResultHandler:
        """As `_result_handler`, for the early heads. Low-confidence posts are added to *doubtful*, or their rows to
        *degraded* if that is given."""
        keep = _result_handler(table, early=True)

        def keep_early(request: Request, chosen: list[_PendingPost], batch: PackedBatch) -> None:
            keep(request, chosen, batch)
            rows = np.array([post.row for post in chosen])
            unsure = table.doubtful(rows, self._manifest)
            if degraded is not None:
                degraded.extend(rows[unsure].tolist())
                return
            states = request.output(2)
            flat = states.reshape(-1, states.shape[-1])
            ends = np.cumsum([len(post.tokens.ids) for post in chosen])
            for at in np.flatnonzero(unsure).tolist():
                mine = batch.tokens[ends[at] - len(chosen[at].tokens.ids) : ends[at]]
                doubtful.append(_PendingPost(chosen[at].row, chosen[at].tokens, flat[mine]))

        return keep_early

    def _compile(self, checkpoint: HeadsCheckpoint, *, first: int, last: int | None) -> Streams:
        if self._precision == ONNXRUNTIME_INT8:
            portable = packed_onnx_model(checkpoint, ranges=checkpoint.manifest.ranges, first=first, last=last)
            return Streams(onnx_requests(portable, self._streams))
        ranges = checkpoint.manifest.ranges if self._precision == "int8" else None
        graph = multi_head_graph(checkpoint, ranges=ranges, first=first, last=last)
        settings = cpu_settings(HINTS[self._precision], streams=self._streams, threads=self._threads)
        return Streams(openvino_requests(graph, settings, self._streams))


def _result_handler(table: LogitTable, *, early: bool = False) -> _ResultHandler:
    """A handler that writes the logits of a batch into *table*."""

    def keep(request: Request, chosen: list[_PendingPost], batch: PackedBatch) -> None:
        rows = np.array([post.row for post in chosen])
        counts = np.array([len(post.tokens.places) for post in chosen])
        first = table.first_marker[rows] + [post.tokens.skipped for post in chosen]
        post, mention = request.output(0), request.output(1)
        table.write(
            rows, post[: len(rows)], concatenated_ranges(first, first + counts), mention[: counts.sum()], early=early
        )

    return keep


def _wait_for(running: _Running) -> None:
    """Waits for all of *running* and raises the error of the first one that failed."""
    wait(running)
    for batch in running:
        batch.result()
    running.clear()


def _batch_inputs(chosen: Sequence[_PendingPost], batch: PackedBatch) -> list[npt.NDArray[Any]]:
    return [*_first_inputs(chosen, batch), batch.segments, batch.wanted, batch.firsts, batch.marks]


def _first_inputs(chosen: Sequence[_PendingPost], batch: PackedBatch) -> list[npt.NDArray[Any]]:
    """The first inputs of a batch: tokens and positions, or states if earlier layers have run."""
    if (first := chosen[0].states) is None:
        ids = np.zeros(batch.positions.shape, dtype=np.int32)
        ids.reshape(-1)[batch.tokens] = np.concatenate([post.tokens.ids for post in chosen])
        return [ids, batch.positions]
    states = np.zeros((*batch.positions.shape, first.shape[1]), dtype=np.float32)
    states.reshape(-1, first.shape[1])[batch.tokens] = np.concatenate([post.states for post in chosen])
    return [states]


def _has_early_exit(checkpoint: HeadsCheckpoint) -> bool:
    return checkpoint.manifest.exit_layer > 0 and {"sentiment", "target"} <= checkpoint.manifest.exit_confidence.keys()


def _uses_early_exit(checkpoint: HeadsCheckpoint, exit_policy: ExitPolicy) -> bool:
    if exit_policy == "early" and not _has_early_exit(checkpoint):
        raise ConfigError("These weights have no exit thresholds for their early heads: use tiers full or auto.")
    return exit_policy != "full" and _has_early_exit(checkpoint)


def _checked_precision(checkpoint: HeadsCheckpoint, precision: Precision, threads: int) -> str:
    if precision.startswith("int8") and not checkpoint.manifest.ranges:
        raise ConfigError("These weights contain no ranges for int8: use precision fp32, bf16 or auto.")
    if precision == ONNXRUNTIME_INT8 and not onnx_is_installed():
        raise ConfigError("Precision int8-onnxruntime needs onnxruntime: pip install 'brandpulse[int8]'.")
    return select_precision(checkpoint, threads=threads) if precision == "auto" else precision

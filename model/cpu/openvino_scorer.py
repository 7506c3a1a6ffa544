"""The CPU engine for the model with many heads, without torch: OpenVINO, or for bytes without VNNI onnxruntime."""

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
from model.spec.heads import HEADS
from model.spec.options import ExitPolicy, Precision

_FIRST_WINDOW, _WINDOW = 64, 512
"""Posts tokenised at a time, while those before them are scored; while the first are, all streams wait."""
_MAX_DOUBTFUL_TOKENS = 1 << 15
"""Tokens of doubtful posts whose states are held before the last tier runs: at 384 numbers each, 50 MB."""


@dataclass(frozen=True, slots=True)
class _PendingPost:
    """A post and what stands of it before a tier."""

    row: int
    tokens: MarkedTokens
    states: npt.NDArray[np.float32] | None = None
    """(tokens, width); None before the first tier."""


class _ResultHandler(Protocol):
    """Called on a stream's thread with the request that has the answer to a batch, the batch's posts in the order of
    their places, and how they are packed."""

    def __call__(self, request: Request, chosen: list[_PendingPost], batch: PackedBatch) -> None: ...


_Running = list["Future[None]"]
"""The batches of a call that were handed to the streams."""


class OpenVinoScorer:
    """Scores marked posts on the CPU. Several threads may call it: they take turns at handing over their posts.

    With *exit_policy* early, the early heads answer first, and only the posts of which they are not sure enough (the
    manifest's `exit_confidence`) go through the rest of the layers, from where they stand. While *overloaded* says so, which
    is asked at each call, no post goes on: those in doubt keep the early answer and are told apart in `Scores.degraded`.
    *threads* is the number of cores to use, all available ones by default; *precision* `auto` is what this machine was
    found to be fastest at when it first ran these weights (`model.cpu.precision_selection`). The interpreter's lock is free while
    posts are scored.
    """

    heads = tuple(head.name for head in HEADS)

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
        self._threads = threads or available_cores()
        self._precision = _checked_precision(checkpoint, precision, self._threads)
        # One stream leaves cores idle between the small operations; two hide that. More than a few cost memory.
        self._streams = min(self._threads, max(2, self._threads // 4))
        self._sizes = batch_sizes
        if self._precision == ONNXRUNTIME_INT8:
            self._streams, self._sizes = self._threads, even_sizes
        self._overloaded = overloaded or (lambda: False)
        self._early = _uses_early_exit(checkpoint, exit_policy)
        cuts = [0, self._manifest.exit_layer, None] if self._early else [0, None]
        self._tiers = [
            self._compile(checkpoint, first=max(0, (first or 0) - 1), last=last) for first, last in pairwise(cuts)
        ]
        self._hasty: Streams | None = None
        """Answers by the early heads. At full depth a graph of its own: one cut in two, for the states to go in and out
        between, takes a quarter longer for every post, and hardly any is scored in a hurry."""
        if overloaded is not None and _has_early_exit(checkpoint):
            shallow = partial(self._compile, checkpoint, first=0, last=self._manifest.exit_layer)
            self._hasty = self._tiers[0] if self._early else shallow()
        self.version = scorer_version(self._manifest.version, self._precision, *["early"] * self._early)
        self.settled = 0
        """Posts answered by the early heads that were sure, since the start."""
        self.degraded = 0
        """Posts answered by the early heads that were not, since the start."""
        self._handing_over = threading.Lock()
        self._warm_up(checkpoint.config["hidden_size"])

    @property
    def name(self) -> str:
        kind = "onnxruntime int8" if self._precision == ONNXRUNTIME_INT8 else f"openvino {self._precision}"
        return f"{kind}{' early' if self._early else ''}"

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        return self.begin(posts)()

    def begin(self, posts: Sequence[MarkedText]) -> Callable[[], Scores]:
        """As `model.inference.scorer.PipelinedScorer`: back once the streams have all of *posts*, though not through with them."""
        sheet = LogitTable.blank(posts)
        doubtful: list[_PendingPost] = []
        degraded: list[int] = []
        running: _Running = []
        first, keep = self._tiers[0], _result_handler(sheet)
        if self._hasty is not None and self._overloaded():
            first, keep = self._hasty, self._keeping_early(sheet, doubtful, degraded)
        elif self._early:
            keep = self._keeping_early(sheet, doubtful, None)
        with self._handing_over:
            try:
                for window in self._tokenised(posts):
                    self._feed(first, window, keep, running)
                    if sum(len(post.tokens.ids) for post in doubtful) > _MAX_DOUBTFUL_TOKENS:
                        _wait_for(running)
                        self._go_on(doubtful, sheet)
            except BaseException:
                wait(running)
                raise

        def finish() -> Scores:
            _wait_for(running)
            self._go_on(doubtful, sheet)
            self.degraded += len(degraded)
            self.settled += int(sheet.early.sum()) - len(degraded)
            return sheet.scores(self._manifest, degraded)

        return finish

    def _warm_up(self, width: int) -> None:
        """Each stream works on the largest batch once. What it holds for that would else be taken hours later, by the
        first burst: memory that grows is what somebody is woken for."""
        limit = self._manifest.max_tokens
        tokens = MarkedTokens([0] * (min(ROW_LENGTHS[-1], limit) // 2), (1,))
        hasty = [] if self._hasty is None or self._early else [self._hasty]
        for streams in (*self._tiers, *hasty):
            goes_on = self._early and streams is self._tiers[-1]
            states = np.zeros((len(tokens.ids), width), dtype=np.float32) if goes_on else None
            posts = [_PendingPost(row, tokens, states) for row in range(2 * BATCH_ROWS)]
            batch = next(packed_batches([len(tokens.ids)] * len(posts), [tokens.places] * len(posts), limit=limit))
            streams.warm_up(_all_inputs(posts, batch))

    def _tokenised(self, posts: Sequence[MarkedText]) -> Iterator[list[_PendingPost]]:
        """*posts* in windows; the next one is tokenised while the caller works on this one."""

        def tokenise(start: int, end: int) -> list[_PendingPost]:
            tokens = tokenize_marked(
                posts[start:end], self._tokenizer, marker=self._marker, max_tokens=self._manifest.max_tokens
            )
            return [_PendingPost(start + at, post) for at, post in enumerate(tokens)]

        edges = [0, *range(_FIRST_WINDOW, len(posts), _WINDOW), len(posts)]
        with ThreadPoolExecutor(1, thread_name_prefix="tokenise") as thread:
            coming = deque[Future[list[_PendingPost]]]()
            for start, end in pairwise(edges):
                coming.append(thread.submit(tokenise, start, end))
                if len(coming) > 1:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()

    def _feed(self, streams: Streams, posts: Sequence[_PendingPost], keep: _ResultHandler, running: _Running) -> None:
        """Hand *posts* to *streams*, as soon as these take them."""
        lengths, places = [len(post.tokens.ids) for post in posts], [post.tokens.places for post in posts]
        limit = self._manifest.max_tokens
        for batch in packed_batches(lengths, places, limit=limit, lanes=self._streams, sizes=self._sizes):
            chosen = [posts[number] for number in batch.posts.tolist()]
            running.append(streams.start(_all_inputs(chosen, batch), partial(keep, chosen=chosen, batch=batch)))

    def _go_on(self, doubtful: list[_PendingPost], sheet: LogitTable) -> None:
        """Takes all of *doubtful* through the last tier."""
        running: _Running = []
        try:
            # In the order of the posts, whichever stream was first.
            self._feed(self._tiers[-1], sorted(doubtful, key=lambda post: post.row), _result_handler(sheet), running)
        finally:
            _wait_for(running)
        doubtful.clear()

    def _keeping_early(
        self, sheet: LogitTable, doubtful: list[_PendingPost], degraded: list[int] | None
    ) -> _ResultHandler:
        """As `_result_handler`, of the early heads. Posts of which they are not sure go into *doubtful*, or where there is no
        time for that their rows into *degraded*."""
        keep = _result_handler(sheet, early=True)

        def keep_early(request: Request, chosen: list[_PendingPost], batch: PackedBatch) -> None:
            keep(request, chosen, batch)
            rows = np.array([post.row for post in chosen])
            unsure = sheet.doubtful(rows, self._manifest)
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


def _result_handler(sheet: LogitTable, *, early: bool = False) -> _ResultHandler:
    """What a stream calls with the answer to a batch: writes it into *sheet*."""

    def keep(request: Request, chosen: list[_PendingPost], batch: PackedBatch) -> None:
        rows = np.array([post.row for post in chosen])
        counts = np.array([len(post.tokens.places) for post in chosen])
        first = sheet.first_marker[rows] + [post.tokens.skipped for post in chosen]
        post, mention = request.output(0), request.output(1)
        sheet.write(
            rows, post[: len(rows)], concatenated_ranges(first, first + counts), mention[: counts.sum()], early=early
        )

    return keep


def _wait_for(running: _Running) -> None:
    """Waits for all of *running*, and raises what the first of them raised."""
    wait(running)
    for batch in running:
        batch.result()
    running.clear()


def _all_inputs(chosen: Sequence[_PendingPost], batch: PackedBatch) -> list[npt.NDArray[Any]]:
    return [*_inputs(chosen, batch), batch.segments, batch.wanted, batch.firsts, batch.marks]


def _inputs(chosen: Sequence[_PendingPost], batch: PackedBatch) -> list[npt.NDArray[Any]]:
    """What a batch begins with: tokens and their positions, or the states of posts that come from another tier."""
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
        raise ConfigError("These weights do not say when their early heads are sure: use tiers full or auto.")
    return exit_policy != "full" and _has_early_exit(checkpoint)


def _checked_precision(checkpoint: HeadsCheckpoint, precision: Precision, threads: int) -> str:
    if precision.startswith("int8") and not checkpoint.manifest.ranges:
        raise ConfigError("These weights hold no ranges for int8: use precision fp32, bf16 or auto.")
    if precision == ONNXRUNTIME_INT8 and not onnx_is_installed():
        raise ConfigError("Precision int8-onnxruntime needs its packages: pip install 'brandpulse[int8]'.")
    return select_precision(checkpoint, threads=threads) if precision == "auto" else precision

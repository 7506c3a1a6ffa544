"""Scores marked posts in padded batches with any function from a batch to logits: torch, ONNX, TensorRT."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from model.checkpoints.multi_head import HeadsCheckpoint
from model.inference.logits_decoder import Floats, LogitTable, Numbers, concatenated_ranges
from model.inference.scorer import Scores
from model.inputs.target_marking import MarkedText
from model.inputs.token_batches import MarkedBatch, MarkedTokens, marked_batches, tokenize_marked
from model.spec.heads import POST_HEADS

_WINDOW = 1024
"""Posts tokenized in one call."""
_MAX_PENDING = 3
"""Batches submitted to the other thread and not finished."""

LogitsFunction = Callable[[MarkedBatch, "MarkerPositions"], dict[str, Floats]]
"""From a batch, and row and position of each marker (padding included), to the logits of each head by name:
(batch, labels), or (markers, labels) for the head that reads mentions."""
MarkerPositions = np.ndarray[tuple[int, int], np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class _PendingBatch:
    """A submitted batch and the posts it contains."""

    rows: Numbers
    """(batch,): indexes of its posts."""
    tokens: Sequence[MarkedTokens]
    batch: MarkedBatch
    places: MarkerPositions


def score_padded(
    posts: Sequence[MarkedText], checkpoint: HeadsCheckpoint, logits: LogitsFunction, *, batch_size: int
) -> Scores:
    """`Scorer.score` at full depth. *logits* is called by one other thread, one batch at a time.

    While the device computes one batch, this thread tokenizes the next and stores the results of the previous one.
    """
    table = LogitTable.for_posts(posts)
    waiting = deque[tuple[_PendingBatch, Future[dict[str, Floats]]]]()
    with ThreadPoolExecutor(1, thread_name_prefix="forward") as forward:
        for given in _batches(posts, checkpoint, batch_size):
            waiting.append((given, forward.submit(logits, given.batch, given.places)))
            if len(waiting) > _MAX_PENDING:
                _write(table, *waiting.popleft())
        while waiting:
            _write(table, *waiting.popleft())
    return table.scores(checkpoint.manifest)


def _batches(posts: Sequence[MarkedText], checkpoint: HeadsCheckpoint, batch_size: int) -> Iterator[_PendingBatch]:
    for start in range(0, len(posts), _WINDOW):
        tokens = tokenize_marked(
            posts[start : start + _WINDOW],
            checkpoint.tokenizer,
            marker=checkpoint.marker,
            max_tokens=checkpoint.manifest.max_tokens,
        )
        for batch in marked_batches(tokens, batch_size=batch_size):
            size, read = batch.wanted.shape
            places = np.stack([np.repeat(np.arange(size), read - 1), batch.wanted[:, 1:].reshape(-1)], axis=1)
            chosen = [tokens[row] for row in batch.rows]
            yield _PendingBatch(np.array(batch.rows) + start, chosen, batch, places.astype(np.int64))


def _write(table: LogitTable, given: _PendingBatch, said: Future[dict[str, Floats]]) -> None:
    found = said.result()
    size, read = given.batch.wanted.shape
    counts = np.array([len(post.places) for post in given.tokens], dtype=np.int64)
    skipped = np.array([post.skipped for post in given.tokens], dtype=np.int64)
    first = table.first_marker[given.rows] + skipped
    there = np.arange(read - 1) < counts[:, None]  # (batch, markers)
    mention = found["target"].reshape(size, read - 1, -1)[there]
    table.write(given.rows, _post_logits(found), concatenated_ranges(first, first + counts), mention)


def _post_logits(found: dict[str, Floats]) -> Floats:
    return np.concatenate([found[head.name] for head in POST_HEADS], axis=1)

"""Scores marked posts in padded batches with whatever computes logits: torch, an exported graph, a TensorRT engine."""

from collections.abc import Callable, Sequence

import numpy as np

from model.encoding import MarkedBatch, marked_batches, tokens_of
from model.engine import Scores
from model.heads_checkpoint import HeadsCheckpoint
from model.marking import MarkedText
from model.sheet import POST_HEADS, Floats, Sheet, spans

_WINDOW = 4096

Logits = Callable[[MarkedBatch, "Places"], dict[str, Floats]]
"""A batch, and row and position of each of its places (markers and padding), to the logits of each head by its name:
(batch, labels), or (places, labels) for the head that reads mentions."""
Places = np.ndarray[tuple[int, int], np.dtype[np.int64]]


def score_padded(
    posts: Sequence[MarkedText], checkpoint: HeadsCheckpoint, logits: Logits, *, batch_size: int
) -> Scores:
    """What `Scorer.score` promises, at full depth."""
    sheet = Sheet.blank(posts)
    for start in range(0, len(posts), _WINDOW):
        tokens = tokens_of(
            posts[start : start + _WINDOW],
            checkpoint.tokenizer,
            marker=checkpoint.marker,
            max_tokens=checkpoint.manifest.max_tokens,
        )
        for batch in marked_batches(tokens, batch_size=batch_size):
            size, read = batch.wanted.shape
            marks = batch.wanted[:, 1:]
            places = np.stack([np.repeat(np.arange(size), read - 1), marks.reshape(-1)], axis=1)
            found = logits(batch, places.astype(np.int64))
            rows = np.array(batch.rows) + start
            counts = np.array([len(tokens[row].places) for row in batch.rows])
            first = sheet.first_marker[rows] + [tokens[row].skipped for row in batch.rows]
            there = np.arange(read - 1) < counts[:, None]  # (batch, markers)
            mention = found["target"].reshape(size, read - 1, -1)[there]
            sheet.write(rows, _side_by_side(found), spans(first, first + counts), mention)
    return sheet.scores(checkpoint.manifest)


def _side_by_side(found: dict[str, Floats]) -> Floats:
    return np.concatenate([found[head.name] for head in POST_HEADS], axis=1)

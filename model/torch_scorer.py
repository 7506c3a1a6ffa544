"""The GPU engine for the model with many heads: torch, bfloat16 on CUDA; it runs on a CPU too."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model.encoding import MarkedBatch, marked_batches, tokens_of
from model.engine import Scores
from model.heads import HEADS
from model.heads_checkpoint import HeadsCheckpoint, load_heads
from model.marking import MarkedText
from model.sheet import POST_HEADS, Floats, Sheet, spans

_WINDOW = 4096


class TorchScorer:
    """Scores marked posts on CUDA where there is one, else on the CPU, at full depth; one thread at a time.

    *threads* is the number of CPU cores torch may use; it holds for the whole process.
    """

    heads = tuple(head.name for head in HEADS)

    def __init__(self, weights: Path, *, threads: int | None = None) -> None:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        import torch

        self._checkpoint = load_heads(weights)
        if threads is not None:
            torch.set_num_threads(threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._dtype = torch.bfloat16 if self._device.type == "cuda" else torch.float32
        self._model = multi_head(self._checkpoint).to(self._device, self._dtype).eval()
        self._batch_size = 256 if self._device.type == "cuda" else 32
        self.version = self._checkpoint.manifest.version

    @property
    def name(self) -> str:
        return f"torch {self._device.type} {'bf16' if self._device.type == 'cuda' else 'fp32'}"

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        checkpoint = self._checkpoint
        sheet = Sheet.blank(posts)
        for start in range(0, len(posts), _WINDOW):
            tokens = tokens_of(
                posts[start : start + _WINDOW],
                checkpoint.tokenizer,
                marker=checkpoint.marker,
                max_tokens=checkpoint.manifest.max_tokens,
            )
            for batch in marked_batches(tokens, batch_size=self._batch_size):
                post, mention = self._logits(batch)
                rows = np.array(batch.rows) + start
                counts = np.array([len(tokens[row].places) for row in batch.rows])
                first = sheet.first_marker[rows] + [tokens[row].skipped for row in batch.rows]
                there = np.arange(mention.shape[1]) < counts[:, None]  # (batch, markers)
                sheet.write(rows, post, spans(first, first + counts), mention[there])
        return sheet.scores(checkpoint.manifest)

    def _logits(self, batch: MarkedBatch) -> tuple[Floats, Floats]:
        import torch

        size, read = batch.wanted.shape
        marks = batch.wanted[:, 1:]
        places = np.stack([np.repeat(np.arange(size), read - 1), marks.reshape(-1)], axis=1)  # (batch x markers, 2)
        with torch.inference_mode():
            ids = torch.from_numpy(batch.ids).to(self._device, torch.long)
            mask = torch.from_numpy(batch.mask).to(self._device, torch.long)
            full, _ = self._model(ids, mask, torch.from_numpy(places).to(self._device, torch.long))
            found = {name: logits.float().cpu().numpy() for name, logits in full.items()}
        post = np.concatenate([found[head.name] for head in POST_HEADS], axis=1)
        return post, found["target"].reshape(size, read - 1, -1)


def multi_head(checkpoint: HeadsCheckpoint) -> Any:
    """The checkpoint as `model.multihead.MultiHead`, on the CPU in float32."""
    import torch

    from model.multihead import MultiHead

    model = MultiHead.from_config(checkpoint.config)
    tensors = {name: torch.from_numpy(tensor) for name, tensor in checkpoint.tensors.items()}
    model.load_state_dict(tensors, assign=True)
    return model

"""The GPU engine for the model with many heads: torch, bfloat16 on CUDA, float32 on a CPU."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.checkpoints.multi_head import HeadsCheckpoint, load_heads
from model.inference.logits_decoder import Floats
from model.inference.padded_scoring import MarkerPositions, score_padded
from model.inference.scorer import Scores, scorer_version
from model.inputs.target_marking import MarkedText
from model.inputs.token_batches import MarkedBatch


class TorchScorer:
    """Scores marked posts at full depth on CUDA if present, else on the CPU; one thread at a time.

    *threads* is the number of CPU cores that torch may use in the whole process.
    """

    def __init__(self, weights: Path, *, threads: int | None = None) -> None:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        import torch

        self._checkpoint = load_heads(weights)
        self.heads = self._checkpoint.manifest.answered
        if threads is not None:
            torch.set_num_threads(threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._dtype = torch.bfloat16 if self._device.type == "cuda" else torch.float32
        self._model = multi_head(self._checkpoint).to(self._device, self._dtype).eval()
        self._batch_size = 256 if self._device.type == "cuda" else 32
        self._precision = "bf16" if self._dtype == torch.bfloat16 else "fp32"
        self.version = scorer_version(self._checkpoint.manifest.version, self._precision)

    @property
    def name(self) -> str:
        return f"torch {self._device.type} {self._precision}"

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        return score_padded(posts, self._checkpoint, self._logits, batch_size=self._batch_size)

    def _logits(self, batch: MarkedBatch, places: MarkerPositions) -> dict[str, Floats]:
        import torch

        with torch.inference_mode():
            ids = torch.from_numpy(batch.ids).to(self._device, torch.long)
            mask = torch.from_numpy(batch.mask).to(self._device, torch.long)
            full, _ = self._model(ids, mask, torch.from_numpy(places).to(self._device))
            return {name: logits.float().cpu().numpy() for name, logits in full.items()}


def multi_head(checkpoint: HeadsCheckpoint) -> Any:
    """The checkpoint as `model.graphs.torch_multihead.MultiHead`, on the CPU in float32."""
    import torch

    from model.graphs.torch_multihead import MultiHead

    model = MultiHead.from_config(checkpoint.config, from_sentiment=checkpoint.from_sentiment)
    if not checkpoint.manifest.exit_layer:
        model.exit = None
    tensors = {name: torch.from_numpy(tensor) for name, tensor in checkpoint.tensors.items()}
    model.load_state_dict(tensors, assign=True)
    return model

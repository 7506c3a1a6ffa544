"""The GPU engine for whole posts: torch and transformers, bfloat16 on CUDA, float32 on a CPU."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model.checkpoints.tensor_files import Floats
from model.checkpoints.whole_post import WholePostCheckpoint, load_whole_post
from model.inference.probabilities import softmax
from model.inference.scorer import Probabilities, scorer_version
from model.inputs.token_batches import TokenBatch, token_batches
from model.spec.heads import SENTIMENT

WHOLE_POST_NAMES = {"heads.dense.sentiment.": "bert.pooler.dense.", "heads.out.sentiment.": "classifier."}
"""Tensor names of the head `sentiment` -> their names in BertForSequenceClassification: the same computation."""


class TorchClassifier:
    """Scores posts with a BERT classifier on CUDA if present, else on the CPU; one thread at a time.

    *threads* is the number of CPU cores that torch may use in the whole process.
    """

    def __init__(self, weights: Path, *, threads: int | None = None) -> None:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        import torch

        checkpoint = load_whole_post(weights)
        if threads is not None:
            torch.set_num_threads(threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._dtype = torch.bfloat16 if self._device.type == "cuda" else torch.float32
        self._model = bert_classifier(checkpoint).to(self._device, self._dtype).eval()
        self._temperature = checkpoint.manifest.temperature
        self._tokenizer = checkpoint.tokenizer
        self._batch_size = 256 if self._device.type == "cuda" else 32
        self._precision = "bf16" if self._dtype == torch.bfloat16 else "fp32"
        self.version = scorer_version(checkpoint.manifest.version, self._precision)

    @property
    def name(self) -> str:
        return f"torch {self._device.type} {self._precision}"

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        logits = np.zeros((len(texts), len(SENTIMENT)), dtype=np.float32)
        if not texts:
            return logits
        for batch in token_batches(texts, self._tokenizer, batch_size=self._batch_size):
            logits[batch.rows] = self._logits(batch)
        return softmax(logits / self._temperature).astype(np.float32)

    def _logits(self, batch: TokenBatch) -> Any:
        import torch

        with torch.inference_mode():
            ids = torch.from_numpy(batch.ids).to(self._device, torch.long)
            mask = torch.from_numpy(batch.mask).to(self._device, torch.long)
            return self._model(input_ids=ids, attention_mask=mask).logits.float().cpu().numpy()  # (batch, 3)


def bert_classifier(checkpoint: WholePostCheckpoint) -> Any:
    """The checkpoint as transformers' `BertForSequenceClassification`, on the CPU in float32."""
    return _bert_classifier(checkpoint.config, checkpoint.tensors)


def _bert_classifier(config: Mapping[str, Any], tensors: Mapping[str, Floats]) -> Any:
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    # The config of a trained encoder names no labels, and transformers then builds a classifier for two.
    names = {"id2label": dict(enumerate(SENTIMENT)), "label2id": {label: at for at, label in enumerate(SENTIMENT)}}
    model = BertForSequenceClassification(BertConfig(**dict(config) | names))
    model.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()}, assign=True)
    return model


def whole_post_bert(weights: Path) -> tuple[Any, int]:
    """The weights folder as transformers' `BertForSequenceClassification` for sentiment, and its maximum tokens.

    For weights with many heads, the head `sentiment` becomes pooler and classifier.
    """
    from model.checkpoints.multi_head import load_heads
    from model.checkpoints.weights_folder import kind_of
    from model.spec.weights import MULTI_HEAD

    if kind_of(weights) != MULTI_HEAD:
        checkpoint = load_whole_post(weights)
        return bert_classifier(checkpoint), checkpoint.manifest.max_tokens
    multi_head = load_heads(weights)
    tensors = {name: tensor for name, tensor in multi_head.tensors.items() if name.startswith("bert.")}
    for ours, theirs in WHOLE_POST_NAMES.items():
        tensors |= {theirs + part: multi_head.tensors[ours + part] for part in ("weight", "bias")}
    return _bert_classifier(multi_head.config, tensors), multi_head.manifest.max_tokens

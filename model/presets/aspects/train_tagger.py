"""Trains a copy of the encoder to tag aspect terms."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from model.checkpoints.tensor_files import write_tensors
from model.presets.aspects.bio_tags import TAGS, UNTAGGED, tag_pieces
from model.presets.aspects.data import Sentence
from model.presets.aspects.tagger import KIND
from model.training.data.batches import bucketed_batches, pad_tokens
from model.training.fit.initial_weights import initial_network, tokenizer_of
from model.training.fit.loop import fit
from model.training.fit.recipe import Schedule
from model.training.fit.run_state import claim_run, fingerprint

Tagged = tuple[np.ndarray[Any, np.dtype[np.int32]], list[int]]
"""Token ids, and one tag per token."""


class TaggerNet(nn.Module):
    """An encoder and one dense layer on each token's state."""

    def __init__(self, encoder: nn.Module, width: int) -> None:
        super().__init__()
        self.bert = encoder
        self.tagger = nn.Linear(width, len(TAGS))

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Logits (batch, length, 3)."""
        logits: Tensor = self.tagger(self.bert(input_ids=ids, attention_mask=mask).last_hidden_state)
        return logits


class TaggerTask:
    """The training task for `model.training.fit.loop.fit`."""

    def __init__(self, model: TaggerNet, schedule: Schedule, rows: Sequence[Tagged]) -> None:
        self.model = model
        self._schedule = schedule
        self._rows = rows

    def batches(self, epoch: int) -> Sequence[list[Tagged]]:
        generator = np.random.default_rng([self._schedule.seed, epoch])
        lengths = [len(ids) for ids, _ in self._rows]
        size, span = self._schedule.batch_size, self._schedule.bucket_batches
        return bucketed_batches(self._rows, lengths, size=size, span=span, generator=generator)

    def size(self, batch: list[Tagged]) -> int:
        return len(batch)

    def loss(self, batch: list[Tagged], step: int) -> Tensor:
        device = self.model.tagger.weight.device
        ids, mask = (tensor.to(device) for tensor in pad_tokens([ids for ids, _ in batch]))
        gold = torch.full(ids.shape, UNTAGGED)
        for row, (_, said) in enumerate(batch):
            gold[row, : len(said)] = torch.tensor(said)
        logits = self.model(ids, mask).float()
        return functional.cross_entropy(logits.flatten(0, 1), gold.to(device).flatten(), ignore_index=UNTAGGED)

    def weights(self) -> Mapping[str, Tensor]:
        return self.model.state_dict()

    def figure(self) -> float:
        raise NotImplementedError("the tagger's schedule has no patience")


def train_tagger(
    given: Sequence[Sentence], out: Path, *, schedule: Schedule, base: Path, facts: Mapping[str, object]
) -> dict[str, Any]:
    """Trains a tagger on *given*, writes its folder and returns its manifest; `{out}.run` keeps the resumable state.

    *base* is a folder with packed weights, or with an encoder in the format of transformers. *facts* are added to the
    manifest.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    begun = initial_network(base, (sentence.text for sentence in given), seed=schedule.seed)
    tokenizer = tokenizer_of(begun.tokenizer)
    encodings = tokenizer.encode_batch([sentence.text for sentence in given])
    rows: list[Tagged] = []
    for sentence, encoding in zip(given, encodings, strict=True):
        length = min(len(encoding.ids), schedule.max_tokens)
        ids = np.array([*encoding.ids[: length - 1], encoding.ids[-1]], dtype=np.int32)
        rows.append((ids, [*tag_pieces(encoding, sentence.spans(), length - 1), UNTAGGED]))
    model = TaggerNet(begun.model.bert, begun.config["hidden_size"])
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    run = out.with_name(out.name + ".run")
    claim_run(run, fingerprint(schedule.model_dump(), str(base), [(ids.tolist(), said) for ids, said in rows]))
    progress = fit(TaggerTask(model, schedule, rows), schedule, run)
    manifest = {
        "kind": KIND,
        "name": schedule.name,
        "tags": TAGS,
        "max_tokens": schedule.max_tokens,
        "base_model": begun.name,
        "recipe": schedule.model_dump(mode="json"),
        "sentences": len(given),
        "seconds": round(progress.seconds),
    } | dict(facts)
    out.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().float().cpu().numpy() for name, tensor in model.state_dict().items()}
    write_tensors(out / "model.safetensors", tensors)
    for name, text in (("config.json", json.dumps(begun.config)), ("tokenizer.json", begun.tokenizer)):
        (out / name).write_text(text, encoding="utf-8")
    (out / "model.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(run)
    return manifest

"""`brandpulse model adapt`: continues an encoder's masked-word training on unlabelled posts.

The result is an encoder folder in the format of transformers, for `brandpulse model train --base`.
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from brandpulse.errors import ConfigError
from brandpulse.text.normalization import normalize
from model.data.labelled_posts import leak_key
from model.training.data.batches import Ids, bucketed_batches, pad_tokens, token_ids
from model.training.data.custom_file import texts_of
from model.training.fit.recipe import MlmRecipe

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

_IGNORED = -100


def adapt(
    files: Sequence[Path], out: Path, *, recipe: MlmRecipe, base: Path, tests: Sequence[Path] = ()
) -> tuple[float, float]:
    """Trains the encoder in *base* to predict masked words of the posts in *files*; returns the loss on held-out posts
    before and after.

    *files* are CSV or JSON lines with `text`, or plain text with one post per line. Posts of *tests* are left out. The
    folder `{out}.run` keeps the state to resume a killed run.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch
    from transformers import BertForMaskedLM

    from model.inputs.vocabulary import embed_new_tokens, extend_tokenizer
    from model.training.fit.initial_weights import tokenizer_of
    from model.training.fit.loop import fit
    from model.training.fit.progress_log import log_progress
    from model.training.fit.run_state import claim_run, fingerprint, is_first_process, own_device

    texts = distinct_texts(files, tests)
    if len(texts) < 2:
        raise ConfigError(f"--data: {', '.join(map(str, files))} has {len(texts)} usable posts, at least 2 are needed")
    run = out.with_name(out.name + ".run")
    claim_run(run, fingerprint(recipe.model_dump(), str(base), texts))
    description, new_words = extend_tokenizer(base / "tokenizer.json", texts)
    tokenizer = tokenizer_of(description)
    torch.manual_seed(recipe.seed)
    model = BertForMaskedLM.from_pretrained(base, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    table = model.get_input_embeddings().weight
    table.data.copy_(torch.from_numpy(embed_new_tokens(table.detach().numpy(), new_words, tokenizer)))
    model.to(own_device())
    task = MlmTask(model, recipe, texts, tokenizer)
    before = -task.figure()
    fit(task, recipe, run)
    after = -task.figure()
    if is_first_process():
        model.bert.save_pretrained(out)
        (out / "tokenizer.json").write_text(description, encoding="utf-8")
        shutil.copyfile(run / "owner.json", out / "owner.json")
        report = {"recipe": recipe.model_dump(mode="json"), "posts": len(texts), "loss": [before, after]}
        (out / "training.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    log_progress("adapted", posts=len(texts), loss_before=before, loss_after=after)
    return before, after


def distinct_texts(files: Iterable[Path], tests: Iterable[Path] = ()) -> list[str]:
    """The distinct normalized texts of *files*, without empty ones and those in *tests*."""
    seen = {""} | {leak_key(text) for path in tests for text in texts_of(path)}
    found: list[str] = []
    for path in files:
        for text in texts_of(path):
            key = leak_key(text)
            if key not in seen:
                seen.add(key)
                found.append(normalize(text))
    return found


class MlmTask:
    """Predicts masked words. The recipe's share of the posts is held out for validation."""

    def __init__(self, model: Any, recipe: MlmRecipe, texts: Sequence[str], tokenizer: "Tokenizer") -> None:
        self.model = model
        self._recipe = recipe
        self._mask = _token(tokenizer, "[MASK]")
        self._special = sorted({0, *(_token(tokenizer, name) for name in ("[CLS]", "[SEP]"))})
        self._words = tokenizer.get_vocab_size()
        posts = token_ids(texts, tokenizer, recipe.max_tokens)
        order = np.random.default_rng(recipe.seed).permutation(len(posts)).tolist()
        held_out = max(1, round(recipe.validation * len(posts)))
        self._train = [posts[at] for at in order[held_out:]]
        self._validation = [posts[at] for at in order[:held_out]]

    def batches(self, epoch: int) -> Sequence[list[Ids]]:
        recipe, generator = self._recipe, np.random.default_rng([self._recipe.seed, epoch])
        lengths = [len(post) for post in self._train]
        return bucketed_batches(
            self._train, lengths, size=recipe.batch_size, span=recipe.bucket_batches, generator=generator
        )

    def size(self, batch: list[Ids]) -> int:
        return len(batch)

    def loss(self, batch: list[Ids], step: int) -> "Tensor":
        return self._loss(batch, np.random.default_rng([self._recipe.seed, 1, step]))

    def weights(self) -> "Mapping[str, Tensor]":
        found: Mapping[str, Tensor] = self.model.bert.state_dict()
        return found

    def figure(self) -> float:
        """Minus the mean loss on the held-out posts, always with the same masks."""
        import torch

        generator = np.random.default_rng([self._recipe.seed, 2])
        size = self._recipe.batch_size
        parts = [self._validation[at : at + size] for at in range(0, len(self._validation), size)]
        self.model.eval()
        with torch.inference_mode():
            losses = [float(self._loss(part, generator)) * len(part) for part in parts]
        self.model.train()
        return -sum(losses) / len(self._validation)

    def _loss(self, batch: list[Ids], generator: np.random.Generator) -> "Tensor":
        import torch

        ids, mask = pad_tokens(batch)
        shown, gold = mask_tokens(
            ids.numpy(), self._recipe.masked, generator, mask=self._mask, special=self._special, words=self._words
        )
        device: torch.device = next(self.model.parameters()).device
        states = self.model.bert(torch.from_numpy(shown).to(device), mask.to(device)).last_hidden_state
        asked = torch.from_numpy(gold != _IGNORED).to(device)
        # Only masked tokens are projected to the vocabulary: 30,000 columns per token would be most of the work.
        logits = self.model.cls(states[asked]).float()
        return torch.nn.functional.cross_entropy(logits, torch.from_numpy(gold).to(device)[asked])


def mask_tokens(
    ids: np.ndarray[Any, np.dtype[np.int64]],
    share: float,
    generator: np.random.Generator,
    *,
    mask: int,
    special: Sequence[int],
    words: int,
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.int64]]]:
    """The masked *ids* (batch, length), and the tokens to predict, -100 elsewhere (Devlin et al., 2019).

    A *share* of the tokens, at least one per batch and never *special* ones, is predicted: 80 % are replaced by *mask*,
    10 % by any of *words* tokens, 10 % stay.
    """
    plain = ~np.isin(ids, special)
    asked = plain & (generator.random(ids.shape) < share)
    if not asked.any() and plain.any():
        asked.flat[int(np.flatnonzero(plain)[generator.integers(plain.sum())])] = True
    gold = np.where(asked, ids, _IGNORED)
    fate = generator.random(ids.shape)
    shown = np.where(asked & (fate < 0.8), mask, ids)
    other = asked & (fate >= 0.8) & (fate < 0.9)
    return np.where(other, generator.integers(words, size=ids.shape), shown), gold


def _token(tokenizer: "Tokenizer", name: str) -> int:
    found = tokenizer.token_to_id(name)
    if found is None:
        raise ConfigError(f"The tokenizer has no token {name}.")
    return found

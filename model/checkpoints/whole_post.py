"""The weights folder that every engine loads: written by the training, read without torch.

model.safetensors   float16 tensors under the names of Hugging Face's BertForSequenceClassification;
                    the word table is int8 with one float32 scale per row beside it (`….weight.scale`)
config.json         the encoder's sizes, as transformers writes it
tokenizer.json      the tokeniser, as the `tokenizers` library reads it
model.json          `Manifest`: labels, temperature, version and where the weights come from
report.json         figures on the validation part, written by `brandpulse model evaluate`
"""

import hashlib
import json
import shutil
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from brandpulse.config.validation import reason_of
from brandpulse.errors import ConfigError
from model.inference.scorer import LABELS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WORD_TABLE = "bert.embeddings.word_embeddings.weight"
SCALE = ".scale"
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What `model.json` says about the weights beside it."""

    name: str
    version: str
    """First 12 hexadecimal digits of the SHA-256 of `model.safetensors`."""
    labels: tuple[str, ...]
    temperature: float
    max_tokens: int
    base_model: str
    data: str
    command: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Least and largest value that enters each dense layer, for int8; empty: no int8."""
    languages: tuple[str, ...] = ()
    """ISO 639-1 codes of the languages that it reads; empty: whatever it is given."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A weights folder in memory."""

    manifest: Manifest
    config: Mapping[str, Any]
    tensors: Mapping[str, Floats]
    """float32, under the names of BertForSequenceClassification."""
    tokenizer: "Tokenizer"
    """Cuts at the manifest's `max_tokens`."""


def pack(
    folder: Path, tensors: Mapping[str, Floats], *, config: Mapping[str, Any], tokenizer: Path, manifest: Manifest
) -> Manifest:
    """Writes a weights folder and returns its manifest with the version filled in."""
    folder.mkdir(parents=True, exist_ok=True)
    write_stored(folder / "model.safetensors", stored_form(tensors))
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    manifest = replace(manifest, version=_version(folder / "model.safetensors"))
    write_manifest(folder, manifest)
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    (folder / "model.json").write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")


def load(folder: Path) -> Checkpoint:
    """The weights folder in memory. Raises ConfigError naming it when it is missing, damaged or of another kind."""
    from safetensors import SafetensorError

    try:
        manifest = read_manifest(folder)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        version = _version(folder / "model.safetensors")
        stored = read_stored(folder / "model.safetensors")
        tokenizer = load_tokenizer(folder / "tokenizer.json", max_tokens=manifest.max_tokens)
        checkpoint = Checkpoint(manifest, config, restored(stored), tokenizer)
        _check_sizes(checkpoint)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, struct.error) as error:
        raise unusable(folder, reason_of(error)) from error
    if version != manifest.version:
        raise unusable(folder, f"model.safetensors is {version}, but model.json was written for {manifest.version}")
    return checkpoint


def read_manifest(folder: Path) -> Manifest:
    """`model.json` of a weights folder. Raises OSError, ValueError, KeyError or TypeError when it cannot be read."""
    fields = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    manifest = Manifest(**fields | {"labels": tuple(fields["labels"])})
    if manifest.labels != LABELS or not manifest.temperature > 0:
        raise ValueError(f"labels {manifest.labels}, temperature {manifest.temperature}; expected {LABELS} and above 0")
    return manifest


def load_tokenizer(path: Path, *, max_tokens: int) -> "Tokenizer":
    """The tokeniser of a weights folder, cutting at *max_tokens*, without padding. Raises ValueError or OSError."""
    from tokenizers import Tokenizer

    description = path.read_text(encoding="utf-8")
    try:
        tokenizer = Tokenizer.from_str(description)
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(f"{path.name}: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def stored_form(tensors: Mapping[str, Floats]) -> dict[str, npt.NDArray[Any]]:
    """The tensors as stored. The word table is half of all weights, and only looked up: 8 bits a number are enough."""
    stored: dict[str, npt.NDArray[Any]] = {
        name: np.ascontiguousarray(tensor.astype(np.float16)) for name, tensor in tensors.items() if name != WORD_TABLE
    }
    table = tensors[WORD_TABLE]
    scale = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12).astype(np.float32) / 127  # (words, 1)
    return stored | {WORD_TABLE: np.rint(table / scale).astype(np.int8), WORD_TABLE + SCALE: scale}


def restored(stored: Mapping[str, npt.NDArray[Any]]) -> dict[str, Floats]:
    """The tensors as computed with: float32, the word table multiplied out."""
    tensors = {name: tensor.astype(np.float32) for name, tensor in stored.items()}
    scale = tensors.pop(WORD_TABLE + SCALE)
    return tensors | {WORD_TABLE: tensors[WORD_TABLE] * scale}


def write_stored(path: Path, stored: Mapping[str, npt.NDArray[Any]]) -> None:
    from safetensors.numpy import save_file

    save_file(dict(stored), path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors writes 0600; the service runs as another user


def read_stored(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Raises OSError or SafetensorError."""
    from safetensors.numpy import load_file

    return dict(load_file(path))


def _check_sizes(checkpoint: Checkpoint) -> None:
    """Raises ValueError or KeyError unless the tensors are a BERT of the sizes in the config with three classes."""
    width, words = checkpoint.config["hidden_size"], checkpoint.config["vocab_size"]
    expected = {WORD_TABLE: (words, width), "classifier.weight": (len(LABELS), width)}
    for name, shape in expected.items():
        if checkpoint.tensors[name].shape != shape:
            raise ValueError(f"{name} has shape {checkpoint.tensors[name].shape}, expected {shape}")
    if checkpoint.config["model_type"] != "bert" or checkpoint.config["hidden_act"] != "gelu":
        raise ValueError("only BERT encoders with gelu are read")
    if not all(np.isfinite(tensor).all() for tensor in checkpoint.tensors.values()):
        raise ValueError("the weights hold values that are not numbers")


def unusable(folder: Path, reason: str) -> ConfigError:
    """The error that names *folder*, what is wrong with it, and what to do."""
    return ConfigError(
        f"The model weights in {folder} cannot be used: {reason}. Restore the folder from the repository, "
        "or point to another one with model.safetensors, config.json, tokenizer.json and model.json in it."
    )


def _version(weights: Path) -> str:
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]

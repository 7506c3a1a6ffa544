"""Weights with one head: the sentiment of whole posts. Written by the training, read without torch.

The files are those of `model.checkpoints.weights_folder`; tensors have the names of Hugging Face's
BertForSequenceClassification, and `model.json` holds a `WholePostManifest`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.checkpoints.tensor_files import WORD_TABLE, Floats
from model.checkpoints.weights_folder import (
    TENSORS,
    TOKENIZER,
    check_encoder,
    read_manifest_file,
    read_network,
    read_tokenizer,
    reading,
    unusable,
    write_manifest_file,
    write_network,
)
from model.spec.heads import SENTIMENT

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class WholePostManifest:
    """The content of `model.json`."""

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
    """Smallest and largest input of each dense layer, for int8; empty: int8 is not available."""
    languages: tuple[str, ...] = ()
    """ISO 639-1 codes of the supported languages; empty: every language is scored."""


@dataclass(frozen=True, slots=True)
class WholePostCheckpoint:
    """A weights folder in memory."""

    manifest: WholePostManifest
    config: Mapping[str, Any]
    tensors: Mapping[str, Floats]
    """float32, under the names of BertForSequenceClassification."""
    tokenizer: "Tokenizer"
    """Truncates at the manifest's `max_tokens`."""


def pack_whole_post(
    folder: Path,
    tensors: Mapping[str, Floats],
    *,
    config: Mapping[str, Any],
    tokenizer: Path,
    manifest: WholePostManifest,
    layers_in_int8: bool = False,
) -> WholePostManifest:
    """Writes a weights folder and returns its manifest with the version filled in."""
    write_network(folder, tensors, config=config, tokenizer=tokenizer, layers_in_int8=layers_in_int8)
    manifest = replace(manifest, version=_version(folder))
    write_manifest(folder, manifest)
    return manifest


def write_manifest(folder: Path, manifest: WholePostManifest) -> None:
    write_manifest_file(folder, asdict(manifest))


def load_whole_post(folder: Path) -> WholePostCheckpoint:
    """The weights folder in memory. Raises ConfigError that names it when it is missing, damaged or of another kind."""
    with reading(folder):
        manifest = read_manifest(folder)
        version = _version(folder)
        config, tensors = read_network(folder)
        tokenizer = truncating_tokenizer(folder / TOKENIZER, max_tokens=manifest.max_tokens)
        width, words = config["hidden_size"], config["vocab_size"]
        check_encoder(config, tensors, {WORD_TABLE: (words, width), "classifier.weight": (len(SENTIMENT), width)})
    if version != manifest.version:
        raise unusable(folder, f"model.safetensors is {version}, but model.json was written for {manifest.version}")
    return WholePostCheckpoint(manifest, config, tensors, tokenizer)


def read_manifest(folder: Path) -> WholePostManifest:
    """`model.json` of a weights folder. Raises OSError, ValueError, KeyError or TypeError when it cannot be read."""
    fields = read_manifest_file(folder)
    manifest = WholePostManifest(**fields | {"labels": tuple(fields["labels"])})
    if manifest.labels != SENTIMENT or not manifest.temperature > 0:
        raise ValueError(
            f"labels {manifest.labels}, temperature {manifest.temperature}; "
            f"expected {SENTIMENT} and a temperature above 0"
        )
    return manifest


def truncating_tokenizer(path: Path, *, max_tokens: int) -> "Tokenizer":
    """The tokenizer in *path*; it truncates at *max_tokens* and does not pad. Raises ValueError or OSError."""
    tokenizer = read_tokenizer(path)
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def _version(folder: Path) -> str:
    with (folder / TENSORS).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]

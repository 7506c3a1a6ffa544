"""What every kind of weights folder shares: its files, its checks and its error messages.

model.safetensors   tensors, see `model.checkpoints.tensor_files`
config.json         the encoder's sizes, as transformers writes it
tokenizer.json      the tokenizer, as the `tokenizers` library reads it
model.json          the manifest; its field `kind` says which manifest it is
report.json         figures on the validation part
"""

import json
import shutil
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from brandpulse.config.validation import reason_of
from brandpulse.errors import ConfigError
from model.checkpoints.tensor_files import Floats, read_tensors, write_tensors
from model.spec.weights import MULTI_HEAD, WHOLE_POST

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TEACHER = "mpnet"
"""The `model_type` of encoders that only torch runs."""

TENSORS, CONFIG, TOKENIZER, MANIFEST = "model.safetensors", "config.json", "tokenizer.json", "model.json"


def kind_of(folder: Path) -> str:
    """`multi-head` or `whole-post`, as `model.json` of *folder* says. Raises ConfigError when it cannot be read."""
    try:
        kind = json.loads((folder / MANIFEST).read_text(encoding="utf-8")).get("kind", WHOLE_POST)
    except (OSError, ValueError, AttributeError) as error:
        raise unusable(folder, reason_of(error)) from error
    if kind not in (MULTI_HEAD, WHOLE_POST):
        raise unusable(folder, f"model.json has kind {kind!r}, expected {MULTI_HEAD!r} or {WHOLE_POST!r}")
    return str(kind)


def write_network(
    folder: Path,
    tensors: Mapping[str, Floats],
    *,
    config: Mapping[str, Any],
    tokenizer: Path,
    layers_in_int8: bool = False,
) -> None:
    """Writes tensors, config and tokenizer: everything but the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / TENSORS, tensors, layers_in_int8=layers_in_int8)
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    if tokenizer.resolve() != (folder / TOKENIZER).resolve():
        shutil.copyfile(tokenizer, folder / TOKENIZER)


def read_network(folder: Path) -> tuple[dict[str, Any], dict[str, Floats]]:
    """Config, and tensors in float32. Call it inside `reading`."""
    config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    return config, read_tensors(folder / TENSORS)


def write_manifest_file(folder: Path, fields: Mapping[str, Any]) -> None:
    (folder / MANIFEST).write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")


def read_manifest_file(folder: Path) -> dict[str, Any]:
    """Raises OSError or ValueError."""
    fields: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return fields


def read_tokenizer(path: Path) -> "Tokenizer":
    """The tokenizer in *path*; it neither truncates nor pads. Raises ValueError or OSError."""
    from tokenizers import Tokenizer

    description = path.read_text(encoding="utf-8")
    try:
        tokenizer = Tokenizer.from_str(description)
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(f"{path.name}: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Raises ConfigError that names *folder* for any error that a missing or damaged file causes inside."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, struct.error) as error:
        raise unusable(folder, reason_of(error)) from error


def check_encoder(
    config: Mapping[str, Any], tensors: Mapping[str, Floats], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Raises ValueError or KeyError unless *config* is a known encoder and *tensors* are finite and have *shapes*."""
    if config["model_type"] not in ("bert", TEACHER) or config["hidden_act"] != "gelu":
        raise ValueError("only BERT and MPNet encoders with gelu are supported")
    for name, shape in shapes.items():
        if tensors[name].shape != shape:
            raise ValueError(f"{name} has shape {tensors[name].shape}, expected {shape}")
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise ValueError("the weights contain values that are not finite")


def unusable(folder: Path, reason: str) -> ConfigError:
    """The error for a weights folder that cannot be used: which, why, and what to do."""
    return ConfigError(
        f"The model weights in {folder} cannot be used: {reason}. Restore the folder from the repository, "
        "or select another one that contains model.safetensors, config.json, tokenizer.json and model.json."
    )

"""The weights folder of the model with many heads: written by the training, read without torch.

model.safetensors   float16 tensors under the names of `model.graphs.torch_multihead`: `bert.*`, `heads.*`, and `exit.*` for the
                    early heads; the word table is int8 with one float32 scale per row (`….weight.scale`)
config.json         the encoder's sizes, as transformers writes it
tokenizer.json      the tokeniser, with a token for `brandpulse.text.normalization.MARKER`
model.json          `HeadsManifest`
report.json         figures on the validation parts
"""

import hashlib
import json
import shutil
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from brandpulse.config.validation import reason_of
from brandpulse.text.normalization import MARKER
from model.checkpoints.whole_post import WORD_TABLE, Floats, read_stored, restored, stored_form, unusable, write_stored
from model.spec.heads import BY_NAME, HEADS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

KIND = "multi-head"
WHOLE_POST = "whole-post"
"""The kind of `model.checkpoints.whole_post`, whose manifests need not say so."""
EARLY = "exit."
"""Before a head's name: the same head on the exit layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadsManifest:
    """What `model.json` says about the weights beside it."""

    kind: str = KIND
    name: str
    version: str
    """First 12 hexadecimal digits of the SHA-256 of everything that a probability hangs on: tensors, tokeniser,
    temperatures, exit, ranges."""
    heads: Mapping[str, tuple[str, ...]]
    """Labels of each head, as in `model.spec.heads`."""
    temperatures: Mapping[str, float]
    """What the logits of each head, and of each `exit.<head>`, are divided by; 1 where not given."""
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Of the heads with many labels: label -> probability from which it counts as said; 0.5 where not given."""
    exit_layer: int = 0
    """After so many layers the early heads answer."""
    exit_confidence: Mapping[str, float] = field(default_factory=dict)
    """Head (`sentiment`, `target`) -> largest probability from which its early answer stands. Empty: no early exit."""
    max_tokens: int
    base_model: str
    data: str
    command: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Least and largest value that enters each dense layer, for int8; empty: no int8."""
    languages: tuple[str, ...] = ()
    """ISO 639-1 codes of the languages that it reads; empty: whatever it is given."""

    def temperature(self, head: str) -> float:
        return self.temperatures.get(head, 1.0)

    def threshold(self, head: str) -> tuple[float, ...]:
        """Of each label of *head*, in its order."""
        known = self.thresholds.get(head, {})
        return tuple(known.get(label, 0.5) for label in BY_NAME[head].labels)


@dataclass(frozen=True, slots=True)
class HeadsCheckpoint:
    """A weights folder in memory."""

    manifest: HeadsManifest
    config: Mapping[str, Any]
    tensors: Mapping[str, Floats]
    """float32, under the names of `model.graphs.torch_multihead.MultiHead`."""
    tokenizer: "Tokenizer"
    """Neither cuts nor pads."""
    marker: int
    """The token of `MARKER`."""


def pack_heads(
    folder: Path, tensors: Mapping[str, Floats], *, config: Mapping[str, Any], tokenizer: Path, manifest: HeadsManifest
) -> HeadsManifest:
    """Writes a weights folder and returns its manifest with the version filled in."""
    folder.mkdir(parents=True, exist_ok=True)
    write_stored(folder / "model.safetensors", stored_form(tensors))
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    if tokenizer.resolve() != (folder / "tokenizer.json").resolve():
        shutil.copyfile(tokenizer, folder / "tokenizer.json")
    return write_heads_manifest(folder, manifest)


def write_heads_manifest(folder: Path, manifest: HeadsManifest) -> HeadsManifest:
    """Writes `model.json` for the files that lie in *folder*; returns *manifest* with the version they have now."""
    manifest = replace(manifest, version=version_of(folder, manifest))
    (folder / "model.json").write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")
    return manifest


def load_heads(folder: Path) -> HeadsCheckpoint:
    """The weights folder in memory. Raises ConfigError naming it when it is missing, damaged or of another kind."""
    from safetensors import SafetensorError

    try:
        manifest = read_heads_manifest(folder)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tensors = restored(read_stored(folder / "model.safetensors"))
        tokenizer, marker = _tokenizer(folder / "tokenizer.json")
        version = version_of(folder, manifest)
        checkpoint = HeadsCheckpoint(manifest, config, tensors, tokenizer, marker)
        _check_sizes(checkpoint)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, struct.error) as error:
        raise unusable(folder, reason_of(error)) from error
    if version != manifest.version:
        raise unusable(folder, f"its files are version {version}, but model.json was written for {manifest.version}")
    return checkpoint


def read_heads_manifest(folder: Path) -> HeadsManifest:
    """`model.json` of a weights folder. Raises OSError, ValueError, KeyError or TypeError when it cannot be read."""
    given = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    if unknown := given.keys() - {known.name for known in fields(HeadsManifest)}:
        raise ValueError(f"model.json: unknown fields {', '.join(sorted(unknown))}")
    ranges = {name: (low, high) for name, (low, high) in given.get("ranges", {}).items()}
    heads = {name: tuple(labels) for name, labels in given["heads"].items()}
    manifest = HeadsManifest(
        **given | {"heads": heads, "ranges": ranges, "languages": tuple(given.get("languages", ()))}
    )
    for complaint in _complaints(manifest):
        raise ValueError(f"model.json: {complaint}")
    return manifest


def version_of(folder: Path, manifest: HeadsManifest) -> str:
    digest = hashlib.sha256()
    for name in ("model.safetensors", "tokenizer.json"):
        digest.update((folder / name).read_bytes())
    told = asdict(manifest)
    for name in ("temperatures", "exit_layer", "exit_confidence", "max_tokens", "ranges"):
        digest.update(json.dumps([name, told[name]], sort_keys=True).encode())
    return digest.hexdigest()[:12]


def _complaints(manifest: HeadsManifest) -> Iterator[str]:
    expected = {head.name: head.labels for head in HEADS}
    if manifest.kind != KIND:
        yield f"kind {manifest.kind!r}, expected {KIND!r}"
    if manifest.heads != expected:
        yield f"heads {dict(manifest.heads)}, expected {expected}"
    for name, temperature in manifest.temperatures.items():
        if name.removeprefix(EARLY) not in expected or not 0 < temperature < float("inf"):
            yield f"temperatures.{name}: {temperature}, expected a known head and a number above 0"
    for head, thresholds in manifest.thresholds.items():
        if head not in expected or not set(thresholds) <= set(expected[head]):
            yield f"thresholds.{head}: {dict(thresholds)}, expected labels of a known head"
    if unknown := manifest.exit_confidence.keys() - {"sentiment", "target"}:
        yield f"exit_confidence: unknown {', '.join(sorted(unknown))}"


def _tokenizer(path: Path) -> "tuple[Tokenizer, int]":
    from tokenizers import Tokenizer

    description = path.read_text(encoding="utf-8")
    try:
        tokenizer = Tokenizer.from_str(description)
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(f"{path.name}: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    marker = tokenizer.token_to_id(MARKER)
    if marker is None:
        raise ValueError(f"{path.name} has no token for the marker U+{ord(MARKER):04X}")
    return tokenizer, marker


def _check_sizes(checkpoint: HeadsCheckpoint) -> None:
    """Raises ValueError or KeyError unless the tensors are a BERT of the sizes in the config with all heads."""
    config, manifest = checkpoint.config, checkpoint.manifest
    if config["model_type"] != "bert" or config["hidden_act"] != "gelu":
        raise ValueError("only BERT encoders with gelu are read")
    if not 0 <= manifest.exit_layer < config["num_hidden_layers"]:
        raise ValueError(f"exit_layer {manifest.exit_layer} of {config['num_hidden_layers']} layers")
    if not 2 < manifest.max_tokens <= config["max_position_embeddings"]:
        raise ValueError(f"max_tokens {manifest.max_tokens} of {config['max_position_embeddings']} positions")
    width = config["hidden_size"]
    expected = {WORD_TABLE: (config["vocab_size"], width)}
    for side in ("heads", "exit") if manifest.exit_layer else ("heads",):
        for head in HEADS:
            expected[f"{side}.dense.{head.name}.weight"] = (width, 2 * width if head.reads == "mention" else width)
            expected[f"{side}.out.{head.name}.weight"] = (len(head.labels), width)
    for name, shape in expected.items():
        if checkpoint.tensors[name].shape != shape:
            raise ValueError(f"{name} has shape {checkpoint.tensors[name].shape}, expected {shape}")
    if not all(np.isfinite(tensor).all() for tensor in checkpoint.tensors.values()):
        raise ValueError("the weights hold values that are not numbers")


def kind_of(folder: Path) -> str:
    """`multi-head` or `whole-post`, as `model.json` of *folder* says. Raises ConfigError when it cannot be read."""
    try:
        kind = json.loads((folder / "model.json").read_text(encoding="utf-8")).get("kind", WHOLE_POST)
    except (OSError, ValueError, AttributeError) as error:
        raise unusable(folder, reason_of(error)) from error
    if kind not in (KIND, WHOLE_POST):
        raise unusable(folder, f"model.json has kind {kind!r}, expected {KIND!r} or {WHOLE_POST!r}")
    return str(kind)

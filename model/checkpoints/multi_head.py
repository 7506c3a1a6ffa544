"""Weights with many heads. Written by the training, read without torch.

The files are those of `model.checkpoints.weights_folder`; tensors have the names of `model.graphs.torch_multihead`
(`bert.*`, `heads.*`, and `exit.*` for the early heads), the tokenizer has a token for
`brandpulse.text.normalization.MARKER`, and `model.json` holds a `HeadsManifest`.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brandpulse.errors import ConfigError
from brandpulse.text.normalization import MARKER
from model.checkpoints.tensor_files import WORD_TABLE, Floats
from model.checkpoints.weights_folder import (
    TEACHER,
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
from model.spec.heads import BY_NAME, HEADS, SENTIMENT, TARGET
from model.spec.weights import MULTI_HEAD

if TYPE_CHECKING:
    from tokenizers import Tokenizer

EARLY = "exit."
"""Prefix of a head's name: the same head on the exit layer."""

TARGET_FROM_SENTIMENT = "target_from_sentiment.weight"
"""Optional tensor of each side (`heads.`, `exit.`), shape (4, 3): the logits of the post's sentiment times its
transpose are added to the logits of each mention's target. Without it the head `target` reads only its own states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadsManifest:
    """The content of `model.json`."""

    kind: str = MULTI_HEAD
    name: str
    version: str
    """First 12 hexadecimal digits of the SHA-256 of everything that changes a probability: tensors, tokenizer,
    temperatures, exit, ranges."""
    heads: Mapping[str, tuple[str, ...]]
    """Labels of each head, as in `model.spec.heads`."""
    temperatures: Mapping[str, float]
    """Divisor of the logits of each head and of each `exit.<head>`; 1 by default."""
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """For heads of kind `many`: label -> minimum probability at which the label is given; 0.5 by default."""
    exit_layer: int = 0
    """Number of layers before the early heads; 0: no early heads."""
    exit_confidence: Mapping[str, float] = field(default_factory=dict)
    """Head (`sentiment`, `target`) -> minimum confidence at which its early answer is final. Empty: no early exit."""
    max_tokens: int
    base_model: str
    data: str
    command: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Smallest and largest input of each dense layer, for int8; empty: int8 is not available."""
    untrained: tuple[str, ...] = ()
    """Heads that the training did not teach. Their tensors exist, but no engine gives their answers."""
    languages: tuple[str, ...] = ()
    """ISO 639-1 codes of the supported languages; empty: every language is scored."""

    @property
    def answered(self) -> tuple[str, ...]:
        """The heads whose answers engines give."""
        return tuple(head for head in self.heads if head not in self.untrained)

    def temperature(self, head: str) -> float:
        return self.temperatures.get(head, 1.0)

    def threshold(self, head: str) -> tuple[float, ...]:
        """The threshold of each label of *head*, in its order."""
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
    """Neither truncates nor pads."""
    marker: int
    """The token of `MARKER`."""

    @property
    def from_sentiment(self) -> bool:
        """Whether the weights contain `TARGET_FROM_SENTIMENT`."""
        return f"heads.{TARGET_FROM_SENTIMENT}" in self.tensors


def pack_heads(
    folder: Path,
    tensors: Mapping[str, Floats],
    *,
    config: Mapping[str, Any],
    tokenizer: Path,
    manifest: HeadsManifest,
    layers_in_int8: bool = False,
) -> HeadsManifest:
    """Writes a weights folder and returns its manifest with the version filled in."""
    write_network(folder, tensors, config=config, tokenizer=tokenizer, layers_in_int8=layers_in_int8)
    return write_heads_manifest(folder, manifest)


def write_heads_manifest(folder: Path, manifest: HeadsManifest) -> HeadsManifest:
    """Writes `model.json` for the files in *folder*; returns *manifest* with their version."""
    manifest = replace(manifest, version=version_of(folder, manifest))
    write_manifest_file(folder, asdict(manifest))
    return manifest


def load_heads(folder: Path) -> HeadsCheckpoint:
    """The weights folder in memory. Raises ConfigError that names it when it is missing, damaged or of another kind."""
    with reading(folder):
        manifest = read_heads_manifest(folder)
        config, tensors = read_network(folder)
        tokenizer, marker = _tokenizer(folder / TOKENIZER)
        version = version_of(folder, manifest)
        _check_layers(manifest, config)
        check_encoder(config, tensors, _shapes(manifest, config, tensors))
    if version != manifest.version:
        raise unusable(folder, f"its files are version {version}, but model.json was written for {manifest.version}")
    return HeadsCheckpoint(manifest, config, tensors, tokenizer, marker)


def is_servable(config: Mapping[str, Any]) -> bool:
    """Whether the engines besides torch can run the network: BERT, reading its first token."""
    return bool(config["model_type"] != TEACHER and config.get("pooling", "first") == "first")


def check_servable(checkpoint: HeadsCheckpoint) -> None:
    """Raises ConfigError unless the network `is_servable`."""
    config = checkpoint.config
    if not is_servable(config):
        raise ConfigError(
            f"The weights {checkpoint.manifest.name} are a teacher's ({config['model_type']}, pooling "
            f"{config.get('pooling', 'first')}): only torch runs them. Distil a student from them: "
            "brandpulse model train --help."
        )


def read_heads_manifest(folder: Path) -> HeadsManifest:
    """`model.json` of a weights folder. Raises OSError, ValueError, KeyError or TypeError when it cannot be read."""
    given = read_manifest_file(folder)
    if unknown := given.keys() - {known.name for known in fields(HeadsManifest)}:
        raise ValueError(f"model.json: unknown fields {', '.join(sorted(unknown))}")
    ranges = {name: (low, high) for name, (low, high) in given.get("ranges", {}).items()}
    heads = {name: tuple(labels) for name, labels in given["heads"].items()}
    manifest = HeadsManifest(
        **given
        | {"heads": heads, "ranges": ranges}
        | {name: tuple(given.get(name, ())) for name in ("untrained", "languages")}
    )
    for problem in _problems(manifest):
        raise ValueError(f"model.json: {problem}")
    return manifest


def version_of(folder: Path, manifest: HeadsManifest) -> str:
    digest = hashlib.sha256()
    for name in (TENSORS, TOKENIZER):
        digest.update((folder / name).read_bytes())
    values = asdict(manifest)
    for name in ("temperatures", "exit_layer", "exit_confidence", "max_tokens", "ranges"):
        digest.update(json.dumps([name, values[name]], sort_keys=True).encode())
    return digest.hexdigest()[:12]


def _problems(manifest: HeadsManifest) -> Iterator[str]:
    expected = {head.name: head.labels for head in HEADS}
    if manifest.kind != MULTI_HEAD:
        yield f"kind {manifest.kind!r}, expected {MULTI_HEAD!r}"
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
    if wrong := [head for head in manifest.untrained if head not in expected or head in ("sentiment", "target")]:
        yield f"untrained: {wrong[0]}, expected heads other than sentiment and target"


def _tokenizer(path: Path) -> "tuple[Tokenizer, int]":
    tokenizer = read_tokenizer(path)
    marker = tokenizer.token_to_id(MARKER)
    if marker is None:
        raise ValueError(f"{path.name} has no token for the marker U+{ord(MARKER):04X}")
    return tokenizer, marker


def _check_layers(manifest: HeadsManifest, config: Mapping[str, Any]) -> None:
    """Raises ValueError or KeyError unless exit layer and length fit the encoder."""
    if not 0 <= manifest.exit_layer < config["num_hidden_layers"]:
        raise ValueError(f"exit_layer {manifest.exit_layer} of {config['num_hidden_layers']} layers")
    if not 2 < manifest.max_tokens <= config["max_position_embeddings"]:
        raise ValueError(f"max_tokens {manifest.max_tokens} of {config['max_position_embeddings']} positions")


def _shapes(
    manifest: HeadsManifest, config: Mapping[str, Any], tensors: Mapping[str, Floats]
) -> dict[str, tuple[int, ...]]:
    """The shapes of the word table and of all heads. Both sides have `TARGET_FROM_SENTIMENT`, or none."""
    width = config["hidden_size"]
    shapes: dict[str, tuple[int, ...]] = {WORD_TABLE: (config["vocab_size"], width)}
    sides = ("heads", "exit") if manifest.exit_layer else ("heads",)
    if any(f"{side}.{TARGET_FROM_SENTIMENT}" in tensors for side in sides):
        shapes |= {f"{side}.{TARGET_FROM_SENTIMENT}": (len(TARGET), len(SENTIMENT)) for side in sides}
    for side in sides:
        for head in HEADS:
            shapes[f"{side}.dense.{head.name}.weight"] = (width, 2 * width if head.reads == "mention" else width)
            shapes[f"{side}.out.{head.name}.weight"] = (len(head.labels), width)
    return shapes

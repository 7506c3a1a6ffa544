"""Small encoders and artificial posts, on which training has an effect within seconds."""

import gzip
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model.spec.weights import WHOLE_POST_WEIGHTS
from model.training.fit.recipe import HeadsRecipe, Source

GOOD = ["lovely", "great", "happy", "superb", "kind", "quick"]
BAD = ["awful", "broken", "angry", "slow", "rude", "terrible"]
PLAIN = ["train", "platform", "nine", "monday", "notice", "station"]
WORDS = {"pos": GOOD, "neg": BAD, "neu": PLAIN}


def a_recipe(**changes: Any) -> HeadsRecipe:
    settings: dict[str, Any] = {
        "name": "tiny",
        "sources": (Source(names=("tiny",)),),
        "weights": {"sentiment": 1.0, "target": 1.0},
        "epochs": 4,
        "batch_size": 16,
        "learning_rate": 5e-3,
        "warm_up": 0.1,
        "max_tokens": 32,
        "bucket_batches": 4,
        "average": 2,
        "precision": "float32",
        "seed": 13,
        "judged_by": {"tiny": "sentiment_recall"},
    }
    return HeadsRecipe(**settings | changes)


def a_sentence(label: str, generator: np.random.Generator) -> str:
    return " ".join(generator.permutation(WORDS[label])[:3].tolist())


def sentiment_rows(count: int, seed: int) -> list[dict[str, Any]]:
    generator = np.random.default_rng(seed)
    labels = ["pos", "neu", "neg"]
    return [
        {"text": f"{a_sentence(labels[at % 3], generator)} {seed}-{at}", "sentiment": labels[at % 3]}
        for at in range(count)
    ]


def target_rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Posts that name two brands and praise the first: only a model that reads the target can score both correctly."""
    generator = np.random.default_rng(seed)
    rows = []
    for at in range(count):
        liked, disliked = generator.permutation(["Acme", "Bolt"]).tolist()
        text = f"{liked} {a_sentence('neu', generator)} {disliked} {a_sentence('neu', generator)} {seed}-{at}"
        rows += [
            {"text": text, "target": "Acme", "target_sentiment": "pos" if liked == "Acme" else "neg"},
            {"text": text, "target": "Bolt", "target_sentiment": "pos" if liked == "Bolt" else "neg"},
        ]
    return rows


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def a_data_folder(folder: Path, *, train: int = 240, validation: int = 60, name: str = "tiny") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part, count, seed in (("train", train, 1), ("val", validation, 2)):
        write_rows(folder / f"{name}.{part}.jsonl.gz", sentiment_rows(count, seed) + target_rows(count // 2, seed))
    return folder


def a_tiny_encoder(folder: Path, *, layers: int = 4, seed: int = 13, tokenizer: Path | None = None) -> Path:
    """A narrow BERT with random weights and the shipped tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    config = BertConfig(hidden_size=32, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=64)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes((tokenizer or WHOLE_POST_WEIGHTS / "tokenizer.json").read_bytes())
    return folder


def accuracy(said: Sequence[str], gold: Sequence[str]) -> float:
    return float(np.mean([one == other for one, other in zip(said, gold, strict=True)]))


def a_tiny_mpnet(folder: Path, *, layers: int = 4, seed: int = 13) -> Path:
    """A narrow MPNet with random weights and the shipped tokenizer."""
    import torch
    from transformers import MPNetConfig, MPNetModel

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    config = MPNetConfig(
        vocab_size=30522, hidden_size=32, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=64
    )
    MPNetModel(config, add_pooling_layer=False).save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes((WHOLE_POST_WEIGHTS / "tokenizer.json").read_bytes())
    return folder

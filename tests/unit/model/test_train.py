import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from model.checkpoint import load
from model.load import WEIGHTS, torch_is_installed
from model.openvino_engine import OpenVinoClassifier
from model.train import RECIPES, EncodedPost, Recipe, bucketed, read_recipe

GOOD, PLAIN, BAD = "lovely happy great", "train platform nine", "awful angry broken"


def a_recipe(**changes: object) -> Recipe:
    settings: dict[str, object] = {
        "train": "train.jsonl.gz",
        "validation": "val.jsonl.gz",
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": 5e-3,
        "warm_up": 0.1,
        "weight_decay": 0.01,
        "label_smoothing": 0.05,
        "class_balance": 0.5,
        "negative_offset": 0.3,
        "max_tokens": 32,
        "bucket_batches": 4,
        "seed": 13,
    }
    return Recipe(**settings | changes)  # type: ignore[arg-type]


def a_data_folder(folder: Path) -> Path:
    generator = np.random.default_rng(13)
    for part, size in (("train", 256), ("val", 60)):
        with gzip.open(folder / f"{part}.jsonl.gz", "wt") as file:
            for number in range(size):
                label, words = [("pos", GOOD), ("neu", PLAIN), ("neg", BAD)][number % 3]
                text = " ".join(generator.permutation(words.split())) + f" {part} {number}"
                file.write(json.dumps({"text": text, "sentiment": label}) + "\n")
    return folder


def a_tiny_encoder(folder: Path) -> Path:
    """A BERT of one narrow layer with random weights and the shipped tokeniser."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(13)
    config = BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    BertModel(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes((WEIGHTS / "tokenizer.json").read_bytes())
    return folder


def test_every_post_is_in_one_batch_of_an_epoch() -> None:
    posts = [EncodedPost([0] * (1 + number % 30), number) for number in range(150)]
    batches = bucketed(posts, a_recipe(), np.random.default_rng(13))
    assert sorted(post.label for batch in batches for post in batch) == list(range(150))
    assert max(len(batch) for batch in batches) == 16


def test_batches_hold_posts_of_like_length() -> None:
    posts = [EncodedPost([0] * (1 + number % 30), number) for number in range(640)]
    batches = bucketed(posts, a_recipe(bucket_batches=40), np.random.default_rng(13))
    assert all(len({len(post.tokens) for post in batch}) <= 2 for batch in batches)


def test_the_shipped_recipe_is_complete() -> None:
    assert read_recipe(RECIPES / "sentiment.yaml").epochs >= 1


def test_a_recipe_with_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text((RECIPES / "sentiment.yaml").read_text() + "dropuot: 0.1\n")
    with pytest.raises(TypeError, match="dropuot"):
        read_recipe(path)


@pytest.mark.skipif(not torch_is_installed(), reason="torch and transformers are not installed")
def test_a_trained_encoder_tells_the_classes_apart_in_the_serving_engine(tmp_path: Path) -> None:
    from model.train import train

    base, data = tmp_path / "base", tmp_path / "data"
    base.mkdir()
    data.mkdir()
    manifest = train(a_data_folder(data), tmp_path / "out", recipe=a_recipe(epochs=6), base=a_tiny_encoder(base))
    classifier = OpenVinoClassifier(tmp_path / "out", threads=1, precision="fp32")
    assert classifier.probabilities([BAD, PLAIN, GOOD]).argmax(axis=1).tolist() == [0, 1, 2]
    assert classifier.version == manifest.version == load(tmp_path / "out").manifest.version
    assert len(list((tmp_path / "out" / "epochs").iterdir())) == 6

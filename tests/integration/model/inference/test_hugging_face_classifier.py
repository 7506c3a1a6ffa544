import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brandpulse.errors import ConfigError
from model.inference.hugging_face_classifier import label_columns, parse_label_mapping
from model.inputs.target_marking import mark
from model.loader import load_classifier, load_scorer, torch_is_installed
from model.spec.heads import SENTIMENT

needs_torch = pytest.mark.skipif(not torch_is_installed(), reason="torch and transformers are not installed")
TEXTS = ["good day", "bad day at the office", "", "😡 \ud83d", "word " * 3_000]
TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *"abcdefghijklmnopqrstuvwxyz", "Ġ", "Ġa", "Ġd", "ay", "Ġday"]


def a_checkpoint(folder: Path, kind: str = "bert", labels: tuple[str, ...] = ("neg", "NEUTRAL", "Positive")) -> Path:
    """A tiny checkpoint with random weights in the format of transformers."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import (
        BertConfig,
        BertForSequenceClassification,
        DistilBertConfig,
        DistilBertForSequenceClassification,
        PreTrainedTokenizerFast,
        RobertaConfig,
        RobertaForSequenceClassification,
    )

    torch.manual_seed(13)
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: at for at, label in enumerate(labels)}}
    sizes = {"vocab_size": len(TOKENS), "initializer_range": 0.5, "pad_token_id": 1, **names}
    wide = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    models_of: dict[str, Any] = {
        "bert": lambda: BertForSequenceClassification(BertConfig(**sizes, **wide, max_position_embeddings=40)),
        "roberta": lambda: RobertaForSequenceClassification(
            RobertaConfig(**sizes, **wide, max_position_embeddings=40, type_vocab_size=1)
        ),
        "distilbert": lambda: DistilBertForSequenceClassification(
            DistilBertConfig(**sizes, dim=16, n_layers=2, n_heads=2, hidden_dim=32, max_position_embeddings=40)
        ),
    }
    models_of[kind]().save_pretrained(folder)
    tokenizer = Tokenizer(models.BPE({word: at for at, word in enumerate(TOKENS)}, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", model_max_length=10**30
    ).save_pretrained(folder)
    return folder


@needs_torch
@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
def test_a_checkpoint_in_the_settings_scores_any_post(tmp_path: Path, kind: str) -> None:
    classifier = load_classifier("auto", a_checkpoint(tmp_path, kind), 1)
    scores = classifier.probabilities(TEXTS)
    assert scores.shape == (len(TEXTS), 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(scores, classifier.probabilities(TEXTS[::-1])[::-1], atol=1e-4)
    assert classifier.probabilities([]).shape == (0, 3)


@needs_torch
def test_labels_are_mapped_by_their_names_and_not_by_their_order(tmp_path: Path) -> None:
    forward = load_classifier("torch", a_checkpoint(tmp_path / "a", labels=("negative", "neutral", "positive")), 1)
    backward = load_classifier("torch", a_checkpoint(tmp_path / "b", labels=("positive", "neutral", "negative")), 1)
    ours, theirs = forward.probabilities(TEXTS), backward.probabilities(TEXTS)
    np.testing.assert_allclose(ours, theirs[:, ::-1], atol=1e-6)
    assert np.ptp(ours, axis=1).max() > 0.1
    assert forward.version != backward.version


@needs_torch
def test_a_checkpoint_counts_towards_the_brands_that_a_post_names(tmp_path: Path) -> None:
    scores = load_scorer("auto", a_checkpoint(tmp_path), 1).score([mark("a day with Acme", ["Acme", "Globex"])])
    np.testing.assert_allclose(scores.target[0], [*scores.heads["sentiment"][0], 0.0], atol=1e-6)
    assert scores.target[1, 3] == pytest.approx(0.95)


@needs_torch
def test_labels_without_meaning_are_mapped_by_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = a_checkpoint(tmp_path, labels=("LABEL_0", "LABEL_1", "LABEL_2"))
    with pytest.raises(ConfigError, match=r"'LABEL_0'.*BRANDPULSE_MODEL_LABELS=LABEL_0="):
        load_classifier("torch", folder, 1)
    monkeypatch.setenv("BRANDPULSE_MODEL_LABELS", "LABEL_0=positive, LABEL_1=neutral,LABEL_2=negative")
    named = load_classifier("torch", folder, 1).probabilities(TEXTS)
    monkeypatch.delenv("BRANDPULSE_MODEL_LABELS")
    plain = load_classifier("torch", a_checkpoint(tmp_path / "c"), 1)
    np.testing.assert_allclose(named[:, ::-1], plain.probabilities(TEXTS), atol=1e-6)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["POSITIVE", "NEGATIVE"], ["positive", "negative"]),
        (["neg", "Neu", "pos"], ["negative", "neutral", "positive"]),
        (["1 star", "2 stars", "3 stars", "4 stars", "5 stars"], [SENTIMENT[at] for at in (0, 0, 1, 2, 2)]),
        (["Very_Negative", "very-positive"], ["negative", "positive"]),
    ],
)
def test_known_label_names_are_mapped(labels: list[str], expected: list[str]) -> None:
    assert [SENTIMENT[at] for at in label_columns(labels).argmax(axis=1)] == expected


@pytest.mark.parametrize("labels", [["LABEL_0", "LABEL_1"], ["negative", "positive", "mixed"], ["joy", "anger"]])
def test_an_unknown_label_name_is_a_config_error(labels: list[str]) -> None:
    with pytest.raises(ConfigError, match="BRANDPULSE_MODEL_LABELS"):
        label_columns(labels)


@pytest.mark.parametrize(
    "mapping", [{"LABEL_9": "negative"}, {"LABEL_0": "sad"}, {"LABEL_0": "positive", "LABEL_1": "positive"}]
)
def test_an_invalid_mapping_is_a_config_error(mapping: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="BRANDPULSE_MODEL_LABELS"):
        label_columns(["LABEL_0", "LABEL_1"], mapping)


@pytest.mark.parametrize("setting", ["LABEL_0", "LABEL_0=", "=negative", "a=b,c"])
def test_an_unreadable_mapping_is_a_config_error(setting: str) -> None:
    with pytest.raises(ConfigError, match="LABEL=meaning"):
        parse_label_mapping(setting)


@needs_torch
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"auto_map": {"AutoModel": "code.Model"}}, "its own code"),
        ({"architectures": ["BertForMaskedLM"]}, "BertForMaskedLM"),
        ({"problem_type": "multi_label_classification"}, "problem_type"),
        ({"id2label": {}}, "id2label"),
        ({"hidden_size": 17}, "cannot be used"),
        ({"num_hidden_layers": 3}, "lacks weights"),
        ({"architectures": None}, "cannot be used"),
    ],
)
def test_an_unsupported_checkpoint_is_a_config_error(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    folder = a_checkpoint(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ConfigError, match=told):
        load_classifier("torch", folder, 1)


@needs_torch
def test_pickled_weights_are_never_read(tmp_path: Path) -> None:
    folder = a_checkpoint(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"pytorch_model\.bin is not loaded"):
        load_classifier("auto", folder, 1)


@needs_torch
def test_weights_cut_short_are_a_config_error(tmp_path: Path) -> None:
    folder = a_checkpoint(tmp_path)
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(ConfigError, match=str(folder)):
        load_classifier("auto", folder, 1)


def test_a_checkpoint_needs_the_torch_engine(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="engine torch or auto"):
        load_classifier("openvino", tmp_path)

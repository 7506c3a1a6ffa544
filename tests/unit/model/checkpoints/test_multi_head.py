import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brandpulse.errors import ConfigError
from model.checkpoints.multi_head import TARGET_FROM_SENTIMENT, load_heads, pack_heads, write_heads_manifest
from model.checkpoints.tensor_files import WORD_TABLE
from model.loader import load_scorer
from model.spec.weights import WEIGHTS, WHOLE_POST_WEIGHTS
from tests.support.model.brand_weights import a_brand_folder, random_tensors


def test_packed_weights_load_unchanged(tmp_path: Path) -> None:
    loaded = load_heads(a_brand_folder(tmp_path, ranges={"bert.encoder.layer.0.output.dense": (-1.5, 2.0)}))
    assert loaded.manifest.temperature("sentiment") == 1.5
    assert loaded.manifest.temperature("exit.sentiment") == 0.8
    assert loaded.manifest.temperature("risk") == 1.0
    assert loaded.manifest.ranges == {"bert.encoder.layer.0.output.dense": (-1.5, 2.0)}
    for name, tensor in random_tensors(13).items():
        # Half a step of 8 bits for the word table, of float16's 11 for the rest.
        limit = np.abs(tensor).max() / 254 if name == WORD_TABLE else np.abs(tensor).max() / 2**11
        assert np.abs(loaded.tensors[name] - tensor).max() <= limit * 1.01, name


def test_weights_without_the_sentiment_in_the_target_still_load(tmp_path: Path) -> None:
    with_sentiment, without = (
        load_heads(a_brand_folder(tmp_path / str(given), from_sentiment=given)) for given in (True, False)
    )
    assert with_sentiment.from_sentiment
    assert not without.from_sentiment
    assert with_sentiment.manifest.version != without.manifest.version


@pytest.mark.parametrize(
    ("shape", "reason"), [((3, 3), r"shape \(3, 3\), expected \(4, 3\)"), (None, "exit.target_from")]
)
def test_an_unfit_sentiment_matrix_is_a_config_error(
    tmp_path: Path, shape: tuple[int, int] | None, reason: str
) -> None:
    checkpoint = load_heads(a_brand_folder(tmp_path / "good"))
    tensors = {name: tensor for name, tensor in checkpoint.tensors.items() if name != f"exit.{TARGET_FROM_SENTIMENT}"}
    if shape is not None:
        tensors[f"exit.{TARGET_FROM_SENTIMENT}"] = np.zeros(shape, dtype=np.float32)
    bad, tokenizer = tmp_path / "bad", tmp_path / "good" / "tokenizer.json"
    pack_heads(bad, tensors, config=checkpoint.config, tokenizer=tokenizer, manifest=checkpoint.manifest)
    with pytest.raises(ConfigError, match=reason):
        load_heads(bad)


def test_missing_thresholds_default_to_one_half(tmp_path: Path) -> None:
    manifest = load_heads(a_brand_folder(tmp_path, thresholds={"risk": {"crisis": 0.3}})).manifest
    assert manifest.threshold("risk") == (0.5, 0.3, 0.5)
    assert set(manifest.threshold("emotion")) == {0.5}


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "model.json", "tokenizer.json"])
@pytest.mark.parametrize("harm", ["missing", "cut short"])
def test_a_damaged_folder_is_a_config_error_that_names_it(tmp_path: Path, file: str, harm: str) -> None:
    folder = a_brand_folder(tmp_path)
    content = (folder / file).read_bytes()
    (folder / file).unlink()
    if harm == "cut short":
        (folder / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(ConfigError, match=rf"{folder}.*Restore the folder"):
        load_scorer("openvino", folder)


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_a_changed_byte_is_detected(tmp_path: Path, file: str) -> None:
    folder = a_brand_folder(tmp_path)
    content = bytearray((folder / file).read_bytes())
    content[-1] = ord(" ") if file.endswith("json") else content[-1] ^ 1
    (folder / file).write_bytes(content + (b" " if file.endswith("json") else b""))
    with pytest.raises(ConfigError):
        load_heads(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"heads": {"sentiment": ["positive", "neutral", "negative"]}}, "heads"),
        ({"kind": "many"}, "expected"),
        ({"temperatures": {"sentiment": 0}}, "temperatures.sentiment"),
        ({"temperatures": {"mirth": 1}}, "temperatures.mirth"),
        ({"thresholds": {"risk": {"rain": 0.5}}}, "thresholds.risk"),
        ({"exit_confidence": {"mood": 0.5}}, "exit_confidence"),
        ({"untrained": ["mood", "target"]}, "untrained: target"),
        ({"exit_layer": 99}, "exit_layer"),
        ({"max_tokens": 4_000}, "max_tokens"),
        ({"surprise": 1}, "surprise"),
        ({"temperatures": {"sentiment": 1.6}}, "version"),
        ({"exit_confidence": {"sentiment": 0.9, "target": 0.9}}, "version"),
    ],
)
def test_an_invalid_manifest_is_a_config_error(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    folder = a_brand_folder(tmp_path)
    manifest = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(manifest | change))
    with pytest.raises(ConfigError, match=told):
        load_scorer("openvino", folder)


def test_a_tokenizer_without_a_marker_is_a_config_error(tmp_path: Path) -> None:
    folder = a_brand_folder(tmp_path)
    description = json.loads((folder / "tokenizer.json").read_text())
    description["added_tokens"] = []
    description["model"]["vocab"] = {word: at for word, at in description["model"]["vocab"].items() if word.isascii()}
    (folder / "tokenizer.json").write_text(json.dumps(description))
    with pytest.raises(ConfigError, match="marker"):
        load_heads(folder)


def test_everything_that_changes_probabilities_changes_the_version(tmp_path: Path) -> None:
    folder = a_brand_folder(tmp_path)
    manifest = load_heads(folder).manifest
    versions = {manifest.version}
    for changed in (
        replace(manifest, temperatures={"sentiment": 1.7}),
        replace(manifest, exit_confidence={"sentiment": 0.9, "target": 0.9}),
        replace(manifest, ranges={"bert.encoder.layer.0.output.dense": (-1.0, 1.0)}),
        replace(manifest, max_tokens=40),
    ):
        versions.add(write_heads_manifest(folder, changed).version)
    assert len(versions) == 5
    other = pack_heads(
        folder,
        random_tensors(14),
        config=load_heads(a_brand_folder(tmp_path / "b")).config,
        tokenizer=folder / "tokenizer.json",
        manifest=manifest,
    )
    assert other.version not in versions
    assert write_heads_manifest(folder, replace(other, command="another")).version == other.version


def test_whole_post_weights_are_not_loaded_as_multi_head() -> None:
    with pytest.raises(ConfigError, match=str(WHOLE_POST_WEIGHTS)):
        load_heads(WHOLE_POST_WEIGHTS)


def test_report_and_card_belong_to_the_shipped_weights() -> None:
    version = load_heads(WEIGHTS).manifest.version
    report = json.loads((WEIGHTS / "report.json").read_text(encoding="utf-8"))
    card = (WEIGHTS / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert report["version"] == version
    assert version in card
    for name, figure in (
        ("sentiment_semeval sentiment", "macro_recall"),
        ("target_semeval target_sentiment", "macro_recall"),
        ("aspect_mams target_sentiment", "accuracy"),
        ("complaints complaint", "macro_f1"),
        ("disaster crisis", "average_precision"),
    ):
        for precision in ("int8", "fp32"):
            assert f"{report['sets'][name][precision][figure]:.3f}" in card, (name, precision)

import json
import shutil
from pathlib import Path

import pytest

from brandpulse.errors import ConfigError
from model.loader import load_classifier
from model.spec.weights import WHOLE_POST_WEIGHTS


def a_weights_folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(WHOLE_POST_WEIGHTS, tmp_path / "weights"))


def test_a_missing_folder_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"{tmp_path / 'nowhere'}.*Restore the folder"):
        load_classifier("openvino", tmp_path / "nowhere")


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "model.json", "tokenizer.json"])
def test_a_missing_file_is_a_config_error_that_names_the_folder(tmp_path: Path, file: str) -> None:
    folder = a_weights_folder(tmp_path)
    (folder / file).unlink()
    with pytest.raises(ConfigError, match=str(folder)):
        load_classifier("openvino", folder)


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "model.json", "tokenizer.json"])
def test_a_truncated_file_is_a_config_error_that_names_the_folder(tmp_path: Path, file: str) -> None:
    folder = a_weights_folder(tmp_path)
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(ConfigError, match=str(folder)):
        load_classifier("openvino", folder)


def test_a_pointer_instead_of_the_weights_is_a_config_error(tmp_path: Path) -> None:
    folder = a_weights_folder(tmp_path)
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ConfigError, match=str(folder)):
        load_classifier("openvino", folder)


def test_one_changed_byte_in_the_weights_is_detected(tmp_path: Path) -> None:
    folder = a_weights_folder(tmp_path)
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ConfigError, match="written for"):
        load_classifier("openvino", folder)


@pytest.mark.parametrize(
    "change", [{"labels": ["positive", "neutral", "negative"]}, {"temperature": 0}, {"surprise": 1}]
)
def test_a_manifest_of_another_kind_is_a_config_error(tmp_path: Path, change: dict[str, object]) -> None:
    folder = a_weights_folder(tmp_path)
    manifest = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(manifest | change))
    with pytest.raises(ConfigError, match=str(folder)):
        load_classifier("openvino", folder)


def test_an_unknown_engine_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="use auto, openvino, torch, keyword or null"):
        load_classifier("onnx")  # type: ignore[arg-type]


def test_engines_without_a_network_need_no_weights(tmp_path: Path) -> None:
    assert load_classifier("keyword", tmp_path).name == "keyword"
    assert load_classifier("null", tmp_path).name == "null"

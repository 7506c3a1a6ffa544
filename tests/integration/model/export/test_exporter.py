import json
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from typer.testing import CliRunner

from brandpulse.cli.model.model import app
from brandpulse.errors import ConfigError
from model.cpu.cpu_info import has_int8_instructions
from model.export.exporter import PRECISIONS, export
from model.loader import load_classifier, load_scorer, torch_is_installed
from model.spec.options import ExportFormat, ExportPrecision
from tests.integration.model.cpu.test_precision_selection import RANGES
from tests.support.model.brand_weights import a_brand_folder

HERE = [(to, precision) for to, offered in PRECISIONS.items() for precision in offered if to != "tensorrt"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_brand_folder(tmp_path_factory.mktemp("weights"), spread=0.2, ranges=RANGES)


@pytest.mark.parametrize(("to", "precision"), HERE)
def test_an_exported_model_equals_the_original(
    folder: Path, tmp_path: Path, to: ExportFormat, precision: ExportPrecision
) -> None:
    needed = {"onnx": ("onnx", "onnxruntime"), "safetensors": ("torch", "transformers")}.get(to, ())
    if any(find_spec(package) is None for package in needed):
        pytest.skip(f"needs {', '.join(needed)}")
    found = export(folder, to, tmp_path, precision=precision, texts=["good day", "bad day"])
    # Without int8 instructions the sums saturate: on such a processor `export` reports a failure.
    saturates = precision == "int8" and not has_int8_instructions()
    assert found.ok or saturates, found
    assert found.posts == 10
    assert found.agreement > (0.8 if saturates else 0.9)
    assert found.largest_difference < {"fp32": 1e-4, "fp16": 0.01, "int8": 0.3}[precision]
    assert (found.largest_difference > 1e-5) == (precision != "fp32")
    assert {"README.md", "tokenizer.json"} <= set(found.files)
    assert not list(tmp_path.glob("*.bin.tmp"))


def test_a_differing_export_is_reported_and_fails(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from model.export import formats

    other = a_brand_folder(tmp_path / "other", seed=14)
    honest = formats.openvino_files

    def dishonest(checkpoint: object, out: Path, precision: ExportPrecision) -> object:
        from model.checkpoints.multi_head import load_heads

        return honest(load_heads(other), out, precision)

    monkeypatch.setattr("model.export.exporter.openvino_files", dishonest)
    result = CliRunner().invoke(
        app, ["export", "--to", "openvino", "--out", str(tmp_path / "out"), "--weights", str(folder)]
    )
    assert result.exit_code == 1
    assert "Do not use it" in result.output


def test_the_command_prints_the_largest_difference_and_the_agreement(folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "posts.jsonl"
    data.write_text('{"text": "good day"}\n')
    result = CliRunner().invoke(
        app,
        ["export", "--to", "openvino", "--out", str(tmp_path / "out"), "--weights", str(folder), "--data", str(data)],
    )
    assert result.exit_code == 0, result.output
    assert "9 posts" in result.output
    assert "100.0% of the sentiment labels agree" in result.output


@pytest.mark.skipif(not torch_is_installed(), reason="torch and transformers are not installed")
def test_plain_safetensors_are_a_checkpoint_that_transformers_loads(folder: Path, tmp_path: Path) -> None:
    export(folder, "safetensors", tmp_path)
    texts = ["good day", "bad day", ""]
    theirs = load_classifier("torch", tmp_path, 1).probabilities(texts)
    assert theirs.shape == (3, 3)
    ours = load_classifier("openvino", folder, 1, precision="fp32").probabilities(texts)
    odds = np.log(ours) * 1.5  # the manifest's temperature, which transformers does not apply
    expected = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(theirs, expected, atol=1e-4)


def test_an_unsupported_precision_is_a_config_error(folder: Path, tmp_path: Path) -> None:
    offered = {(to, precision) for to, precisions in PRECISIONS.items() for precision in precisions}
    for to in get_args(ExportFormat):
        for precision in get_args(ExportPrecision):
            if (to, precision) not in offered:
                with pytest.raises(ConfigError, match=f"--to {to} supports"):
                    export(folder, to, tmp_path, precision=precision)


def test_int8_without_measured_ranges_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no ranges for int8"):
        export(a_brand_folder(tmp_path / "weights"), "openvino", tmp_path / "out", precision="int8")


@pytest.mark.skipif(find_spec("tensorrt") is not None, reason="TensorRT is installed")
def test_tensorrt_without_its_package_is_a_config_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs tensorrt"):
        export(folder, "tensorrt", tmp_path)


def test_the_readme_describes_labels_and_inputs(folder: Path, tmp_path: Path) -> None:
    export(folder, "openvino", tmp_path)
    readme = (tmp_path / "README.md").read_text()
    assert "`segments`" in readme
    assert "informative" in readme
    assert json.loads((tmp_path / "model.json").read_text())["kind"] == "multi-head"
    assert load_scorer("openvino", folder, 1, precision="fp32").version in readme

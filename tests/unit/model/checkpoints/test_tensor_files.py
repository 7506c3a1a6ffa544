"""The stored form of tensors."""

from pathlib import Path

import numpy as np
import pytest

from model.checkpoints.tensor_files import WORD_TABLE, Floats, read_tensors, write_tensors
from tests.support.model.brand_weights import random_tensors

MATRIX = "bert.encoder.layer.0.intermediate.dense.weight"


@pytest.fixture(scope="module")
def tensors() -> dict[str, Floats]:
    return random_tensors(13)


def test_layers_in_int8_halve_the_file_beside_the_word_table(tensors: dict[str, Floats], tmp_path: Path) -> None:
    write_tensors(tmp_path / "plain", tensors)
    write_tensors(tmp_path / "small", tensors, layers_in_int8=True)

    matrices = sum(
        tensor.size for name, tensor in tensors.items() if name.startswith("bert.encoder.") and tensor.ndim == 2
    )
    saved = (tmp_path / "plain").stat().st_size - (tmp_path / "small").stat().st_size
    assert 0.8 * matrices < saved < matrices


def test_layers_in_int8_differ_by_half_a_step_at_most(tensors: dict[str, Floats], tmp_path: Path) -> None:
    write_tensors(tmp_path / "small", tensors, layers_in_int8=True)
    found = read_tensors(tmp_path / "small")

    assert found.keys() == tensors.keys()
    step = np.abs(tensors[MATRIX]).max(axis=1, keepdims=True) / 127
    assert (np.abs(found[MATRIX] - tensors[MATRIX]) <= 0.501 * step).all()
    assert found["heads.out.target.weight"] == pytest.approx(tensors["heads.out.target.weight"], abs=2e-3)


def test_a_file_with_float16_layers_is_read_as_before(tensors: dict[str, Floats], tmp_path: Path) -> None:
    write_tensors(tmp_path / "plain", tensors)
    found = read_tensors(tmp_path / "plain")
    assert (found[MATRIX] == tensors[MATRIX].astype(np.float16)).all()


def test_a_file_without_a_scale_of_the_word_table_is_an_error(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({WORD_TABLE: np.zeros((3, 4), dtype=np.int8)}, tmp_path / "bad")
    with pytest.raises(KeyError, match="scale"):
        read_tensors(tmp_path / "bad")

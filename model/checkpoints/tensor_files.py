"""The tensors of a weights folder in `model.safetensors`: float16, and the word table in int8.

The word table is half of all weights and is only looked up, so 8 bits a number are enough. Each of its rows has a
float32 scale in a second tensor, `….weight.scale`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

WORD_TABLE = "bert.embeddings.word_embeddings.weight"
SCALE = ".scale"
Floats = npt.NDArray[np.float32]


def write_tensors(path: Path, tensors: Mapping[str, Floats]) -> None:
    """Writes *tensors*, the word table among them, in the stored form."""
    from safetensors.numpy import save_file

    save_file(_stored(tensors), path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors writes 0600; the service runs as another user


def read_tensors(path: Path) -> dict[str, Floats]:
    """The tensors in float32. Raises OSError or SafetensorError."""
    from safetensors.numpy import load_file

    tensors = {name: tensor.astype(np.float32) for name, tensor in load_file(path).items()}
    scale = tensors.pop(WORD_TABLE + SCALE)
    return tensors | {WORD_TABLE: tensors[WORD_TABLE] * scale}


def _stored(tensors: Mapping[str, Floats]) -> dict[str, npt.NDArray[Any]]:
    stored: dict[str, npt.NDArray[Any]] = {
        name: np.ascontiguousarray(tensor.astype(np.float16)) for name, tensor in tensors.items() if name != WORD_TABLE
    }
    table = tensors[WORD_TABLE]
    scale = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12).astype(np.float32) / 127  # (words, 1)
    return stored | {WORD_TABLE: np.rint(table / scale).astype(np.int8), WORD_TABLE + SCALE: scale}

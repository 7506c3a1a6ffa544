"""A file of scores by text, so that a backtest that is run again scores nothing twice.

`.npz`: `digests` (n, 16) uint8, blake2b of the normalised text; `probabilities` (n, 3) float32; `version`, the model's.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from brandpulse.errors import ConfigError

DIGEST_BYTES = 16
Scores = dict[bytes, tuple[float, float, float]]
"""Digest of the normalised text -> P(negative), P(neutral), P(positive)."""


def text_digest(normalised: str) -> bytes:
    return hashlib.blake2b(normalised.encode(), digest_size=DIGEST_BYTES).digest()


def read_scores(path: Path, *, version: str) -> Scores:
    """The scores at *path* if a model of *version* made them; none if there is no file, or another model's."""
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as stored:
            if str(stored["version"]) != version:
                return {}
            digests, probabilities = stored["digests"], stored["probabilities"]
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise ConfigError(f"{path} is no file of scores ({error}); name another one with --scores") from error
    return {
        bytes(digest): (float(row[0]), float(row[1]), float(row[2]))
        for digest, row in zip(digests, probabilities, strict=True)
    }


def write_scores(path: Path, scores: Mapping[bytes, Iterable[float]], *, version: str) -> None:
    """*scores* to *path*, whole or not at all."""
    digests = np.frombuffer(b"".join(scores), dtype=np.uint8).reshape(-1, DIGEST_BYTES)
    probabilities = np.array([tuple(row) for row in scores.values()], dtype=np.float32).reshape(-1, 3)
    part = path.with_name(path.name + ".part.npz")
    np.savez(part, digests=digests, probabilities=probabilities, version=np.array(version))
    part.replace(path)

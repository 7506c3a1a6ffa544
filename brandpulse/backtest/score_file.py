"""A file of the model's scores, so that a second backtest of a recording scores no text again.

`.npz`: `digests` (n, 16) uint8, see `score_key`; `probabilities` (n, 4) float32 of negative, neutral, positive and
irrelevant; `version` of the model.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from brandpulse.errors import ConfigError

DIGEST_BYTES = 16
Scores = dict[bytes, tuple[float, float, float, float]]
"""`score_key` -> P(negative), P(neutral), P(positive), P(irrelevant)."""


def score_key(text: str, mentions: Sequence[int] = (), *, target: int | None = None) -> bytes:
    """Key of the score towards *target* in a marked *text* with *mentions*; without a target of the whole post."""
    scored = f"{target}|{','.join(map(str, mentions))}|{text}"
    return hashlib.blake2b(scored.encode(), digest_size=DIGEST_BYTES).digest()


def read_scores(path: Path, *, version: str) -> Scores:
    """The scores of the model *version* at *path*; empty if there is no file, or if another model wrote it."""
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as stored:
            stored_version = str(stored["version"])
            digests, probabilities = stored["digests"], stored["probabilities"]
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise ConfigError(f"{path} is not a file of scores ({error}); choose another file with --scores") from error
    if probabilities.ndim != 2 or probabilities.shape[1] != 4:
        raise ConfigError(
            f"{path} is of an older version that scored whole posts: {probabilities.shape[-1]} probabilities per text, "
            "not 4 per text and brand. Delete it, or choose another file with --scores"
        )
    if stored_version != version:
        return {}
    return {
        bytes(digest): (float(row[0]), float(row[1]), float(row[2]), float(row[3]))
        for digest, row in zip(digests, probabilities, strict=True)
    }


def write_scores(path: Path, scores: Mapping[bytes, Iterable[float]], *, version: str) -> None:
    """Write *scores* to *path*, completely or not at all."""
    digests = np.frombuffer(b"".join(scores), dtype=np.uint8).reshape(-1, DIGEST_BYTES)
    probabilities = np.array([tuple(row) for row in scores.values()], dtype=np.float32).reshape(-1, 4)
    part = path.with_name(path.name + ".part.npz")
    np.savez(part, digests=digests, probabilities=probabilities, version=np.array(version))
    part.replace(path)

"""A file of verdicts by text and target, so that a backtest that is run again scores nothing twice.

`.npz`: `digests` (n, 16) uint8, see `score_key`; `probabilities` (n, 4) float32 of negative, neutral, positive and
irrelevant; `version`, the model's.
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
    """Of the verdict towards *target* in a marked *text*, whose markers stand for *mentions*; None: on all of it."""
    asked = f"{target}|{','.join(map(str, mentions))}|{text}"
    return hashlib.blake2b(asked.encode(), digest_size=DIGEST_BYTES).digest()


def read_scores(path: Path, *, version: str) -> Scores:
    """The scores at *path* if a model of *version* made them; none if there is no file, or another model's."""
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as stored:
            made_by = str(stored["version"])
            digests, probabilities = stored["digests"], stored["probabilities"]
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise ConfigError(f"{path} is no file of scores ({error}); name another one with --scores") from error
    if probabilities.ndim != 2 or probabilities.shape[1] != 4:
        raise ConfigError(
            f"{path} is of a version that judged whole posts: {probabilities.shape[-1]} probabilities a text, not 4 a "
            "text and brand. Delete it, or name another file with --scores"
        )
    if made_by != version:
        return {}
    return {
        bytes(digest): (float(row[0]), float(row[1]), float(row[2]), float(row[3]))
        for digest, row in zip(digests, probabilities, strict=True)
    }


def write_scores(path: Path, scores: Mapping[bytes, Iterable[float]], *, version: str) -> None:
    """*scores* to *path*, whole or not at all."""
    digests = np.frombuffer(b"".join(scores), dtype=np.uint8).reshape(-1, DIGEST_BYTES)
    probabilities = np.array([tuple(row) for row in scores.values()], dtype=np.float32).reshape(-1, 4)
    part = path.with_name(path.name + ".part.npz")
    np.savez(part, digests=digests, probabilities=probabilities, version=np.array(version))
    part.replace(path)

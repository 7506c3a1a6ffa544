"""A teacher's answers on disk: its logits for texts, for students with another tokenizer, on any day.

answers.json                    the manifest, see `AnswersManifest`
answers-00000.safetensors, …    shards; each is written atomically and never changed:
    keys (n, 16) uint8          `answer_key` of each text
    markers (n,) int32          number of target markers in each text
    {head} (n, labels) float16  logits of each head that reads the post
    target (m, 4) float16       logits of each marker, text by text, in order; NaN: the teacher cut it off
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from brandpulse.config.validation import reason_of
from brandpulse.errors import ConfigError
from model.spec.heads import BY_NAME
from model.training.data.batches import Encoded

if TYPE_CHECKING:
    from torch import Tensor

MANIFEST = "answers.json"
FORMAT = 1
KEYS, MARKERS, KEY_BYTES = "keys", "markers", 16
Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersManifest:
    """The content of `answers.json`."""

    format: int = FORMAT
    weights: str
    """Name of the teacher's weights."""
    version: str
    """Version of the teacher's weights: a folder contains answers of one version only."""
    heads: Mapping[str, tuple[str, ...]]
    """Trained heads and their labels; students learn no other head from these answers."""
    sources: tuple[str, ...] = ()
    """Data sets and files whose texts were answered."""
    texts: int = 0
    complete: bool = False
    """Whether the last pass reached the end of its texts."""


def answer_key(text: str) -> bytes:
    """The key of *text*, as the encoder reads it: normalized, with markers."""
    return hashlib.sha256(text.encode()).digest()[:KEY_BYTES]


def is_answers_folder(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def shard_path(folder: Path, number: int) -> Path:
    return folder / f"answers-{number:05d}.safetensors"


def shard_paths(folder: Path) -> list[Path]:
    return sorted(folder.glob("answers-*.safetensors"))


def next_shard(folder: Path) -> int:
    """A number above those of all shards: their count would be taken again if a damaged shard was removed."""
    return 1 + max((int(path.stem.removeprefix("answers-")) for path in shard_paths(folder)), default=-1)


def read_answers_manifest(folder: Path) -> AnswersManifest:
    """Raises ConfigError that names a missing or invalid manifest."""
    path = folder / MANIFEST
    try:
        return _parsed(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} cannot be used: {reason_of(error)}") from error


def _parsed(given: dict[str, Any]) -> AnswersManifest:
    if unknown := given.keys() - {known.name for known in fields(AnswersManifest)}:
        raise ValueError(f"unknown fields {', '.join(sorted(unknown))}")
    heads = {name: tuple(labels) for name, labels in given["heads"].items()}
    manifest = AnswersManifest(**given | {"heads": heads, "sources": tuple(given["sources"])})
    if manifest.format != FORMAT:
        raise ValueError(f"format {manifest.format}, expected {FORMAT}")
    for name, labels in heads.items():
        if name not in BY_NAME or BY_NAME[name].labels != labels:
            raise ValueError(f"heads.{name}: labels {', '.join(labels)} are not those of this program")
    return manifest


def manifest_text(manifest: AnswersManifest) -> str:
    return json.dumps(asdict(manifest), indent=2) + "\n"


def read_keys(folder: Path) -> set[bytes]:
    """The keys of all answered texts, about 100 bytes of memory each. Raises ConfigError for a damaged shard."""
    found: set[bytes] = set()
    for path in shard_paths(folder):
        found.update(map(bytes, _read_shard(path, (KEYS,))[KEYS]))
    return found


class StoredAnswers:
    """The answers of a folder in memory: 80 bytes for each text, 8 for each marker, and its key."""

    def __init__(self, folder: Path) -> None:
        """Raises ConfigError if *folder* cannot be used."""
        self.manifest = read_answers_manifest(folder)
        names = (KEYS, MARKERS, *self.manifest.heads)
        shards = [_read_shard(path, names) for path in shard_paths(folder)]
        if not shards:
            raise ConfigError(f"{folder} contains no answers; run `brandpulse model answers` first")
        self._logits = {name: np.concatenate([shard[name] for shard in shards]) for name in self.manifest.heads}
        self._markers = np.concatenate([shard[MARKERS] for shard in shards])
        self._starts = np.concatenate([[0], np.cumsum(self._markers, dtype=np.int64)])
        keys = np.concatenate([shard[KEYS] for shard in shards])
        self._rows = {bytes(key): at for at, key in enumerate(keys)}

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, text: str) -> int:
        """The place of the answers for *text*, -1 if there are none."""
        return self._rows.get(answer_key(text), -1)

    def logits(self, batch: Sequence[Encoded]) -> "dict[str, Tensor]":
        """(batch, labels) for each head that reads the post, (mentions, 4) for `target`; NaN where there is no answer.

        Heads that the teacher has not trained are missing.
        """
        import torch

        places = np.array([row.answer for row in batch])
        found: dict[str, Tensor] = {}
        for name, table in self._logits.items():
            rows = self._mentions(batch) if BY_NAME[name].reads == "mention" else places
            logits = np.full((len(rows), table.shape[1]), np.nan, dtype=np.float32)
            logits[rows >= 0] = table[rows[rows >= 0]]
            found[name] = torch.from_numpy(logits)
        return found

    def _mentions(self, batch: Sequence[Encoded]) -> npt.NDArray[np.int64]:
        """The row of each marker of *batch* in the table of `target`, -1 without an answer."""
        found: list[int] = []
        for row in batch:
            known = self._markers[row.answer] if row.answer >= 0 else 0
            start = self._starts[row.answer] if row.answer >= 0 else 0
            numbers = range(row.skipped, row.skipped + len(row.places))
            found += [int(start) + number if number < known else -1 for number in numbers]
        return np.array(found, dtype=np.int64)


def _read_shard(path: Path, names: Sequence[str]) -> Arrays:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            found = {name: file.get_tensor(name) for name in names}
    except (OSError, SafetensorError) as error:
        raise ConfigError(
            f"{path} cannot be read: {reason_of(error)}. Remove it and run `brandpulse model answers` again."
        ) from error
    return found

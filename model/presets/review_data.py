"""Reviews for training and evaluation: sentences of SST-2, or whole reviews of IMDB."""

import csv
import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from brandpulse.errors import ConfigError
from model.data.labelled_posts import leak_key
from model.presets.preset import Preset, data_file

BINARY = ("negative", "positive")

Review = tuple[str, str]
"""Text, and `negative` or `positive`."""


def sst2(data: Path, chosen: Preset) -> tuple[list[Review], list[Review]]:
    """Sentences for training and for evaluation. Raises ConfigError that names an invalid line."""
    train, held_out = (data_file(data, Path(name).name) for name in chosen.data[0].files)
    return list(_tab_separated(train)), list(_tab_separated(held_out))


def _tab_separated(path: Path) -> Iterator[Review]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            text, _, label = line.rstrip("\n").rpartition("\t")
            if label not in ("0", "1") or not text:
                raise ConfigError(f"{path}, line {number}: expected a sentence, a tab and 0 or 1, got {line[:80]!r}")
            yield text, BINARY[int(label)]


def imdb_reviews(path: Path) -> tuple[list[Review], list[Review]]:
    """Reviews for training and for evaluation.

    *path* is the unpacked folder aclImdb (`train` and `test`, each with `pos` and `neg`), or a CSV file with a column
    `review` or `text` and a column `sentiment` or `label`, whose second half is for evaluation. Raises ConfigError.
    """
    if path.is_dir():
        found = {part: list(_folder(path / part)) for part in ("train", "test")}
        for part, reviews in found.items():
            if not reviews:
                raise ConfigError(f"--imdb {path}: {part}/pos and {part}/neg contain no reviews")
        return found["train"], found["test"]
    every = list(_csv(path))
    if len(every) < 2:
        raise ConfigError(f"--imdb {path} has {len(every)} reviews, at least 2 are needed")
    return every[: len(every) // 2], every[len(every) // 2 :]


def _folder(folder: Path) -> Iterator[Review]:
    for name, label in (("neg", "negative"), ("pos", "positive")):
        for path in sorted((folder / name).glob("*.txt")):
            yield _without_breaks(path.read_text(encoding="utf-8")), label


_LABELS = {"0": "negative", "1": "positive", "neg": "negative", "pos": "positive"} | {name: name for name in BINARY}


def _csv(path: Path) -> Iterator[Review]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                text, label = (_first(row, names) for names in (("review", "text"), ("sentiment", "label")))
                if text is None or label not in _LABELS:
                    raise ConfigError(
                        f"--imdb {path}, line {number}: expected review (or text) and sentiment (or label) of "
                        f"{', '.join(_LABELS)}, got {dict(list(row.items())[:3])!r:.120}"
                    )
                yield _without_breaks(text), _LABELS[label]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"--imdb {path}: {error}") from error


def _first(row: dict[str, str], names: Sequence[str]) -> str | None:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _without_breaks(text: str) -> str:
    return text.replace("<br />", " ")


def without_held_out(given: Sequence[Review], held_out: Sequence[Review]) -> list[Review]:
    """The reviews of *given* whose text is not in *held_out*, ignoring case and punctuation."""
    seen = {leak_key(text) for text, _ in held_out}
    return [review for review in given if leak_key(review[0]) not in seen]


def sample_reviews(rows: Sequence[Review], count: int, *, seed: int) -> list[Review]:
    """*count* random *rows*, or all if there are fewer."""
    return [rows[at] for at in np.random.default_rng(seed).permutation(len(rows))[:count].tolist()]


def write_reviews(path: Path, rows: Sequence[Review]) -> None:
    """Writes a file for training (column `label`) and evaluation (column `sentiment`)."""
    lines = [json.dumps({"text": text, "label": label, "sentiment": label}) for text, label in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")

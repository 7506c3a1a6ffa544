"""Custom files with labelled posts: CSV with a header or JSON lines, with any column names."""

import csv
import gzip
import json
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

from brandpulse.config.validation import reason_of
from brandpulse.errors import ConfigError
from model.data.labelled_posts import leak_key
from model.data.training_examples import labels_of, parse_label
from model.spec.heads import EMOTIONS, TARGET
from model.training.fit.recipe import CustomFile

Row = TypeVar("Row")

FIELDS = {
    "sentiment": "sentiment",
    "target": "target_sentiment",
    "mood": "emotion",
    "emotion": "emotions",
    "complaint": "complaint",
    "crisis": "disaster",
    "sarcasm": "sarcasm",
}
"""Keys of a recipe's `labels` -> fields of a row in the standard data sets."""

_BITS = ("complaint", "crisis", "sarcasm")


def table_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, row) of a `.csv` file with a header, else of JSON lines; either may be a `.gz`.

    Raises ConfigError that names file and line.
    """
    whole = gzip.open if path.suffix == ".gz" else open
    read = _csv_rows if ".csv" in path.suffixes else _json_rows
    line = 0
    try:
        with whole(path, "rt", encoding="utf-8-sig", newline="") as file:
            for line, row in read(file):
                yield line, row
    except (OSError, EOFError, zlib.error, csv.Error, ValueError) as error:
        raise ConfigError(f"{path}, after line {line}: {error}") from error


def text_rows(path: Path, column: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, row with `text`) of each post in a `.txt` file (one per line, or a `.gz`), else as `table_rows`.

    *column* contains the post; it is renamed. Raises ConfigError that names file, line and a missing column.
    """
    if ".txt" in path.suffixes:
        try:
            with (
                gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file
            ):
                for line, text in enumerate(file, start=1):
                    yield line, {"text": text.rstrip("\n")}
        except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
            raise ConfigError(f"{path}: cannot be read: {reason_of(error)}") from error
        return
    for line, row in table_rows(path):
        if not isinstance(row.get(column), str):
            raise ConfigError(f"{path}, line {line}: no column {column!r}; the columns are {', '.join(row)}")
        yield line, row | {"text": row[column]}


def _csv_rows(file: IO[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    table = csv.DictReader(file, strict=True)
    for row in table:
        if None in row or None in row.values():
            raise ValueError("a row with more or fewer columns than the header")
        yield table.line_num, dict(row)


def _json_rows(file: IO[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(file, start=1):
        if line.strip():
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("not a JSON object")
            yield number, row


def texts_of(path: Path) -> Iterator[str]:
    """The posts in a file, as in `text_rows`, in its column `text`."""
    return (row["text"] for _, row in text_rows(path, "text"))


def custom_rows(path: Path, source: CustomFile) -> list[tuple[int, dict[str, Any]]]:
    """(line number, row in the form of the standard data sets) of each labelled post in *path*.

    Raises ConfigError that names a missing column, or line and value of an invalid label.
    """
    if unknown := source.labels.keys() - FIELDS.keys():
        raise ConfigError(f"own.labels.{min(unknown)}: unknown label; known labels are {', '.join(FIELDS)}")
    if ("target" in source.labels) != (source.target is not None):
        raise ConfigError("own.target: set the column of the brand together with `labels: {target: …}`")
    columns = [source.text, *source.labels.values(), *([source.target] if source.target else [])]
    found: list[tuple[int, dict[str, Any]]] = []
    for line, given in table_rows(path):
        if missing := [column for column in columns if column not in given]:
            raise ConfigError(f"{path}, line {line}: no column {missing[0]!r}; the columns are {', '.join(given)}")
        row: dict[str, Any] = {"text": str(given[source.text] or "")}
        for head, column in source.labels.items():
            label = _label(head, given[column], source.values.get(column, {}), f"{path}, line {line}, {column}")
            if label is not None:
                row[FIELDS[head]] = label
        if source.target and "target_sentiment" in row:
            row["target"] = str(given[source.target])
        try:
            labels_of(row)
            if "target_sentiment" in row:
                parse_label("target_sentiment", row["target_sentiment"], TARGET)
        except ValueError as error:
            raise ConfigError(f"{path}, line {line}: {error}; map it under `values`") from error
        if len(row) > 1:
            found.append((line, row))
    return found


def _label(head: str, value: Any, mapped: Mapping[str, str | int], where: str) -> Any:
    """*value* in the form of the standard data sets; None if the cell is empty."""
    if value in (None, "", []):
        return None
    if head == "emotion":
        names = value if isinstance(value, list) else [part.strip() for part in str(value).split("|")]
        labels = [str(mapped.get(str(name), name)) for name in names]
        if wrong := [label for label in labels if label not in EMOTIONS]:
            raise ConfigError(f"{where}: {wrong[0]!r} is not an emotion; map it under `values`")
        return labels
    label = mapped.get(str(value), value)
    if head in _BITS:
        if str(label) not in ("0", "1"):
            raise ConfigError(f"{where}: expected 0 or 1, got {value!r}; map it under `values`")
        return int(label)
    return str(label)


def split(
    rows: Sequence[Row], *, texts: Sequence[str], labels: Sequence[object], share: float, seed: int
) -> tuple[list[Row], list[Row]]:
    """Splits *rows* into a training and a validation part; *share* of each label's texts goes to validation.

    Keeps the order. Rows with the same text (except for case, punctuation, handles) stay together. A label with two or
    more texts has at least one of them in each part, unless *share* is 0.
    """
    strata: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    keys = [leak_key(text) for text in texts]
    for key, label in zip(keys, labels, strict=True):
        if key not in seen:
            seen.add(key)
            strata[json.dumps(label, default=str, sort_keys=True)].append(key)
    generator = np.random.default_rng(seed)
    held_out: set[str] = set()
    for _, stratum in sorted(strata.items()):
        count = min(max(round(share * len(stratum)), 1), len(stratum) - 1) if share else 0
        held_out.update(stratum[at] for at in generator.permutation(len(stratum))[:count].tolist())
    train = [row for row, key in zip(rows, keys, strict=True) if key not in held_out]
    return train, [row for row, key in zip(rows, keys, strict=True) if key in held_out]

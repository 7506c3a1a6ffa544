"""Posts with a gold label, read from JSON lines."""

import gzip
import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from brandpulse.config.validation import reason_of
from brandpulse.text.normalization import normalize
from model.spec.heads import SENTIMENT

GOLD = {"neg": 0, "neu": 1, "pos": 2} | {label: index for index, label in enumerate(SENTIMENT)}
"""Short labels of the data sets and long labels -> column of the class."""

_NOT_A_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class LabelledPost:
    """A normalized text and the column of its gold class in `SENTIMENT`."""

    text: str
    label: int


def read_labelled(path: Path) -> list[LabelledPost]:
    """The posts of a `.jsonl` or `.jsonl.gz` file with the fields `text` and `sentiment`, in file order.

    Raises ValueError that names file and line of a row without them or with another label.
    """
    return list(_rows(path))


def read_texts(path: Path, *, limit: int) -> list[str]:
    """The `text` fields of the first *limit* rows of a `.jsonl` or `.jsonl.gz` file, unchanged."""
    with _lines(path) as lines:
        return [json.loads(line)["text"] for line, _ in zip(lines, range(limit), strict=False)]


def leak_key(text: str) -> str:
    """A key that two posts share if they differ only in case, punctuation, handles or links."""
    words = _NOT_A_WORD.sub(" ", normalize(text).casefold()).split()
    return " ".join(word for word in words if word not in {"user", "http", "rt"})


def _rows(path: Path) -> Iterator[LabelledPost]:
    with _lines(path) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                yield LabelledPost(text=normalize(row["text"]), label=GOLD[row["sentiment"]])
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{path}, line {number}: expected text, sentiment (neg, neu, pos): {reason_of(error)}"
                ) from error


def _lines(path: Path) -> AbstractContextManager[IO[str]]:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")

"""Reads a recorded series of counts: CSV with the columns `timestamp` and `value`, `.gz` or plain."""

import csv
import gzip
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from alerting.detection.volume_baseline import HOUR_SECONDS
from brandpulse.errors import ConfigError

if TYPE_CHECKING:
    from _csv import Reader

COLUMNS = ("timestamp", "value")
USUAL_STEP_SECONDS = 300.0
"""Of a series of one row, which has no neighbour to ask."""


@dataclass(frozen=True, slots=True)
class Count:
    """One row: how many posts came in the interval that starts at `at`."""

    timestamp: str
    """As it stands in the file; so it is with `text`."""
    text: str
    at: float
    """Seconds since 1970; a timestamp without a zone is UTC."""
    value: float
    where: str
    """File and line, for a person."""


def read_counts(path: Path) -> list[Count]:
    """The rows of *path*. ConfigError names the line, the field and the value that is wrong."""
    try:
        with _open(path) as file:
            counts = list(_rows(csv.reader(file), path))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"cannot read the counts of {path}: {error}") from error
    if not counts:
        raise ConfigError(f"{path} has no rows under its header")
    return counts


def step_seconds(counts: Sequence[Count]) -> float:
    """The width of an interval: what lies between the first two rows. Later rows may leave some out.

    Only the first two are asked, so that no score depends on a row after it. ConfigError where rows stand closer, or
    where the width is beyond an hour: the hours of the day could not be told apart.
    """
    if len(counts) < 2:
        return USUAL_STEP_SECONDS
    first, second = counts[:2]
    step = second.at - first.at
    if step > HOUR_SECONDS:
        raise ConfigError(
            f"{second.where}: timestamp {second.timestamp!r} comes {step:g} s after the first; rows may count an hour "
            "each at most, and the first two must be neighbours"
        )
    for before, row in pairwise(counts):
        if row.at - before.at < step / 2:
            raise ConfigError(
                f"{row.where}: timestamp {row.timestamp!r} comes {row.at - before.at:g} s after the one before, but "
                f"the first two rows are {step:g} s apart, and each row counts an interval of that width"
            )
    return step


def missing(counts: Sequence[Count], step: float) -> int:
    """How many intervals have no row."""
    return sum(max(0, round((row.at - before.at) / step) - 1) for before, row in pairwise(counts))


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return cast("IO[str]", gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")


def _rows(reader: "Reader", path: Path) -> Iterator[Count]:
    header = [name.strip() for name in next(reader, [])]
    for name in COLUMNS:
        if name not in header:
            raise ConfigError(f"{path}, line 1: no column {name!r} among {', '.join(header) or 'none'}")
    stamp, value = (header.index(name) for name in COLUMNS)
    before: Count | None = None
    for cells in reader:
        if not cells:
            continue
        where = f"{path}, line {reader.line_num}"
        if len(cells) != len(header):
            raise ConfigError(f"{where}: {len(cells)} cells where the header has {len(header)}")
        count = Count(cells[stamp], cells[value], _moment(cells[stamp], where), _number(cells[value], where), where)
        if before is not None and count.at <= before.at:
            wrong = "stands twice" if count.at == before.at else f"is earlier than {before.timestamp!r} before it"
            raise ConfigError(f"{where}: timestamp {count.timestamp!r} {wrong}; rows must rise in time")
        yield count
        before = count


def _moment(text: str, where: str) -> float:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigError(f"{where}: timestamp {text!r} is no ISO 8601 time such as 2026-03-02 12:00:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise ConfigError(
            f"{where}: value {text!r} is no count; it must be a number of 0 or more (leave out the rows that you miss)"
        )
    return value

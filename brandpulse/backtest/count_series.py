"""Reads a recorded series of counts: CSV with the columns `timestamp` and `value`, plain or `.gz`."""

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
DEFAULT_STEP_SECONDS = 300.0
"""Of a series with one row."""


@dataclass(frozen=True, slots=True)
class Count:
    """One row: the number of posts in the interval that starts at `at`."""

    timestamp: str
    """As written in the file."""
    text: str
    """The value as written in the file."""
    at: float
    """Seconds since 1970; a timestamp without a zone is UTC."""
    value: float
    place: str
    """File and line, for error messages."""


def read_counts(path: Path) -> list[Count]:
    """The rows of *path*. Raises ConfigError with the line, the field and the wrong value."""
    try:
        with _open(path) as file:
            counts = list(_rows(csv.reader(file), path))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"cannot read the counts of {path}: {error}") from error
    if not counts:
        raise ConfigError(f"{path} has no rows under its header")
    return counts


def step_seconds(counts: Sequence[Count]) -> float:
    """Seconds between the first two rows: the width of an interval. Later rows may skip intervals.

    Only the first two rows count, so that no score depends on a later row. Raises ConfigError if rows are closer to
    each other, or if the width exceeds an hour: the baseline has one value per hour.
    """
    if len(counts) < 2:
        return DEFAULT_STEP_SECONDS
    first, second = counts[:2]
    step = second.at - first.at
    if step > HOUR_SECONDS:
        raise ConfigError(
            f"{second.place}: timestamp {second.timestamp!r} is {step:g} s after the first; a row may count an hour "
            "at most, and no interval may be missing between the first two"
        )
    for before, row in pairwise(counts):
        if row.at - before.at < step / 2:
            raise ConfigError(
                f"{row.place}: timestamp {row.timestamp!r} is {row.at - before.at:g} s after the previous row, but "
                f"the first two rows are {step:g} s apart, and each row counts an interval of that width"
            )
    return step


def missing_intervals(counts: Sequence[Count], step: float) -> int:
    """Number of intervals without a row."""
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
    timestamp, value = (header.index(name) for name in COLUMNS)
    before: Count | None = None
    for cells in reader:
        if not cells:
            continue
        place = f"{path}, line {reader.line_num}"
        if len(cells) != len(header):
            raise ConfigError(f"{place}: {len(cells)} cells where the header has {len(header)}")
        count = Count(
            cells[timestamp], cells[value], _seconds(cells[timestamp], place), _number(cells[value], place), place
        )
        if before is not None and count.at <= before.at:
            problem = "occurs twice" if count.at == before.at else f"is earlier than {before.timestamp!r} before it"
            raise ConfigError(f"{place}: timestamp {count.timestamp!r} {problem}; rows must be sorted by time")
        yield count
        before = count


def _seconds(text: str, place: str) -> float:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigError(
            f"{place}: timestamp {text!r} is not an ISO 8601 time, for example 2026-03-02 12:00:00"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _number(text: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise ConfigError(
            f"{place}: value {text!r} is not a count; it must be a number of 0 or more (omit rows of missing counts)"
        )
    return value

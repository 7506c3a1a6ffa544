"""Scans the times of a file before the first post is sent: their order, and outliers."""

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from ingest.files.reading.row import MISSING, InputError, Reject
from ingest.files.reading.row_reader import IsTime, RowFile
from ingest.files.reading.time_zones import Zone
from ingest.files.reading.timestamp_parsing import parse_timestamp

CHUNK_ROWS = 4_096
BLOCK_BYTES = 2**20
SHOWN_ROWS = 10
MIN_GAP_DAYS = 7
SMALL_FILE_ROWS = 10
SMALL_FILE_GAP_DAYS = 90
"""In a file of few rows, only times that would make workers reject the other rows are outliers."""
OUTLIER_SHARE = 0.05
"""A larger share of rows at one end are not single mistakes, so they are no outliers."""
FUTURE_TOLERANCE = timedelta(minutes=5)
"""Same as the workers': posts further ahead are rejected as `from_the_future`."""

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class OutlierRow:
    """A row with an outlier time."""

    line: int
    written: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Times:
    """The result of the scan. Days are whole numbers since 1970, UTC."""

    rows: int = 0
    """Rows with a valid time."""
    first: datetime | None = None
    last: datetime | None = None
    step_back: timedelta = timedelta(0)
    """The largest amount by which a row is older than an earlier row of the file."""
    days: Mapping[int, int] = field(default_factory=dict)
    """Day -> number of rows."""

    def before(self, moment_ms: int) -> int:
        """Estimated number of rows before *moment_ms* (ms since 1970): whole days plus a share of its day."""
        day, rest = divmod(moment_ms, 86_400_000)
        whole = sum(count for at, count in self.days.items() if at < day)
        if self.last is not None and self.last.timestamp() * 1_000 < moment_ms:
            return self.rows
        if self.first is not None and self.first.timestamp() * 1_000 >= moment_ms:
            return 0
        return whole + self.days.get(day, 0) * rest // 86_400_000


@dataclass(frozen=True, slots=True)
class OutlierBounds:
    """The days beyond which rows are outliers; None if there are none on that side."""

    before: int | None = None
    """Rows on earlier days are outliers."""
    after: int | None = None
    """Rows on later days are outliers."""

    def contains(self, at: datetime) -> bool:
        day = day_of(at)
        return (self.before is not None and day < self.before) or (self.after is not None and day > self.after)


def day_of(at: datetime) -> int:
    """Whole days since 1970, UTC."""
    return at.astimezone(UTC).toordinal() - _EPOCH_DAY


def outlier_bounds(days: Mapping[int, int]) -> OutlierBounds:
    """Finds a few rows that are far from all others. Pure.

    The middle 90 % of the rows show how large the gaps between days with posts are in this file. Rows are outliers if
    they are few and lie beyond a gap that is three times as large, and at least a week. A file of single posts over
    years has large gaps in its middle, so it has no outliers.
    """
    total = sum(days.values())
    if total < 3:
        return OutlierBounds()
    allowed = max(1, int(total * OUTLIER_SHARE))
    min_gap = MIN_GAP_DAYS if total >= SMALL_FILE_ROWS else SMALL_FILE_GAP_DAYS
    ordered = sorted(days)
    low = _tail(ordered, days, allowed)
    high = len(ordered) - 1 - _tail(ordered[::-1], days, allowed)
    if low > high:
        return OutlierBounds()
    widest = max((ordered[i + 1] - ordered[i] for i in range(low, high)), default=1)
    gap = max(min_gap, 3 * widest)
    before = next((ordered[i] for i in range(low, 0, -1) if ordered[i] - ordered[i - 1] > gap), None)
    after = next((ordered[i] for i in range(high, len(ordered) - 1) if ordered[i + 1] - ordered[i] > gap), None)
    return OutlierBounds(before, after)


def _tail(ordered: Sequence[int], days: Mapping[int, int], allowed: int) -> int:
    """Number of the first days of *ordered* that have at most *allowed* rows together."""
    seen = 0
    for number, day in enumerate(ordered):
        seen += days[day]
        if seen > allowed:
            return number
    return len(ordered)


def scan_times(
    file: RowFile,
    column: str,
    *,
    zone: Zone | None = None,
    day_first: bool | None = None,
    is_time: IsTime | None = None,
) -> Times:
    """Scan the times in *column*; in a broken file, up to the broken position.

    Plain JSON lines with times in one format take a fast path that makes no row per line.
    """
    collector = _TimeCollector(zone=zone, day_first=day_first)
    try:
        for plain in _plain_chunks(file, column):
            collector.add_values(plain)
        return collector.times()
    except (msgspec.DecodeError, UnicodeDecodeError, _NotPlainError):
        collector = _TimeCollector(zone=zone, day_first=day_first)
    chunk: list[Any] = []
    with contextlib.suppress(InputError):  # sending the file reports the error and its position
        for row in file.rows((column,), is_time=is_time):
            if not isinstance(row, Reject):
                chunk.append(row.cells[0])
            if len(chunk) == CHUNK_ROWS:
                collector.add_values(chunk)
                chunk = []
    collector.add_values(chunk)
    return collector.times()


def outlier_rows(
    file: RowFile,
    column: str,
    is_outlier: Callable[[datetime], bool],
    *,
    zone: Zone | None = None,
    day_first: bool | None = None,
    is_time: IsTime | None = None,
) -> Iterator[OutlierRow]:
    """The rows with outlier times, in file order."""
    with contextlib.suppress(InputError):
        for row in file.rows((column,), is_time=is_time):
            if isinstance(row, Reject):
                continue
            for at in _moments(row.cells, zone=zone, day_first=day_first):
                if is_outlier(at):
                    yield OutlierRow(row.line, str(row.cells[0]), at)


class _NotPlainError(Exception):
    """The file is not uncompressed JSON lines in UTF-8."""


def _plain_chunks(file: RowFile, column: str) -> Iterator[list[Any]]:
    if not file.is_plain(column):
        raise _NotPlainError
    shape = msgspec.defstruct("Time", [("at", Any, MISSING)], rename={"at": column}, gc=False)
    decode: Callable[[bytes], list[Any]] = msgspec.json.Decoder(shape).decode_lines
    with file.path.open("rb") as raw:
        rest = b""
        while block := raw.read(BLOCK_BYTES):
            whole, newline, rest_after = (rest + block).rpartition(b"\n")
            if not newline:
                rest = rest_after
                if len(rest) > 8 * BLOCK_BYTES:
                    raise _NotPlainError
                continue
            rest = rest_after
            yield [row.at for row in decode(whole)]
        if rest.strip():
            yield [row.at for row in decode(rest)]


def _moments(values: Iterable[Any], *, zone: Zone | None, day_first: bool | None) -> list[datetime]:
    """The valid times of *values*; the others are rejected when the file is sent."""
    found = []
    for value in values:
        if value is MISSING or value is None:
            continue
        try:
            found.append(parse_timestamp(value, zone=zone, day_first=day_first))
        except ValueError:
            continue
    return found


class _TimeCollector:
    """Collects times in chunks."""

    def __init__(self, *, zone: Zone | None = None, day_first: bool | None = None) -> None:
        self._zone = zone
        self._day_first = day_first
        self._rows = 0
        self._first: datetime | None = None
        self._last: datetime | None = None
        self._back = timedelta(0)
        self._days: Counter[int] = Counter()

    def times(self) -> Times:
        return Times(self._rows, self._first, self._last, self._back, dict(self._days))

    def add_values(self, values: Sequence[Any]) -> None:
        if not self._add_sorted(values):
            self.add_times(_moments(values, zone=self._zone, day_first=self._day_first))

    def add_times(self, moments: Sequence[datetime]) -> None:
        last = self._last
        for at in moments:
            if last is None or at >= last:
                last = at
            elif last - at > self._back:
                self._back = last - at
        if moments:
            first = min(moments)
            self._first = first if self._first is None else min(self._first, first)
            self._last = last
            self._rows += len(moments)
            self._days.update(at.toordinal() - _EPOCH_DAY for at in moments)

    def _add_sorted(self, values: Sequence[Any]) -> bool:
        """Add a chunk of sorted times in one format and zone; False if the chunk is different.

        Such texts sort like their times (except within one second), so they need no parsing.
        """
        try:
            ends = {value[-6:] for value in values}
        except TypeError:
            return False
        if len(ends) != 1 and not all(type(end) is str and end[-1:] == "Z" for end in ends):
            return False
        if not values or type(values[0]) is not str or type(values[-1]) is not str:
            return False
        if _DAY.fullmatch(values[0]) is None or _DAY.fullmatch(values[-1]) is None or values != sorted(values):
            return False
        days = Counter([value[:10] for value in values])
        try:
            first, last = parse_timestamp(values[0]), parse_timestamp(values[-1])
            numbered = {date.fromisoformat(day).toordinal() - _EPOCH_DAY: count for day, count in days.items()}
        except ValueError:
            return False
        if self._last is not None and first < self._last:
            self._back = max(self._back, self._last - first)
        self._first = first if self._first is None else min(self._first, first)
        self._last = last if self._last is None else max(self._last, last)
        self._rows += len(values)
        self._days.update(numbered)
        return True

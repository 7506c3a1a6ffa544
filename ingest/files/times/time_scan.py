"""The times of a file's rows, looked through before the first post is sent: their order, and rows far from the rest."""

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
from ingest.files.reading.timestamp_parsing import parse_timestamp

CHUNK_ROWS = 4_096
BLOCK_BYTES = 2**20
SHOWN_ROWS = 10
MIN_GAP_DAYS = 7
SMALL_FILE_ROWS = 10
SMALL_FILE_GAP_DAYS = 90
"""In a file of few rows only what would make workers refuse the others is far."""
OUTLIER_SHARE = 0.05
"""More rows than this at one end are no mistake of single rows."""
FUTURE_TOLERANCE = timedelta(minutes=5)
"""As the workers': a post that lies further ahead is refused as `from_the_future`."""

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class OutlierRow:
    """A row whose time lies far from the rest."""

    line: int
    written: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Times:
    """What the scan found. Days are whole numbers since 1970, UTC."""

    rows: int = 0
    """Rows with a time that can be read."""
    first: datetime | None = None
    last: datetime | None = None
    step_back: timedelta = timedelta(0)
    """The furthest that a row lies before an earlier row of the file."""
    days: Mapping[int, int] = field(default_factory=dict)
    """Rows by day."""

    def before(self, moment_ms: int) -> int:
        """About how many rows lie before that moment (ms since 1970): whole days, and a part of the one it cuts."""
        day, rest = divmod(moment_ms, 86_400_000)
        whole = sum(count for at, count in self.days.items() if at < day)
        if self.last is not None and self.last.timestamp() * 1_000 < moment_ms:
            return self.rows
        if self.first is not None and self.first.timestamp() * 1_000 >= moment_ms:
            return 0
        return whole + self.days.get(day, 0) * rest // 86_400_000


@dataclass(frozen=True, slots=True)
class OutlierBounds:
    """The days beyond which rows lie far from the rest; None where there are none."""

    before: int | None = None
    """Rows of days below this one lie far before the rest."""
    after: int | None = None
    """Rows of days above this one lie far behind the rest."""

    def contains(self, at: datetime) -> bool:
        day = day_of(at)
        return (self.before is not None and day < self.before) or (self.after is not None and day > self.after)


def day_of(at: datetime) -> int:
    """Whole days since 1970, UTC."""
    return at.astimezone(UTC).toordinal() - _EPOCH_DAY


def outlier_bounds(days: Mapping[int, int]) -> OutlierBounds:
    """Where few rows lie apart from all others. Pure.

    The middle nine tenths of the rows say how large gaps between days with posts are in this file. A gap three times as
    large, and a week at least, with few rows beyond it, parts off those rows. A file of single posts over years has
    large gaps in its middle, and none of it is far.
    """
    total = sum(days.values())
    if total < 3:
        return OutlierBounds()
    allowed = max(1, int(total * OUTLIER_SHARE))
    least = MIN_GAP_DAYS if total >= SMALL_FILE_ROWS else SMALL_FILE_GAP_DAYS
    ordered = sorted(days)
    low = _tail(ordered, days, allowed)
    high = len(ordered) - 1 - _tail(ordered[::-1], days, allowed)
    if low > high:
        return OutlierBounds()
    widest = max((ordered[i + 1] - ordered[i] for i in range(low, high)), default=1)
    gap = max(least, 3 * widest)
    before = next((ordered[i] for i in range(low, 0, -1) if ordered[i] - ordered[i - 1] > gap), None)
    after = next((ordered[i] for i in range(high, len(ordered) - 1) if ordered[i + 1] - ordered[i] > gap), None)
    return OutlierBounds(before, after)


def _tail(ordered: Sequence[int], days: Mapping[int, int], allowed: int) -> int:
    """How many of the first days of *ordered* hold no more than *allowed* rows together."""
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
    assume_utc: bool = False,
    day_first: bool | None = None,
    is_time: IsTime | None = None,
) -> Times:
    """Look through the times in *column*, in a broken file as far as it can be read.

    A plain file of JSON lines whose times are all written alike is read without making a row of each line; every other
    file as rows are read.
    """
    found = _TimeCollector(assume_utc=assume_utc, day_first=day_first)
    try:
        for plain in _plain_chunks(file, column):
            found.take(plain)
        return found.times()
    except (msgspec.DecodeError, UnicodeDecodeError, _NotPlainError):
        found = _TimeCollector(assume_utc=assume_utc, day_first=day_first)
    chunk: list[Any] = []
    with contextlib.suppress(InputError):  # the sending says what is wrong with the file, and where
        for row in file.rows((column,), is_time=is_time):
            if not isinstance(row, Reject):
                chunk.append(row.cells[0])
            if len(chunk) == CHUNK_ROWS:
                found.take(chunk)
                chunk = []
    found.take(chunk)
    return found.times()


def outlier_rows(
    file: RowFile,
    column: str,
    is_far: Callable[[datetime], bool],
    *,
    assume_utc: bool = False,
    day_first: bool | None = None,
    is_time: IsTime | None = None,
) -> Iterator[OutlierRow]:
    """The rows whose times are far, in the file's order."""
    with contextlib.suppress(InputError):
        for row in file.rows((column,), is_time=is_time):
            if isinstance(row, Reject):
                continue
            for at in _moments(row.cells, assume_utc=assume_utc, day_first=day_first):
                if is_far(at):
                    yield OutlierRow(row.line, str(row.cells[0]), at)


class _NotPlainError(Exception):
    """The file is no plain file of JSON lines."""


def _plain_chunks(file: RowFile, column: str) -> Iterator[list[Any]]:
    if (
        file.format != "jsonl"
        or not file.encoding.is_utf8
        or ("." in column and column.partition(".")[0] in file.columns)
    ):
        raise _NotPlainError
    shape = msgspec.defstruct("Time", [("at", Any, MISSING)], rename={"at": column}, gc=False)
    decode: Callable[[bytes], list[Any]] = msgspec.json.Decoder(shape).decode_lines
    with file.path.open("rb") as raw:
        if raw.read(2) == b"\x1f\x8b":
            raise _NotPlainError
        raw.seek(0)
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


def _moments(values: Iterable[Any], *, assume_utc: bool, day_first: bool | None) -> list[datetime]:
    """The times of *values* that can be read; the others become rejects when the file is sent."""
    found = []
    for value in values:
        if value is MISSING or value is None:
            continue
        try:
            found.append(parse_timestamp(value, assume_utc=assume_utc, day_first=day_first))
        except ValueError:
            continue
    return found


class _TimeCollector:
    """Times by chunks."""

    def __init__(self, *, assume_utc: bool = False, day_first: bool | None = None) -> None:
        self._assume_utc = assume_utc
        self._day_first = day_first
        self._rows = 0
        self._first: datetime | None = None
        self._last: datetime | None = None
        self._back = timedelta(0)
        self._days: Counter[int] = Counter()

    def times(self) -> Times:
        return Times(self._rows, self._first, self._last, self._back, dict(self._days))

    def take(self, values: Sequence[Any]) -> None:
        if not self.add_alike(values):
            self.add(_moments(values, assume_utc=self._assume_utc, day_first=self._day_first))

    def add(self, moments: Sequence[datetime]) -> None:
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

    def add_alike(self, values: Sequence[Any]) -> bool:
        """Take a chunk of times that are all written alike, in one zone, and stand in order; False: it is another one.

        Such texts sort as their times do (but within one second), so no time of them is made.
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

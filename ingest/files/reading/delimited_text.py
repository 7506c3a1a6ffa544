"""Reads rows of CSV and tab-separated text with strict quotes: an open quote loses its own row, not the next ones."""

import csv
import re
from collections.abc import Callable, Iterator, Sequence

from ingest.files.reading.row import Reject, Row

MAX_CELL_CHARS = 2**20
"""An open quote takes in at most this many characters, if no line in it is a row."""
MAX_LINES_READ_AGAIN = 1_000
"""A broken row of more lines is rejected as a whole."""

_ESCAPED_QUOTE = re.compile(r'(?<!\\)((?:\\\\)*)\\"')


def with_doubled_quotes(line: str) -> str:
    r"""*line* with `""` for each `\"`."""
    return _ESCAPED_QUOTE.sub(r'\1""', line)


def escapes_with_backslash(text: str, delimiter: str) -> bool:
    r"""Whether *text*, the start of a file, escapes a quote inside quotes as `\"`."""
    if '\\"' not in text:
        return False
    lines = [f"{line}\n" for line in text.split("\n")[:-1]]
    doubled = _broken_rows(lines, delimiter)
    return doubled > 0 and _broken_rows(list(map(with_doubled_quotes, lines)), delimiter) < doubled


def _broken_rows(lines: Sequence[str], delimiter: str) -> int:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    broken = 0
    while True:
        try:
            next(reader)
        except StopIteration:
            return broken
        except csv.Error:
            broken += 1


class DelimitedReader:
    """Reads the rows after a header of *columns*."""

    def __init__(
        self,
        columns: Sequence[str],
        wanted: Sequence[str],
        *,
        delimiter: str,
        backslash: bool = False,
        is_time: tuple[str, Callable[[object], bool]] | None = None,
    ) -> None:
        """*is_time*: the time column, and a check whether a cell may be a time."""
        self._places = [columns.index(name) for name in wanted]
        self._width = len(columns)
        self._delimiter = delimiter
        self._backslash = backslash
        self._time_place = columns.index(is_time[0]) if is_time is not None else None
        self._may_be_time = is_time[1] if is_time is not None else None
        self.pulled: list[str] = []
        """The physical lines of the last row."""

    def rows(self, readline: Callable[[], str], first_line: int) -> Iterator[Row | Reject]:
        """Rows from the lines of *readline* until an empty one. *first_line* is the number of the first line."""
        csv.field_size_limit(MAX_CELL_CHARS)
        pulled, again = self.pulled, list[str]()
        places, width, backslash = self._places, self._width, self._backslash
        stop = ""
        """Why the lines end inside a row: `row` or `end`."""

        def lines() -> Iterator[str]:
            nonlocal stop
            while True:
                line = again.pop() if again else readline()
                if pulled and (not line or self._is_row(line)):
                    stop = "row" if line else "end"
                    if line:
                        again.append(line)
                    # Not a str: the csv reader gives up this row and starts a new one at the next line.
                    yield b""  # type: ignore[misc]
                    continue
                if not line:
                    return
                pulled.append(line)
                yield with_doubled_quotes(line) if backslash and '\\"' in line else line

        reader = csv.reader(lines(), delimiter=self._delimiter, strict=True)
        next_line = first_line
        found: Row | Reject | None
        while True:
            pulled.clear()
            line = next_line
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                found, used = self._broken(line, error, stop)
                stop = ""
            else:
                if len(row) == width and len(pulled) == 1:
                    next_line += 1
                    yield Row(line, [row[place] for place in places])
                    continue
                found, used = self._complete(line, row)
            again.extend(reversed(pulled[used:]))
            del pulled[used:]
            next_line = line + used
            if found is not None:
                yield found

    def _complete(self, line: int, row: list[str]) -> tuple[Row | Reject | None, int]:
        """The result for a row with correct quotes, and how many of its lines it uses."""
        lines = len(self.pulled)
        if len(row) == self._width:
            return Row(line, [row[place] for place in self._places]), lines
        if not row:
            return None, lines
        reason = f"has {len(row)} columns, the header has {self._width}"
        if lines == 1:
            return Reject(line, None, self._delimiter.join(row), reason), 1
        if lines > MAX_LINES_READ_AGAIN:
            return Reject(
                line, None, self.pulled[0], f"{reason}, in {_span(line, lines)}", line + lines - 1, reason
            ), lines
        return self._open_quote(line, line + 1), 1

    def _broken(self, line: int, error: csv.Error, stop: str) -> tuple[Row | Reject, int]:
        """The result for a row with wrong quotes, and how many of its lines it uses."""
        lines = len(self.pulled)
        first = self.pulled[0]
        if stop == "row":
            return self._open_quote(line, line + lines), lines
        if stop == "end":
            reason = f"has a quote that is not closed before the end of the file, in {_span(line, lines)}"
            return Reject(line, None, first, reason, line + lines - 1, _OPEN_QUOTE), lines
        if lines == 1:
            row = self._reparsed(first)
            if row is not None:
                return Row(line, [row[place] for place in self._places]), 1
            return Reject(line, None, first, _STRAY_QUOTE), 1
        if lines > MAX_LINES_READ_AGAIN or "limit" in str(error):
            reason = (
                f"has a quote that is not closed within {MAX_CELL_CHARS:,} characters: {_span(line, lines)} are lost"
            )
            return Reject(line, None, first, reason, line + lines - 1, _OPEN_QUOTE), lines
        return self._open_quote(line, line + 1), 1

    def _open_quote(self, line: int, following: int) -> Reject:
        reason = (
            f"{_OPEN_QUOTE}: line {following} and the lines after it would be part of one cell; they are read as rows"
        )
        last = following - 1 if following - 1 > line else None
        return Reject(line, None, self.pulled[0], reason, last, _OPEN_QUOTE)

    def _reparsed(self, line: str) -> list[str] | None:
        r"""The cells of a line with another way of quoting: `\"`, or, between tabs, none."""
        for text in [with_doubled_quotes(line)] if '\\"' in line else []:
            if (cells := self._strictly(text)) is not None:
                return cells
        if self._delimiter == "\t":
            cells = line.rstrip("\r\n").split("\t")
            return cells if len(cells) == self._width else None
        return None

    def _strictly(self, line: str) -> list[str] | None:
        try:
            cells = next(csv.reader([line], delimiter=self._delimiter, strict=True), None)
        except csv.Error:
            return None
        return cells if cells is not None and len(cells) == self._width else None

    def _is_row(self, line: str) -> bool:
        """Whether a line inside a quote is a row by itself. A line that closes a quote has an odd number of quotes."""
        if line.count(self._delimiter) < self._width - 1 or line.count('"') % 2:
            return False
        cells = self._strictly(line)
        if cells is None:
            return False
        return self._may_be_time is None or self._may_be_time(cells[self._time_place or 0])


_OPEN_QUOTE = "has a quote that is not closed"
_STRAY_QUOTE = "has a quote inside a quoted cell that is not doubled"


def _span(line: int, lines: int) -> str:
    return f"line {line}" if lines == 1 else f"lines {line} to {line + lines - 1}"

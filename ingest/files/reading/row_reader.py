"""Reads a file row by row: JSON, CSV or a sheet of a workbook, plain or packed, in bounded memory."""

import csv
import io
import itertools
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from ingest.files.forms.formats import PACKINGS, Format, check_packing, text_format, usual_delimiter
from ingest.files.forms.header_search import SEARCHED_LINES, find_header
from ingest.files.forms.json_values import json_values
from ingest.files.forms.opening import BROKEN, FormError, packing, unpacked
from ingest.files.forms.workbook import Sheet, is_workbook, read_sheet
from ingest.files.presets.derived import Derived, Refused
from ingest.files.reading.delimited_text import MAX_CELL_CHARS, DelimitedReader, escapes_with_backslash
from ingest.files.reading.encodings import Encoding, EncodingError, detect_encoding
from ingest.files.reading.row import MISSING, InputError, Reject, Row

IsTime = tuple[str, Callable[[object], bool]]
"""A column, and a check whether a cell may be a time."""

MAX_LINE_BYTES = 4 * 2**20
"""A longer line is not a post. It is rejected in pieces, so that a file without line ends fits into memory."""
HEAD_BYTES = 64 * 1024
HEAD_ROWS = 100
MAX_HEADER_LINES = 3
COLUMN_DEPTH = 3
"""Objects inside objects whose fields are columns: `tweet.user.id`."""
POST_COLUMNS = frozenset({"id", "text", "created_at", "author_id"})

_BOM = b"\xef\xbb\xbf"
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE)
"""First line of Excel exports with the separator."""
_UNREADABLE = (FormError, *BROKEN, UnicodeError, OSError)


def _names_post(cells: Sequence[str]) -> bool:
    return {cell.strip() for cell in cells} >= POST_COLUMNS


class RowFile:
    """A file of rows with known format and column names. Raises InputError if *path* is not such a file."""

    def __init__(
        self,
        path: Path,
        *,
        format: Format | None = None,
        encoding: str | None = None,
        is_header: Callable[[Sequence[str]], bool] = _names_post,
        name: str = "",
    ) -> None:
        """*encoding* is the user's choice; by default the byte order mark decides, else UTF-8.

        *is_header*: whether the cells of a line name the columns of posts, to find a header behind other lines. *name*
        is shown in messages instead of *path*.
        """
        self.path = path
        self.name = name or str(path)
        self.size_bytes = _check_is_file(path, self.name)
        self._derived: dict[str, Derived] = {}
        self._raw: BinaryIO | None = None
        self._pulled: Sequence[str | bytes] = ()
        self._sheet: Sheet | None = None
        self._header_line = 0
        self._backslash = False
        self._delimiter = ","
        self.notes: list[str] = []
        """How the file is read, for the user."""
        try:
            with path.open("rb") as raw:
                first = raw.read(16)
            self._packing = packing(first)
            if is_workbook(first):
                self._set_sheet(is_header)
            else:
                self._set_text(format, encoding, is_header)
        except _UNREADABLE as error:
            raise self._input_error(error) from error

    def _set_sheet(self, is_header: Callable[[Sequence[str]], bool]) -> None:
        self.format: Format = "xlsx"
        self.encoding = Encoding("utf-8")
        self._sheet = read_sheet(self.path, is_header)
        self.size_bytes = max(1, self._sheet.size_bytes)
        self._file_columns = self._sheet.columns
        if self._sheet.note is not None:
            self.notes.append(self._sheet.note)
        if self._sheet.header_row > 1:
            self.notes.append(f"the columns are named in row {self._sheet.header_row}; the rows before it are skipped")

    def _set_text(
        self, format: Format | None, encoding: str | None, is_header: Callable[[Sequence[str]], bool]
    ) -> None:
        check_packing(self.path, self._packing)
        head, self.encoding = self._read_head(encoding)
        if self.encoding.note is not None:
            self.notes.append(self.encoding.note)
        self.format = found = text_format(self.path, head, named=format)
        if found in ("jsonl", "json"):
            self._file_columns = self._json_columns()
            return
        named = _SEPARATOR_LINE.match(head)
        self._delimiter = "\t" if found == "tsv" else named[1] if named else usual_delimiter(head)
        if named is None:
            lines = [f"{line}\n" for line in head.lstrip("\ufeff").split("\n")]
            header = find_header(lines[: 3 * SEARCHED_LINES], self._delimiter, is_header)
            self._header_line, self._delimiter = header.line, header.delimiter
        if self._header_line:
            shown = "line before it is" if self._header_line == 1 else f"{self._header_line} lines before it are"
            self.notes.append(f"the columns are named in line {self._header_line + 1}; the {shown} skipped")
        self._backslash = escapes_with_backslash(head, self._delimiter)
        self._file_columns = self._csv_columns()

    @property
    def columns(self) -> list[str]:
        """Column names, and derived ones. For JSON, the fields of the first 100 objects; inner fields have dots."""
        return [*self._file_columns, *self._derived]

    def derive(self, columns: Mapping[str, Derived]) -> None:
        """Add columns that are computed from others."""
        self._derived.update(columns)

    def is_plain(self, column: str) -> bool:
        """Whether the file is JSON lines in UTF-8, not packed, with *column* as a field of each object."""
        is_inner = "." in column and column.partition(".")[0] in self._file_columns
        is_utf8 = self.format == "jsonl" and self._packing is None and self.encoding.is_utf8
        return is_utf8 and not is_inner and column not in self._derived

    @property
    def position_bytes(self) -> int:
        """Position in the (packed) file."""
        return self._raw.tell() if self._raw is not None and not self._raw.closed else 0

    @property
    def raw(self) -> str:
        """The last row as written in the file."""
        return "".join(part if isinstance(part, str) else part.decode(errors="replace") for part in self._pulled)

    def rows(self, wanted: Sequence[str], *, is_time: IsTime | None = None) -> Iterator[Row | Reject]:
        """The cells of the columns *wanted* for each row; blank lines are skipped. Raises InputError in a broken file.

        *is_time*: the time column, and a check whether a cell may be a time. In CSV, a line inside a quote with all
        columns and a time counts as a row, because the quote was left open.
        """
        if self._derived.keys().isdisjoint(wanted):
            yield from self._file_rows(wanted, is_time)
            return
        derived = [self._derived.get(name) or Derived("", (name,), itemgetter(0)) for name in wanted]
        needed = list(dict.fromkeys(name for one in derived for name in one.columns))
        places = [[needed.index(name) for name in one.columns] for one in derived]
        if is_time is not None and is_time[0] not in self._file_columns:
            is_time = None
        for row in self._file_rows(needed, is_time):
            yield row if isinstance(row, Reject) else _with_derived(row, derived, places)

    def _file_rows(self, wanted: Sequence[str], is_time: IsTime | None) -> Iterator[Row | Reject]:
        line = 0
        try:
            if self._sheet is not None:
                yield from self._sheet_rows(self._sheet, wanted)
                return
            with self._open() as file:
                rows = (
                    self._json_rows(file, wanted)
                    if self.format in ("jsonl", "json")
                    else self._csv_rows(file, wanted, is_time)
                )
                for row in rows:
                    line = row.line
                    yield row
        except _UNREADABLE as error:
            raise self._input_error(error, f" after line {line}") from error

    def _input_error(self, error: Exception, place: str = "") -> InputError:
        """*error*, one of _UNREADABLE, for the user."""
        if isinstance(error, FormError):
            return InputError(f"{self.name} {error}")
        if isinstance(error, BROKEN):
            kind = PACKINGS.get(self._packing or "", "packed")
            return InputError(f"{self.name} is a broken {kind} file: {error}{place and f' ({place.strip()})'}")
        if isinstance(error, UnicodeError):
            return InputError(f"{self.name} is not {self.encoding.codec} text{place}: {error}")
        reason = error.strerror if isinstance(error, OSError) else None
        return InputError(f"cannot read {self.name}{place}: {reason or error}")

    def _sheet_rows(self, sheet: Sheet, wanted: Sequence[str]) -> Iterator[Row]:
        places = [self._file_columns.index(name) for name in wanted]
        decode = msgspec.json.Decoder(tuple[int, list[str]]).decode
        pulled = self._pulled = [b""]
        lines = self._raw = cast("BinaryIO", sheet.lines)
        lines.seek(0)
        for line in lines:
            pulled[0] = line
            number, cells = decode(line)
            yield Row(number, [cells[place] for place in places])

    def _read_head(self, named: str | None) -> tuple[str, Encoding]:
        with self._open() as file:
            head = file.read(HEAD_BYTES)
        try:
            encoding = detect_encoding(head, named=named)
        except EncodingError as problem:
            text = str(problem)
            raise InputError(text if text.startswith("--") else f"{self.name} {text}") from problem
        text = head.decode(encoding.codec, errors="replace")
        if not text.strip("\ufeff \t\r\n"):
            raise InputError(f"{self.name} is empty")
        return text, encoding

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        with self.path.open("rb") as raw:
            self._raw = raw
            with unpacked(raw) as content:
                yield content

    def _json_columns(self) -> list[str]:
        names: dict[str, None] = {}
        try:
            with self._open() as file:
                for line in itertools.islice(self._objects(file), HEAD_ROWS):
                    try:
                        content = msgspec.json.decode(line.removeprefix(_BOM))
                    except (msgspec.DecodeError, UnicodeDecodeError):
                        continue
                    if isinstance(content, dict):
                        _add_names(names, content, "", COLUMN_DEPTH)
        except _UNREADABLE:
            # The run sends the posts in front of the fault, and then reports it.
            if not names:
                raise
        if not names:
            wrong = "it has no JSON object" if self.format == "json" else "none of the first lines is a JSON object"
            raise InputError(f"{self.name}: {wrong}. If it is CSV, use --format csv")
        return list(names)

    def _objects(self, file: BinaryIO) -> Iterator[bytes]:
        if self.format == "json":
            return json_values(file, self.encoding.codec)
        return iter(self._json_reader(file), b"")

    def _json_rows(self, file: BinaryIO, wanted: Sequence[str]) -> Iterator[Row | Reject]:
        paths = [_path(name, self._file_columns) for name in wanted]
        tops = list(dict.fromkeys(path[0] for path in paths))
        fields = [f"c{index}" for index in range(len(tops))]
        # Only the wanted fields are decoded: a raw tweet has 100 more.
        shape = msgspec.defstruct(
            "Cells", [(field, Any, MISSING) for field in fields], rename=dict(zip(fields, tops, strict=True)), gc=False
        )
        decode = msgspec.json.Decoder(shape).decode
        flat = tops == list(wanted)
        as_cells: Callable[[Any], Sequence[Any]] = msgspec.structs.astuple
        if not flat:
            places = [(tops.index(path[0]), path[1:]) for path in paths]

            def as_cells(row: Any) -> Sequence[Any]:
                top = msgspec.structs.astuple(row)
                return [_dig(top[index], rest) for index, rest in places]

        pulled = self._pulled = [b""]
        for number, line in enumerate(self._objects(file), 1):
            pulled[0] = line
            try:
                yield Row(number, as_cells(decode(line)))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                text = line.decode(errors="replace").strip("\ufeff \t\r\n")
                if number == 1 and line.startswith(_BOM):
                    yield from ([self._after_bom(line, decode, as_cells)] if text else [])
                elif text:
                    yield Reject(number, None, text, f"is not a JSON object: {error}")

    @staticmethod
    def _after_bom(
        line: bytes, decode: Callable[[bytes], Any], as_cells: Callable[[Any], Sequence[Any]]
    ) -> Row | Reject:
        try:
            return Row(1, as_cells(decode(line[3:])))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return Reject(1, None, line[3:].decode(errors="replace").strip(), f"is not a JSON object: {error}")

    def _json_reader(self, file: BinaryIO) -> Callable[[], bytes]:
        """A function that reads one line as UTF-8."""
        if self.encoding.is_utf8:
            return partial(file.readline, MAX_LINE_BYTES)
        text = io.TextIOWrapper(file, self.encoding.codec, errors=self._on_error, newline="\n")
        # Invalid characters stay invalid, so that their row is rejected.
        return lambda: text.readline(MAX_LINE_BYTES).encode("utf-8", "surrogatepass")

    def _csv_columns(self) -> list[str]:
        with self._open() as file:
            header, lines = self._header(self._csv_reader(file))
        names = [name.strip() for name in header]
        if lines - self._header_line > MAX_HEADER_LINES:
            raise InputError(f"{self.name}: the header line has a quote that is not closed")
        if not any(names):
            raise InputError(f"{self.name} has no header line: the first line must name the columns")
        return names

    def _header(self, readline: Callable[[], str]) -> tuple[list[str], int]:
        """The cells of the header, and the number of its last line."""
        csv.field_size_limit(MAX_CELL_CHARS)
        skipped = self._header_line
        for _ in range(skipped):
            readline()

        def lines() -> Iterator[str]:
            nonlocal skipped
            for line in iter(readline, ""):
                if _SEPARATOR_LINE.fullmatch(line) and not skipped:
                    skipped = 1
                    continue
                yield line

        reader = csv.reader(lines(), delimiter=self._delimiter)
        try:
            header: list[str] = next((row for row in reader if row), [])
        except csv.Error as error:
            raise InputError(f"{self.name}: the header line is not CSV: {error}") from error
        return header, reader.line_num + skipped

    def _csv_rows(self, file: BinaryIO, wanted: Sequence[str], is_time: IsTime | None) -> Iterator[Row | Reject]:
        readline = self._csv_reader(file)
        _, lines = self._header(readline)
        reader = DelimitedReader(
            self._file_columns, wanted, delimiter=self._delimiter, backslash=self._backslash, is_time=is_time
        )
        self._pulled = reader.pulled
        return reader.rows(readline, lines + 1)

    def _csv_reader(self, file: BinaryIO) -> Callable[[], str]:
        """A function that reads one line."""
        # Invalid bytes become lone surrogates, so that only their row is rejected.
        text = io.TextIOWrapper(file, self.encoding.codec, errors=self._on_error, newline="")
        return partial(text.readline, MAX_LINE_BYTES)

    @property
    def _on_error(self) -> str:
        return "surrogatepass" if self.encoding.codec.startswith(("utf-16", "utf-32")) else "surrogateescape"


def _check_is_file(path: Path, name: str) -> int:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{name} is a directory. Give a file of posts")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(
                f"{name} is not a regular file, so a stopped run could not be resumed. Save it as a file first, or "
                "give - and pipe it into the command"
            )
        if status.st_size == 0:
            raise InputError(f"{name} is empty")
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror}") from error
    return status.st_size


def _with_derived(row: Row, derived: Sequence[Derived], places: Sequence[Sequence[int]]) -> Row | Reject:
    cells = []
    for one, needed in zip(derived, places, strict=True):
        value = one.make([row.cells[place] for place in needed])
        if isinstance(value, Refused):
            return Reject(row.line, one.field, value.value, value.reason)
        cells.append(value)
    return Row(row.line, cells)


def _add_names(names: dict[str, None], content: Mapping[str, Any], prefix: str, depth: int) -> None:
    for name, value in content.items():
        names[f"{prefix}{name}"] = None
        if isinstance(value, dict) and depth > 1:
            _add_names(names, value, f"{prefix}{name}.", depth - 1)


def _path(name: str, columns: Sequence[str]) -> list[str]:
    """The path of *name* in an object: `user.id` is the id inside user, unless only a column has exactly this name."""
    top = name.partition(".")[0]
    return name.split(".") if top in columns or name not in columns else [name]


def _dig(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = value.get(name, MISSING) if isinstance(value, dict) else MISSING
    return value

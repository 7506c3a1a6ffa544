"""Reads a file row by row: JSON lines or CSV, plain or gzip, in bounded memory."""

import csv
import gzip
import io
import itertools
import re
import stat
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import msgspec

from ingest.files.reading.delimited_text import MAX_CELL_CHARS, DelimitedReader, escapes_with_backslash
from ingest.files.reading.encodings import Encoding, EncodingError, detect_encoding
from ingest.files.reading.row import MISSING, InputError, Reject, Row

Format = Literal["jsonl", "csv", "tsv"]
FORMATS: tuple[Format, ...] = ("jsonl", "csv", "tsv")
IsTime = tuple[str, Callable[[object], bool]]
"""A column, and a check whether a cell may be a time."""

MAX_LINE_BYTES = 4 * 2**20
"""A longer line is not a post. It is rejected in pieces, so that a file without line ends fits into memory."""
HEAD_BYTES = 64 * 1024
HEAD_ROWS = 100
MAX_HEADER_LINES = 3

_BOM = b"\xef\xbb\xbf"
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE)
"""First line of Excel exports with the separator."""
_FORMATS: dict[str, Format] = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".json": "jsonl", ".ndjson": "jsonl"}


class RowFile:
    """A file of rows with known format and column names. Raises InputError if *path* is not such a file."""

    def __init__(self, path: Path, *, format: Format | None = None, encoding: str | None = None) -> None:
        """*encoding* is the user's choice; by default the byte order mark decides, else UTF-8."""
        self.path = path
        self.size_bytes = _check_is_file(path)
        head, self.encoding = _read_head(path, encoding)
        self.format: Format = format or _FORMATS.get(_plain_suffix(path)) or _sniff(path, head)
        named = _SEPARATOR_LINE.match(head)
        self._delimiter = "\t" if self.format == "tsv" else named[1] if named else _delimiter(head)
        self._raw: BinaryIO | None = None
        self._pulled: Sequence[str | bytes] = ()
        if self.format == "jsonl" and head.lstrip().startswith("["):
            raise InputError(
                f"{path} contains one JSON array, not one object per line. Convert it to JSON lines, "
                f"for example: jq -c '.[]' {path.name} > {path.stem}.jsonl"
            )
        self._backslash = self.format != "jsonl" and escapes_with_backslash(head, self._delimiter)
        self.columns = self._json_columns() if self.format == "jsonl" else self._csv_columns()
        """Column names; for JSON lines, the fields of the first 100 objects, and their inner fields with a dot."""

    @property
    def position_bytes(self) -> int:
        """Position in the (compressed) file."""
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
        line = 0
        try:
            with self._open() as file:
                rows = (
                    self._json_rows(file, wanted) if self.format == "jsonl" else self._csv_rows(file, wanted, is_time)
                )
                for row in rows:
                    line = row.line
                    yield row
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InputError(f"{self.path} is a broken gzip file: {error} (after line {line})") from error
        except UnicodeError as error:
            raise InputError(f"{self.path} is not {self.encoding.codec} text after line {line}: {error}") from error
        except OSError as error:
            raise InputError(f"cannot read {self.path} after line {line}: {error.strerror or error}") from error

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        with self.path.open("rb") as raw:
            self._raw = raw
            compressed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if not compressed:
                yield raw
                return
            with gzip.GzipFile(fileobj=raw) as unpacked:
                # GzipFile reads lines in Python code; BufferedReader does it in C.
                yield cast("BinaryIO", io.BufferedReader(cast("Any", unpacked), 2**18))

    def _json_columns(self) -> list[str]:
        names: dict[str, None] = {}
        with self._open() as file:
            lines = itertools.islice(iter(self._json_reader(file), b""), HEAD_ROWS)
            for line in lines:
                try:
                    content = msgspec.json.decode(line.removeprefix(_BOM))
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue
                if isinstance(content, dict):
                    for name, value in content.items():
                        names[name] = None
                        if isinstance(value, dict):
                            names.update(dict.fromkeys(f"{name}.{inner}" for inner in value))
        if not names:
            raise InputError(f"{self.path}: none of the first lines is a JSON object. If it is CSV, use --format csv")
        return list(names)

    def _json_rows(self, file: BinaryIO, wanted: Sequence[str]) -> Iterator[Row | Reject]:
        paths = [_path(name, self.columns) for name in wanted]
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
        for number, line in enumerate(iter(self._json_reader(file), b""), 1):
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
        if lines > MAX_HEADER_LINES:
            raise InputError(f"{self.path}: the header line has a quote that is not closed")
        if not any(names):
            raise InputError(f"{self.path} has no header line: the first line must name the columns")
        return names

    def _header(self, readline: Callable[[], str]) -> tuple[list[str], int]:
        """The cells of the header, and the number of its last line."""
        csv.field_size_limit(MAX_CELL_CHARS)
        skipped = 0

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
            raise InputError(f"{self.path}: the header line is not CSV: {error}") from error
        return header, reader.line_num + skipped

    def _csv_rows(self, file: BinaryIO, wanted: Sequence[str], is_time: IsTime | None) -> Iterator[Row | Reject]:
        readline = self._csv_reader(file)
        _, lines = self._header(readline)
        reader = DelimitedReader(
            self.columns, wanted, delimiter=self._delimiter, backslash=self._backslash, is_time=is_time
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


def _check_is_file(path: Path) -> int:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{path} is a directory. Give a file of JSON lines or CSV")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(
                f"{path} is not a regular file, so a stopped run could not be resumed. Save it as a file first"
            )
        if status.st_size == 0:
            raise InputError(f"{path} is empty")
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    return status.st_size


def _read_head(path: Path, named: str | None) -> tuple[str, Encoding]:
    try:
        with path.open("rb") as raw:
            compressed = raw.read(2) == b"\x1f\x8b"
        if path.suffix.lower() == ".gz" and not compressed:
            raise InputError(f"{path} is not a gzip file, although its name ends in .gz")
        with gzip.open(path) if compressed else path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is a broken gzip file: {error}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        encoding = detect_encoding(head, named=named)
    except EncodingError as problem:
        text = str(problem)
        raise InputError(text if text.startswith("--") else f"{path} {text}") from problem
    text = head.decode(encoding.codec, errors="replace")
    if not text.strip("\ufeff \t\r\n"):
        raise InputError(f"{path} is empty")
    return text, encoding


def _plain_suffix(path: Path) -> str:
    """The suffix before .gz, which gives the format."""
    name = path.name.lower()
    return Path(name.removesuffix(".gz")).suffix


def _sniff(path: Path, head: str) -> Format:
    text = head.lstrip()
    if text[:1] in ("{", "["):
        return "jsonl"
    first = text.split("\n", 1)[0]
    if "\t" in first:
        return "tsv"
    if any(character in first for character in ",;|"):
        return "csv"
    raise InputError(f"the format of {path} is unknown. Set it with --format jsonl, csv or tsv")


def _delimiter(head: str) -> str:
    header = head.lstrip("\r\n").split("\n", 1)[0]
    return max(",;\t|", key=header.count)


def _path(name: str, columns: Sequence[str]) -> list[str]:
    """The path of *name* in an object: `user.id` is the id inside user, unless a column has exactly this name."""
    top = name.partition(".")[0]
    return [name] if "." not in name or top not in columns else name.split(".")


def _dig(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = value.get(name, MISSING) if isinstance(value, dict) else MISSING
    return value

"""Reading a file row by row: JSON lines or CSV, plain or gzip, in bounded memory."""

import csv
import gzip
import io
import itertools
import stat
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import msgspec

from brandpulse.errors import ConfigError

Format = Literal["jsonl", "csv", "tsv"]
FORMATS: tuple[Format, ...] = ("jsonl", "csv", "tsv")
MISSING = msgspec.UNSET
"""What stands for a cell that the row does not have."""

MAX_LINE_BYTES = 4 * 2**20
"""A longer line is no post; it is rejected piece by piece, so that a file without line ends fits into memory."""
MAX_CELL_CHARS = 2**20
"""A quote that is never closed swallows rows up to here."""
HEAD_BYTES = 64 * 1024
HEAD_ROWS = 100

_FORMATS: dict[str, Format] = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".json": "jsonl", ".ndjson": "jsonl"}


class InputError(ConfigError):
    """The file, or what was said about it, is wrong; nothing more of it is sent."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that cannot become a post, and why."""

    line: int
    field: str | None
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """The wanted cells of one row, in the wanted order; *line* is where it begins, from 1."""

    line: int
    cells: Sequence[Any]


class RowFile:
    """A readable file of rows whose format and column names are known. Raises InputError if there is none at *path*."""

    def __init__(self, path: Path, *, format: Format | None = None) -> None:
        self.path = path
        self.size_bytes = _check_is_file(path)
        head = _read_head(path)
        self.format: Format = format or _FORMATS.get(_plain_suffix(path)) or _sniff(path, head)
        self._delimiter = "\t" if self.format == "tsv" else _delimiter(head)
        if self.format == "jsonl" and head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
            raise InputError(
                f"{path} holds one JSON array, not one object a line. Turn it into JSON lines, "
                f"for example: jq -c '.[]' {path.name} > {path.stem}.jsonl"
            )
        self.columns = self._json_columns() if self.format == "jsonl" else self._csv_columns()
        """Names of the columns; for JSON lines, of what the first hundred objects hold, one level deep with a dot."""
        self._raw: BinaryIO | None = None

    @property
    def position_bytes(self) -> int:
        """How far into the (compressed) file the reading is."""
        return self._raw.tell() if self._raw is not None and not self._raw.closed else 0

    def rows(self, wanted: Sequence[str]) -> Iterator[Row | Reject]:
        """Each row's cells of the columns *wanted*; blank lines are no rows. Raises InputError in a broken gzip."""
        read = self._json_rows if self.format == "jsonl" else self._csv_rows
        line = 0
        with self._open() as file:
            try:
                for row in read(file, wanted):
                    line = row.line
                    yield row
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise InputError(f"{self.path} is a broken gzip file: {error} (after line {line})") from error
            except OSError as error:
                raise InputError(f"cannot read {self.path} on from line {line}: {error.strerror or error}") from error

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
                # GzipFile hands lines out through Python code; the buffer before it does so in C.
                yield cast("BinaryIO", io.BufferedReader(cast("Any", unpacked), 2**18))

    def _json_columns(self) -> list[str]:
        names: dict[str, None] = {}
        with self._open() as file:
            lines = itertools.islice(_lines(file), HEAD_ROWS)
            for line in lines:
                try:
                    content = msgspec.json.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue
                if isinstance(content, dict):
                    for name, value in content.items():
                        names[name] = None
                        if isinstance(value, dict):
                            names.update(dict.fromkeys(f"{name}.{inner}" for inner in value))
        if not names:
            raise InputError(
                f"{self.path}: none of the first lines is a JSON object. Is it CSV? Say so with --format csv"
            )
        return list(names)

    def _json_rows(self, file: BinaryIO, wanted: Sequence[str]) -> Iterator[Row | Reject]:
        paths = [_path(name, self.columns) for name in wanted]
        tops = list(dict.fromkeys(path[0] for path in paths))
        fields = [f"c{index}" for index in range(len(tops))]
        # Only what is wanted gets decoded: a raw tweet has 100 further fields.
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

        for number, line in enumerate(iter(partial(file.readline, MAX_LINE_BYTES), b""), 1):
            try:
                yield Row(number, as_cells(decode(line)))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                text = line.decode(errors="replace").strip("\ufeff \t\r\n")
                if number == 1 and line.startswith(b"\xef\xbb\xbf"):
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

    def _csv_columns(self) -> list[str]:
        with self._open() as file:
            header: list[str] = next((row for row in self._csv_reader(file) if row), [])
        names = [name.strip() for name in header]
        if not any(names):
            raise InputError(f"{self.path} has no header line: the first line must name the columns")
        return names

    def _csv_rows(self, file: BinaryIO, wanted: Sequence[str]) -> Iterator[Row | Reject]:
        reader = self._csv_reader(file)
        next((row for row in reader if row), None)
        places = [self.columns.index(name) for name in wanted]
        width = len(self.columns)
        while True:
            line = reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Reject(line, None, "", f"is not CSV: {error}")
                continue
            if len(row) == width:
                yield Row(line, [row[place] for place in places])
            elif row:
                yield Reject(line, None, self._delimiter.join(row), f"has {len(row)} columns, the header has {width}")

    def _csv_reader(self, file: BinaryIO) -> Any:
        csv.field_size_limit(MAX_CELL_CHARS)
        # Bytes that are not UTF-8 become lone surrogates, and only their row is rejected.
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        return csv.reader(iter(partial(text.readline, MAX_LINE_BYTES), ""), delimiter=self._delimiter)


def _check_is_file(path: Path) -> int:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{path} is a directory; name a file of JSON lines or CSV")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{path} is not a regular file: it cannot be read again after a stop")
        if status.st_size == 0:
            raise InputError(f"{path} is empty")
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    return status.st_size


def _read_head(path: Path) -> bytes:
    with path.open("rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
    if path.suffix.lower() == ".gz" and not compressed:
        raise InputError(f"{path} is no gzip file, although it is named so")
    try:
        with gzip.open(path) if compressed else path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is a broken gzip file: {error}") from error
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path} is UTF-16; turn it into UTF-8, for example: iconv -f UTF-16 -t UTF-8 {path.name}")
    if _is_binary(head):
        raise InputError(f"{path} is a binary file, neither JSON lines nor CSV")
    if not head.strip(b"\xef\xbb\xbf \t\r\n"):
        raise InputError(f"{path} is empty")
    return head


def _is_binary(head: bytes) -> bool:
    """Whether more than one character in twenty is none of text; single NUL bytes are the row's affair."""
    text = head.decode("utf-8", errors="replace")
    odd = sum(character == "\ufffd" or (character < " " and character not in "\t\r\n") for character in text)
    return odd * 20 > len(text)


def _plain_suffix(path: Path) -> str:
    """The suffix that tells the format, with any .gz taken off."""
    name = path.name.lower()
    return Path(name.removesuffix(".gz")).suffix


def _sniff(path: Path, head: bytes) -> Format:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] in (b"{", b"["):
        return "jsonl"
    first = text.split(b"\n", 1)[0]
    if b"\t" in first:
        return "tsv"
    if b"," in first or b";" in first:
        return "csv"
    raise InputError(f"cannot tell whether {path} is JSON lines or CSV; say so with --format jsonl, csv or tsv")


def _delimiter(head: bytes) -> str:
    header = head.split(b"\n", 1)[0]
    return max(",;\t", key=lambda sign: header.count(sign.encode()))


def _lines(file: BinaryIO) -> Iterator[bytes]:
    first = True
    for line in iter(partial(file.readline, MAX_LINE_BYTES), b""):
        yield line.removeprefix(b"\xef\xbb\xbf") if first else line
        first = False


def _path(name: str, columns: Sequence[str]) -> list[str]:
    """Where *name* lies in an object: `user.id` means the id within user, unless a column has just that name."""
    top = name.partition(".")[0]
    return [name] if "." not in name or top not in columns else name.split(".")


def _dig(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = value.get(name, MISSING) if isinstance(value, dict) else MISSING
    return value
